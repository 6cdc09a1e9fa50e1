/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "source/directory.h"

extern const struct CMUnitTest filter_tests[];

static void test_paths(void **state)
{
	const char *const paths[] = {"a/b", "/lead", "tail/", "./dot//"};
	const struct ek_directory_options o = {
		.exclude_paths = paths,
		.n_exclude_paths = 4,
	};
	struct ek_filter f;
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_filter_init(&f, &o, &err), EK_OK);
	assert_false(ek_filter_empty(&f));
	assert_true(ek_filter_drops(&f, "a/b"));
	assert_true(ek_filter_drops(&f, "lead"));
	assert_true(ek_filter_drops(&f, "tail"));
	assert_true(ek_filter_drops(&f, "dot"));
	assert_false(ek_filter_drops(&f, "a"));
	assert_false(ek_filter_drops(&f, "a/bc"));
	assert_false(ek_filter_drops(&f, "x/a/b"));
	ek_filter_free(&f);
}

static void test_regexes(void **state)
{
	const char *const regexes[] = {"\\.o$", "^(x|y)/z+$"};
	const struct ek_directory_options o = {
		.exclude_regexes = regexes,
		.n_exclude_regexes = 2,
	};
	struct ek_filter f;
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_filter_init(&f, &o, &err), EK_OK);
	assert_true(ek_filter_drops(&f, "a/b.o"));
	assert_true(ek_filter_drops(&f, "x/zz"));
	assert_false(ek_filter_drops(&f, "b.oo"));
	assert_false(ek_filter_drops(&f, "w/x/z"));
	ek_filter_free(&f);
	assert_true(ek_filter_empty(&f));
}

static void test_bad_regex(void **state)
{
	const char *const regexes[] = {"fine", "("};
	const struct ek_directory_options o = {
		.exclude_regexes = regexes,
		.n_exclude_regexes = 2,
	};
	struct ek_filter f;
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_filter_init(&f, &o, &err), EK_INVALID);
	assert_non_null(strstr(err.text, "'('"));
	assert_true(ek_filter_empty(&f));
}

const struct CMUnitTest filter_tests[] = {
	cmocka_unit_test(test_paths),
	cmocka_unit_test(test_regexes),
	cmocka_unit_test(test_bad_regex),
	UNIT_END,
};
