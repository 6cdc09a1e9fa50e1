/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/bytes.h"

static void fields_are_little_endian_anywhere(void **state)
{
	uint8_t b[12] = {0};

	(void)state;
	for (size_t at = 0; at < 4; at++) {
		ek_put_le64(b + at, UINT64_C(0x8877665544332211));
		assert_int_equal(b[at], 0x11);
		assert_int_equal(b[at + 7], 0x88);
		assert_int_equal(ek_get_le16(b + at), 0x2211);
		assert_int_equal(ek_get_le16(b + at + 6), 0x8877);
		assert_int_equal(ek_get_le32(b + at + 4), 0x88776655u);
		assert_true(ek_get_le64(b + at) ==
			    UINT64_C(0x8877665544332211));
	}
	ek_put_le16(b, 0xfffe);
	ek_put_le32(b + 2, 0xfffefdfcu);
	assert_memory_equal(b, "\xfe\xff\xfc\xfd\xfe\xff", 6);
}

static void rounding(void **state)
{
	(void)state;
	assert_int_equal(ek_round_up(0, 8), 0);
	assert_int_equal(ek_round_up(1, 8), 8);
	assert_int_equal(ek_round_up(8, 8), 8);
	assert_int_equal(ek_round_down(15, 8), 8);
	assert_true(ek_round_up(UINT64_C(0xfffffffffff), 4096) ==
		    UINT64_C(0x100000000000));
	assert_int_equal(ek_div_up(0, 3), 0);
	assert_int_equal(ek_div_up(7, 3), 3);
	assert_true(ek_div_up(UINT64_MAX, 2) == UINT64_C(1) << 63);
	assert_true(ek_is_pow2(1) && ek_is_pow2(UINT64_C(1) << 63));
	assert_false(ek_is_pow2(0) || ek_is_pow2(3));
	assert_int_equal(ek_min(3, 4), 3);
	assert_int_equal(ek_max(3, 4), 4);
}

static void sums_that_do_not_fit_are_told(void **state)
{
	uint64_t v;

	(void)state;
	assert_true(ek_add(UINT64_MAX - 1, 1, &v) && v == UINT64_MAX);
	assert_false(ek_add(UINT64_MAX, 1, &v));
	assert_true(ek_mul(UINT64_C(1) << 32, UINT64_C(0xffffffff), &v));
	assert_false(ek_mul(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
}

static void zeros(void **state)
{
	uint8_t b[70] = {0};

	(void)state;
	assert_true(ek_all_zero(b, 0));
	assert_true(ek_all_zero(b, sizeof(b)));
	for (size_t i = 0; i < sizeof(b); i++) {
		b[i] = 0x80;
		assert_false(ek_all_zero(b, sizeof(b)));
		assert_true(ek_all_zero(b, i));
		b[i] = 0;
	}
}

extern const struct CMUnitTest bytes_tests[];
const struct CMUnitTest bytes_tests[] = {
	cmocka_unit_test(fields_are_little_endian_anywhere),
	cmocka_unit_test(rounding),
	cmocka_unit_test(sums_that_do_not_fit_are_told),
	cmocka_unit_test(zeros),
	UNIT_END,
};
