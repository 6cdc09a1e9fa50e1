/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cli/image.h"

#include <stdlib.h>
#include <string.h>

extern const struct CMUnitTest image_tests[];

static ek_status codec_of(const char *text, struct cli_codec *c)
{
	struct ek_err err;

	return cli_codec(text, strlen(text), c, &err);
}

static const char long_level[] =
	"lz4hc,0000000000000000000000000000000000000000000000000000000"
	"0000000000000000009";

static void test_codec(void **state)
{
	static const char *const bad[] = {
		"",
		",9",
		"lz4 ",
		"nosuch",
		"lz4hc,",
		"lz4hc,9,",
		"lz4hc,x",
		"lz4hc,level=",
		"lz4hc,9x",
		"lz4hc,99",
		"lz4hc,lev=9",
		"lz4hc,levels=9",
		"lz4hc,2147483648",
		"a-name-of-more-than-thirty-one-bytes",
		long_level,
	};
	struct cli_codec c;

	(void)state;
	assert_int_equal(codec_of("lz4", &c), EK_OK);
	assert_string_equal(c.codec.name, "lz4");
	assert_int_equal(c.codec.level, EK_LEVEL_DEFAULT);
	assert_int_equal(c.codec.dict_size, 0);
	assert_int_equal(codec_of("lz4hc,9", &c), EK_OK);
	assert_string_equal(c.codec.name, "lz4hc");
	assert_int_equal(c.codec.level, 9);
	assert_int_equal(codec_of("lz4hc,level=3", &c), EK_OK);
	assert_int_equal(c.codec.level, 3);
	assert_int_equal(codec_of("lz4hc,3,level=4", &c), EK_OK);
	assert_int_equal(c.codec.level, 4);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(codec_of(bad[i], &c), EK_INVALID);
}

/* What stands behind the @n bytes is another's. */
static void test_codec_part(void **state)
{
	struct cli_codec c;
	struct ek_err err;

	(void)state;
	assert_int_equal(cli_codec("lz4:lz4hc,9", 3, &c, &err), EK_OK);
	assert_string_equal(c.codec.name, "lz4");
	assert_int_equal(cli_codec("lz4hc,9,level=1", 7, &c, &err), EK_OK);
	assert_int_equal(c.codec.level, 9);
	assert_int_equal(cli_codec("lz4hc,9", 6, &c, &err), EK_INVALID);
}

static void test_uuid(void **state)
{
	static const char *const bad[] = {
		"",
		"Clear",
		"randomly",
		"0123456789abcdef0123456789abcdef",
		"01234567-89ab-cdef-0123-456789abcde",
		"01234567-89ab-cdef-0123-456789abcdef0",
		"01234567-89ab-cdef-0123-456789abcdeg",
		"0123456-789ab-cdef-0123-456789abcdef",
		"01234567-89ab-cdef-0123-456789abcd-f",
	};
	static const uint8_t want[16] = {
		0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
		0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
	};
	struct ek_build_options b = {.size = sizeof(b)};
	struct ek_err err;

	(void)state;
	assert_int_equal(
		cli_set_uuid(&b, "01234567-89AB-cdef-0123-456789abcdef", &err),
		EK_OK);
	assert_int_equal(b.uuid_mode, EK_UUID_GIVEN);
	assert_memory_equal(b.uuid, want, 16);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cli_set_uuid(&b, bad[i], &err), EK_INVALID);
	assert_int_equal(b.uuid_mode, EK_UUID_GIVEN);
	assert_int_equal(cli_set_uuid(&b, "clear", &err), EK_OK);
	assert_int_equal(b.uuid_mode, EK_UUID_CLEAR);
	assert_int_equal(cli_set_uuid(&b, "random", &err), EK_OK);
	assert_int_equal(b.uuid_mode, EK_UUID_RANDOM);
}

static void test_time(void **state)
{
	static const char *const bad[] = {
		"", "-1", "1.5", "yesterday", "9223372036854775808",
	};
	struct cli_time t = {0};
	struct ek_err err;

	(void)state;
	unsetenv("SOURCE_DATE_EPOCH");
	assert_int_equal(cli_time_finish(&t), EK_OK);
	assert_false(t.given);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(cli_time(bad[i], &t, &err), EK_INVALID);
	assert_false(t.given);

	setenv("SOURCE_DATE_EPOCH", "12", 1);
	assert_int_equal(cli_time_finish(&t), EK_OK);
	assert_true(t.given && !t.by_option);
	assert_int_equal(t.at, 12);

	/* The option wins, whatever the environment holds. */
	setenv("SOURCE_DATE_EPOCH", "never", 1);
	assert_int_equal(cli_time("9223372036854775807", &t, &err), EK_OK);
	assert_int_equal(cli_time_finish(&t), EK_OK);
	assert_true(t.given && t.by_option);
	assert_true(t.at == INT64_MAX);
	unsetenv("SOURCE_DATE_EPOCH");
}

const struct CMUnitTest image_tests[] = {
	cmocka_unit_test(test_codec),
	cmocka_unit_test(test_codec_part),
	cmocka_unit_test(test_uuid),
	cmocka_unit_test(test_time),
	UNIT_END,
};
