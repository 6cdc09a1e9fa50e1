/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "capture.h"
#include "cli/json.h"

extern const struct CMUnitTest json_tests[];

static void check_bytes(const char *bytes, size_t n, const char *want)
{
	struct capture c;
	struct cli_json j;

	cli_json_start(&j, capture_start(&c));
	cli_json_bytes(&j, NULL, bytes, n);
	assert_string_equal(capture_end(&c), want);
	free(c.text);
}

static void test_text(void **state)
{
	(void)state;
	check_bytes("plain /~", 8, "\"plain /~\"");
	check_bytes("\"\\\n\t\x01\x7f", 6, "\"\\\"\\\\\\n\\t\\u0001\\u007f\"");
	check_bytes("a\0b", 3, "\"a\\u0000b\"");
	check_bytes("\xc3\xa4", 2, "\"\\u00e4\"");
	check_bytes("\xe2\x82\xac", 3, "\"\\u20ac\"");
	check_bytes("\xf0\x9f\x98\x80", 4, "\"\\ud83d\\ude00\"");
	check_bytes("\xf4\x8f\xbf\xbf", 4, "\"\\udbff\\udfff\"");
}

/* Bytes that are not UTF-8 stay what they are, one by one. */
static void test_not_utf8(void **state)
{
	(void)state;
	check_bytes("\xff", 1, "\"\\udcff\"");
	check_bytes("x\x80y", 3, "\"x\\udc80y\"");
	/* cut short, by the end and by another character */
	check_bytes("\xe2\x82", 2, "\"\\udce2\\udc82\"");
	check_bytes("\xe2\x82z", 3, "\"\\udce2\\udc82z\"");
	/* overlong, surrogate, beyond U+10FFFF */
	check_bytes("\xc0\xaf", 2, "\"\\udcc0\\udcaf\"");
	check_bytes("\xe0\x80\x80", 3, "\"\\udce0\\udc80\\udc80\"");
	check_bytes("\xed\xa0\x80", 3, "\"\\udced\\udca0\\udc80\"");
	check_bytes("\xf4\x90\x80\x80", 4, "\"\\udcf4\\udc90\\udc80\\udc80\"");
	check_bytes("\xf8\x88\x80\x80", 4, "\"\\udcf8\\udc88\\udc80\\udc80\"");
}

static void test_nesting(void **state)
{
	static const uint8_t uuid[16] = {1, 2,	3,  4,	5,  6,	7,  8,
					 9, 10, 11, 12, 13, 14, 15, 0xff};
	struct capture c;
	struct cli_json j;

	(void)state;
	cli_json_start(&j, capture_start(&c));
	cli_json_open(&j, NULL, '{');
	cli_json_open(&j, "none", '[');
	cli_json_close(&j);
	cli_json_open(&j, "some", '[');
	cli_json_unsigned(&j, NULL, UINT64_MAX);
	cli_json_signed(&j, NULL, INT64_MIN);
	cli_json_close(&j);
	cli_json_bool(&j, "yes", true);
	cli_json_null(&j, "null");
	cli_json_real(&j, "real", 0.5, 2);
	cli_json_real(&j, "nan", 0.0 / 0.0, 2);
	cli_json_hex(&j, "hex", uuid, 3);
	cli_json_uuid(&j, "uuid", uuid);
	cli_json_close(&j);
	assert_string_equal(capture_end(&c),
			    "{\n"
			    "  \"none\": [],\n"
			    "  \"some\": [\n"
			    "    18446744073709551615,\n"
			    "    -9223372036854775808\n"
			    "  ],\n"
			    "  \"yes\": true,\n"
			    "  \"null\": null,\n"
			    "  \"real\": 0.50,\n"
			    "  \"nan\": null,\n"
			    "  \"hex\": \"010203\",\n"
			    "  \"uuid\": "
			    "\"01020304-0506-0708-090a-0b0c0d0e0fff\"\n"
			    "}\n");
	free(c.text);
}

const struct CMUnitTest json_tests[] = {
	cmocka_unit_test(test_text),
	cmocka_unit_test(test_not_utf8),
	cmocka_unit_test(test_nesting),
	UNIT_END,
};
