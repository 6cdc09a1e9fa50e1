/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cli/options.h"

extern const struct CMUnitTest values_tests[];

static ek_status size_of(const char *text, uint64_t *v)
{
	struct ek_err err;

	return cli_size(text, 0, UINT64_MAX, v, &err);
}

static void test_size(void **state)
{
	static const struct {
		const char *text;
		uint64_t want;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"0x1000", 4096},
		{"010", 10},
		{"64k", 65536},
		{"64K", 65536},
		{"1m", 1u << 20},
		{"3G", 3ull << 30},
		{"2t", 2ull << 40},
		{"18446744073709551615", UINT64_MAX},
		{"16777215t", 16777215ull << 40},
	};
	static const char *const bad[] = {
		"",    " 1",	    "-1", "+1",	 "1 ",	"1kb",
		"1x",  "k",	    "0x", "0xg", "1.5", "18446744073709551616",
		"1kk", "16777216t",
	};
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(size_of(good[i].text, &v), EK_OK);
		assert_true(v == good[i].want);
	}
	v = 77;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(size_of(bad[i], &v), EK_INVALID);
	assert_int_equal(v, 77);
}

static void test_range(void **state)
{
	struct ek_err err;
	uint64_t v = 0;

	(void)state;
	assert_int_equal(cli_size("512", 512, 4096, &v, &err), EK_OK);
	assert_int_equal(cli_size("4k", 512, 4096, &v, &err), EK_OK);
	assert_int_equal(cli_size("511", 512, 4096, &v, &err), EK_INVALID);
	assert_int_equal(cli_size("5k", 512, 4096, &v, &err), EK_INVALID);
	assert_string_equal(err.text, "must be from 512 to 4096");
	assert_int_equal(cli_unsigned("10", 1, 9, &v, &err), EK_INVALID);
	assert_int_equal(cli_unsigned("9k", 1, 99999, &v, &err), EK_INVALID);
	assert_int_equal(v, 4096);
}

static void test_signed(void **state)
{
	struct ek_err err;
	int64_t v = 0;

	(void)state;
	assert_int_equal(cli_signed("-9223372036854775808", INT64_MIN,
				    INT64_MAX, &v, &err),
			 EK_OK);
	assert_true(v == INT64_MIN);
	assert_int_equal(cli_signed("9223372036854775807", INT64_MIN, INT64_MAX,
				    &v, &err),
			 EK_OK);
	assert_true(v == INT64_MAX);
	assert_int_equal(cli_signed("-0", -1, 1, &v, &err), EK_OK);
	assert_true(v == 0);
	assert_int_equal(cli_signed("+1", -1, 1, &v, &err), EK_OK);
	assert_true(v == 1);
	assert_int_equal(cli_signed("-2", -1, 1, &v, &err), EK_INVALID);
	assert_string_equal(err.text, "must be from -1 to 1");
	assert_int_equal(cli_signed("9223372036854775808", INT64_MIN, INT64_MAX,
				    &v, &err),
			 EK_INVALID);
	assert_int_equal(cli_signed("-9223372036854775809", INT64_MIN,
				    INT64_MAX, &v, &err),
			 EK_INVALID);
	assert_int_equal(cli_signed("--1", -1, 1, &v, &err), EK_INVALID);
	assert_int_equal(cli_signed("-", -1, 1, &v, &err), EK_INVALID);
	assert_int_equal(cli_signed("", -1, 1, &v, &err), EK_INVALID);
	assert_true(v == 1);
}

const struct CMUnitTest values_tests[] = {
	cmocka_unit_test(test_size),
	cmocka_unit_test(test_range),
	cmocka_unit_test(test_signed),
	UNIT_END,
};
