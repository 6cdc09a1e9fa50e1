/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <erofskit/status.h>

#include "base/try.h"

#include <errno.h>

static void fills_the_error(void **state)
{
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_fail(&err, EK_CORRUPT, "entry %u of %s", 7u, "x"),
			 EK_CORRUPT);
	assert_int_equal(err.status, EK_CORRUPT);
	assert_int_equal(err.sys, 0);
	assert_string_equal(err.text, "entry 7 of x");
	assert_int_equal(ek_fail(NULL, EK_LIMIT, "nobody looks"), EK_LIMIT);
}

static void system_errors_have_their_status(void **state)
{
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_fail_sys(&err, ENOENT, "/a"), EK_NOTFOUND);
	assert_string_equal(err.text, "/a: No such file or directory");
	assert_int_equal(err.sys, ENOENT);
	assert_int_equal(ek_fail_sys(&err, ENOMEM, "x"), EK_NOMEM);
	assert_int_equal(ek_fail_sys(&err, EEXIST, "x"), EK_EXISTS);
	assert_int_equal(ek_fail_sys(&err, ENOSPC, "x"), EK_IO);
	assert_int_equal(ek_fail_sys(NULL, EIO, "x"), EK_IO);
}

static void long_text_is_cut(void **state)
{
	char longest[2 * EK_ERR_TEXT];
	struct ek_err err;

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	ek_fail(&err, EK_INVALID, "%s", longest);
	assert_int_equal(strlen(err.text), EK_ERR_TEXT - 1);
	ek_fail_sys(&err, EIO, "%s", longest);
	assert_int_equal(strlen(err.text), EK_ERR_TEXT - 1);
	assert_int_equal(ek_err_prefix(&err, "%s", longest), EK_IO);
	assert_int_equal(strlen(err.text), EK_ERR_TEXT - 1);
}

static void control_characters_stay_out(void **state)
{
	struct ek_err err;

	(void)state;
	ek_fail(&err, EK_CORRUPT, "%s", "a\nb\033[2Jc\x7f\xc3\xa9\xff");
	assert_string_equal(err.text, "a?b?[2Jc?\xc3\xa9\xff");
	ek_err_prefix(&err, "%s", "d\re");
	assert_string_equal(err.text, "d?e: a?b?[2Jc?\xc3\xa9\xff");
}

static void prefix_comes_before(void **state)
{
	struct ek_err err;

	(void)state;
	ek_fail(&err, EK_LIMIT, "too many");
	assert_int_equal(ek_err_prefix(&err, "path %s", "/x"), EK_LIMIT);
	assert_string_equal(err.text, "path /x: too many");
	assert_int_equal(ek_err_prefix(NULL, "x"), EK_INVALID);
}

static void every_status_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(ek_status_name(EK_OK), "ok");
	assert_string_equal(ek_status_name(EK_DIFFERS), "differs");
	assert_string_equal(ek_status_name(EK_CANCELLED), "cancelled");
	assert_string_equal(ek_status_name((ek_status)-12), "unknown");
	assert_string_equal(ek_status_name((ek_status)1), "unknown");
}

static ek_status forward(ek_status status, int *after)
{
	EK_TRY(status);
	*after = 1;
	return EK_OK;
}

static void try_forwards(void **state)
{
	int after = 0;

	(void)state;
	assert_int_equal(forward(EK_CHANGED, &after), EK_CHANGED);
	assert_int_equal(after, 0);
	assert_int_equal(forward(EK_OK, &after), EK_OK);
	assert_int_equal(after, 1);
}

extern const struct CMUnitTest status_tests[];
const struct CMUnitTest status_tests[] = {
	cmocka_unit_test(fills_the_error),
	cmocka_unit_test(system_errors_have_their_status),
	cmocka_unit_test(long_text_is_cut),
	cmocka_unit_test(control_characters_stay_out),
	cmocka_unit_test(prefix_comes_before),
	cmocka_unit_test(every_status_has_a_name),
	cmocka_unit_test(try_forwards),
	UNIT_END,
};
