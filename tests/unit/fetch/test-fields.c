/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/fetch/fields.h"
#include "unit.h"

static struct ekd_content_range range;

static bool parse(const char *text)
{
	memset(&range, 0xee, sizeof(range));
	return ekd_content_range_parse(text, strlen(text), &range);
}

static void content_range(void **state)
{
	(void)state;
	assert_true(parse("bytes 0-99/200"));
	assert_true(range.first == 0 && range.last == 99 && range.size == 200);
	assert_true(parse("bytes 5-5/6"));
	assert_true(range.first == 5 && range.last == 5 && range.size == 6);
	assert_true(parse("BYTES  7-8/*"));
	assert_true(range.first == 7 && range.last == 8 &&
		    range.size == EKD_SIZE_UNKNOWN);
	assert_true(parse("bytes 18446744073709551612-18446744073709551613/"
			  "18446744073709551614"));
	assert_true(range.size == UINT64_MAX - 1);
}

static void wrong_content_range(void **state)
{
	static const char *const wrong[] = {
		"",
		"bytes",
		"bytes ",
		"bytes0-1/2",
		"bytes */200",
		"bytes 0-1",
		"bytes 0-1/",
		"bytes 0-/2",
		"bytes -1/2",
		"bytes 1-0/2",
		"bytes 0-2/2",
		"bytes 0-1/2 ",
		"bytes 0-1/2,",
		"bytes 0 -1/2",
		"bytes +0-1/2",
		"bytes 0x0-1/2",
		"bytes 0-1/**",
		"bytes=0-1/2",
		"items 0-1/2",
		"bytes 0-1/-2",
		"bytes 0-18446744073709551616/*",
		"bytes 99999999999999999999-1/*",
		"bytes 0-18446744073709551615/*",
		"bytes 0-18446744073709551614/18446744073709551615",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (parse(wrong[i]))
			fail_msg("taken: %s", wrong[i]);
	/* Not beyond its length. */
	assert_false(ekd_content_range_parse("bytes 0-1/2", 10, &range));
	assert_true(ekd_content_range_parse("bytes 0-1/29", 11, &range));
	assert_true(range.size == 2);
}

static void retry_after(void **state)
{
	uint32_t s = 7;

	(void)state;
	assert_true(ekd_retry_after_parse("0", 0, &s) && s == 0);
	assert_true(ekd_retry_after_parse("120", 0, &s) && s == 120);
	assert_true(ekd_retry_after_parse("86401", 0, &s) && s == 86400);
	assert_true(ekd_retry_after_parse("99999999999999999999999", 0, &s) &&
		    s == 86400);
	/* 784111777 of the epoch. */
	assert_true(ekd_retry_after_parse("Sun, 06 Nov 1994 08:49:37 GMT",
					  784111770, &s) &&
		    s == 7);
	assert_true(ekd_retry_after_parse("Sun, 06 Nov 1994 08:49:37 GMT",
					  784111778, &s) &&
		    s == 0);
	assert_true(
		ekd_retry_after_parse("Sun, 06 Nov 1994 08:49:37 GMT", 0, &s) &&
		s == 86400);
	assert_false(ekd_retry_after_parse("", 0, &s));
	assert_false(ekd_retry_after_parse("soon", 0, &s));
	assert_false(ekd_retry_after_parse("-5", 0, &s));
}

static void media(void **state)
{
	char to[16];

	(void)state;
	ekd_media_parse("text/HTML; charset=x", to, sizeof(to));
	assert_string_equal(to, "text/html");
	ekd_media_parse("text/html ", to, sizeof(to));
	assert_string_equal(to, "text/html");
	ekd_media_parse("", to, sizeof(to));
	assert_string_equal(to, "");
	ekd_media_parse("0123456789abcdefgh", to, sizeof(to));
	assert_string_equal(to, "0123456789abcde");
}

const struct CMUnitTest fields_tests[] = {
	cmocka_unit_test(content_range),
	cmocka_unit_test(wrong_content_range),
	cmocka_unit_test(retry_after),
	cmocka_unit_test(media),
	UNIT_END,
};
