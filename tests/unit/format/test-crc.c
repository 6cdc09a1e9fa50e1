/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "format/crc32c.h"

extern const struct CMUnitTest crc_tests[];

/* The check value of CRC32C, without its final inversion. */
static void test_crc32c(void **state)
{
	(void)state;
	assert_int_equal(ek_crc32c(EK_CRC32C_INIT, "123456789", 9),
			 0xe3069283u ^ 0xffffffffu);
	assert_int_equal(ek_crc32c(7, "", 0), 7);
	assert_int_equal(
		ek_crc32c(ek_crc32c(EK_CRC32C_INIT, "1234", 4), "56789", 5),
		0x1cf96d7cu);
}

static void test_xxh32(void **state)
{
	static const char text[] = "Nobody inspects the spammish repetition";

	(void)state;
	assert_int_equal(ek_xxh32("", 0, 0), 0x02cc5d05u);
	assert_int_equal(ek_xxh32("abc", 3, 0), 0x32d153ffu);
	assert_int_equal(ek_xxh32(text, sizeof(text) - 1, 0), 0xe2293b2fu);
	assert_int_not_equal(ek_xxh32("abc", 3, 1), 0x32d153ffu);
}

const struct CMUnitTest crc_tests[] = {
	cmocka_unit_test(test_crc32c),
	cmocka_unit_test(test_xxh32),
	UNIT_END,
};
