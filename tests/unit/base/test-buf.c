/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/buf.h"

static void grows_to_its_limit(void **state)
{
	struct ek_buf buf = EK_BUF_INIT(1000);
	struct ek_err err;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(ek_buf_append(&buf, "0123456789", 10, &err),
				 EK_OK);
	assert_int_equal(buf.len, 1000);
	assert_int_equal(ek_buf_append(&buf, "x", 1, &err), EK_LIMIT);
	assert_int_equal(ek_buf_append(&buf, "", 0, &err), EK_OK);
	assert_int_equal(ek_buf_reserve(&buf, SIZE_MAX, &err), EK_LIMIT);
	assert_int_equal(buf.len, 1000);
	assert_true(buf.cap <= 1000);
	assert_memory_equal(buf.data + 990, "0123456789", 10);
	ek_buf_free(&buf);
	assert_int_equal(buf.len, 0);
	assert_int_equal(ek_buf_append(&buf, "again", 5, &err), EK_OK);
	ek_buf_free(&buf);
}

static void zeros_are_zero(void **state)
{
	struct ek_buf buf = EK_BUF_INIT(300);
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_buf_append(&buf, "a", 1, &err), EK_OK);
	assert_int_equal(ek_buf_append_zeros(&buf, 299, &err), EK_OK);
	assert_true(ek_all_zero(buf.data + 1, 299));
	assert_int_equal(ek_buf_append_zeros(&buf, 1, &err), EK_LIMIT);
	ek_buf_free(&buf);
}

static void prints(void **state)
{
	struct ek_buf buf = EK_BUF_INIT(9);
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_buf_printf(&buf, &err, "%s-%d", "ab", 42), EK_OK);
	assert_int_equal(buf.len, 5);
	assert_string_equal((char *)buf.data, "ab-42");
	assert_int_equal(ek_buf_printf(&buf, &err, "%s", "1234"), EK_LIMIT);
	assert_int_equal(ek_buf_printf(&buf, &err, "%s", "123"), EK_OK);
	assert_string_equal((char *)buf.data, "ab-42123");
	ek_buf_free(&buf);
}

extern const struct CMUnitTest buf_tests[];
const struct CMUnitTest buf_tests[] = {
	cmocka_unit_test(grows_to_its_limit),
	cmocka_unit_test(zeros_are_zero),
	cmocka_unit_test(prints),
	UNIT_END,
};
