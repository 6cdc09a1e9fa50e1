/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cachefilesd/config/json.h"
#include "cachefilesd/config/scan.h"

#include <stdio.h>

extern const struct CMUnitTest json_tests[];

static void lines(void **state)
{
	static const char text[] = "{\"a\": 1,\n"
				   " \"b\": {\"a\": \"x\\\"a\",\n"
				   "  \"c\": [1, {\"d\": 2},\n"
				   "   {\"e\": \"}\"}]},\n"
				   " \"f\": 3}\n";
	const size_t n = sizeof(text) - 1;

	(void)state;
	assert_int_equal(ekd_scan_line(text, n, "a"), 1);
	assert_int_equal(ekd_scan_line(text, n, "b"), 2);
	assert_int_equal(ekd_scan_line(text, n, "b.a"), 2);
	assert_int_equal(ekd_scan_line(text, n, "b.c"), 3);
	assert_int_equal(ekd_scan_line(text, n, "b.c[1].d"), 3);
	assert_int_equal(ekd_scan_line(text, n, "b.c[2].e"), 4);
	assert_int_equal(ekd_scan_line(text, n, "f"), 5);
	assert_int_equal(ekd_scan_line(text, n, "d"), 0);
	assert_int_equal(ekd_scan_line("", 0, "a"), 0);
}

static void twice(void **state)
{
	static const char good[] = "{\"a\": {\"a\": 1}, \"b\": [{\"a\": 1}, "
				   "{\"a\": \"a\"}]}";
	static const char bad[] = "{\"b\": [0,\n{\"a\": {},\n\"a\": 1}]}";
	char path[128];

	(void)state;
	assert_int_equal(ekd_scan_twice(good, sizeof(good) - 1, path), 0);
	assert_int_equal(ekd_scan_twice(bad, sizeof(bad) - 1, path), 3);
	assert_string_equal(path, "b[1].a");
}

/* Deep, long and cut texts: the scanner stays in its bounds. */
static void hostile(void **state)
{
	char text[4096], path[128];

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(ekd_scan_twice(text, sizeof(text), path), 0);
	memset(text, '}', sizeof(text));
	assert_int_equal(ekd_scan_twice(text, sizeof(text), path), 0);
	for (size_t i = 0; i + 5 <= sizeof(text); i += 5)
		memcpy(text + i, "{\"a\":", 5);
	assert_int_equal(ekd_scan_line(text, sizeof(text), "zz"), 0);
	memset(text, 'x', sizeof(text));
	memcpy(text, "{\"", 2);
	memcpy(text + 4000, "\": {\"b\": 1}}", 12);
	for (size_t n = 0; n < 4012; n += 7)
		ekd_scan_twice(text, n, path);
	assert_int_equal(ekd_scan_twice(text, 4012, path), 0);
}

static void times(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(ekd_time_text("0s", &v, NULL), EK_OK);
	assert_int_equal(v, 0);
	assert_int_equal(ekd_time_text("250ms", &v, NULL), EK_OK);
	assert_int_equal(v, 250);
	assert_int_equal(ekd_time_text("2h", &v, NULL), EK_OK);
	assert_int_equal(v, 7200000);
	assert_int_equal(ekd_time_text("1d", &v, NULL), EK_OK);
	assert_int_equal(v, 86400000);
	assert_int_equal(ekd_time_text("", &v, NULL), EK_INVALID);
	assert_int_equal(ekd_time_text("ms", &v, NULL), EK_INVALID);
	assert_int_equal(ekd_time_text("1", &v, NULL), EK_INVALID);
	assert_int_equal(ekd_time_text("-1s", &v, NULL), EK_INVALID);
	assert_int_equal(ekd_time_text("1S", &v, NULL), EK_INVALID);
	assert_int_equal(ekd_time_text("999999999999999999d", &v, NULL),
			 EK_INVALID);
	assert_int_equal(v, 86400000);
}

static void sizes(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(ekd_size_text("0", &v, NULL), EK_OK);
	assert_int_equal(v, 0);
	assert_int_equal(ekd_size_text("3k", &v, NULL), EK_OK);
	assert_int_equal(v, 3072);
	assert_int_equal(ekd_size_text("1T", &v, NULL), EK_OK);
	assert_int_equal(v, UINT64_C(1) << 40);
	assert_int_equal(ekd_size_text("1kk", &v, NULL), EK_INVALID);
	assert_int_equal(ekd_size_text("k", &v, NULL), EK_INVALID);
	assert_int_equal(ekd_size_text("1P", &v, NULL), EK_INVALID);
	assert_int_equal(ekd_size_text("20000000T", &v, NULL), EK_INVALID);
	assert_int_equal(ekd_size_text("99999999999999999999", &v, NULL),
			 EK_INVALID);
}

static void many_keys(void **state)
{
	struct ekd_object root;
	struct ekd_json json;
	struct ek_err err;
	char text[2048] = "{";
	size_t n = 1;

	(void)state;
	for (unsigned i = 0; i <= EKD_JSON_KEYS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "%s\"k%u\": 0", i ? "," : "", i);
	text[n++] = '}';
	assert_int_equal(ekd_json_read(text, n, sizeof(text), &json, &err),
			 EK_OK);
	assert_int_equal(ekd_object_root(&json, &root, &err), EK_LIMIT);
	ekd_json_free(&json);
}

static void elements(void **state)
{
	static const char text[] = "{\"l\": [{\"a\": 1}, {}, 3], \"n\": null}";
	struct ekd_object root, at;
	struct ekd_json json;
	uint64_t v = 0;
	struct ek_err err;
	size_t n;

	(void)state;
	assert_int_equal(
		ekd_json_read(text, sizeof(text) - 1, 1000, &json, &err),
		EK_OK);
	assert_int_equal(ekd_object_root(&json, &root, &err), EK_OK);
	assert_int_equal(ekd_object_element(&root, "l", 0, &n, &at, &err),
			 EK_OK);
	assert_int_equal(n, 3);
	assert_int_equal(ekd_get_number(&at, "a", 0, 9, &v, &err), EK_OK);
	assert_int_equal(v, 1);
	assert_int_equal(ekd_object_element(&root, "l", 2, &n, &at, &err),
			 EK_INVALID);
	assert_int_equal(ekd_object_element(&root, "l", 3, &n, &at, &err),
			 EK_OK);
	assert_null(at.o);
	/* Nothing there reads as nothing there. */
	v = 5;
	assert_int_equal(ekd_get_number(&at, "a", 0, 9, &v, &err), EK_OK);
	assert_int_equal(v, 5);
	assert_int_equal(ekd_object_element(&root, "x", 0, &n, &at, &err),
			 EK_OK);
	assert_int_equal(n, 0);
	assert_int_equal(ekd_object_done(&root, &err), EK_INVALID);
	assert_int_equal(ekd_get_number(&root, "n", 0, 9, &v, &err), EK_OK);
	assert_int_equal(ekd_object_done(&root, &err), EK_OK);
	ekd_json_free(&json);
}

const struct CMUnitTest json_tests[] = {
	cmocka_unit_test(lines),    cmocka_unit_test(twice),
	cmocka_unit_test(hostile),  cmocka_unit_test(times),
	cmocka_unit_test(sizes),    cmocka_unit_test(many_keys),
	cmocka_unit_test(elements), UNIT_END,
};
