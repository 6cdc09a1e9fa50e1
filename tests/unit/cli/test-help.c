/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "capture.h"
#include "cli/options.h"

extern const struct CMUnitTest help_tests[];

static const struct cli_option options[] = {
	{1, "long-option-with-a-name", 'x', CLI_OPTIONAL, "SOME-VALUE",
	 "a meaning of so many words that it does not fit into one line and "
	 "must be wrapped",
	 "a default", "First", 0},
	{2, NULL, 'b', CLI_REQUIRED, "SIZE", ".dots and \\slashes", NULL,
	 "Second", 0},
	{3, "later", 0, CLI_NONE, NULL, NULL, NULL, NULL, 1},
};

static const struct cli_section sections[] = {
	{"NOTES", "One.\n.two\n\n'three"},
	{NULL, NULL},
};

static const struct cli_exit exits[] = {
	{"0", "Good."},
	{"1", "Bad."},
	{NULL, NULL},
};

static const struct cli_program program = {
	.name = "test.erofs",
	.synopsis = "[OPTIONS] A\n--other B",
	.purpose = "test all",
	.description = "First - paragraph.\n\nSecond.",
	.options = options,
	.n_options = 3,
	.sections = sections,
	.exits = exits,
	.see_also = "x(8)",
	.usage_status = 1,
};

static void test_help(void **state)
{
	struct capture c;

	(void)state;
	cli_help(&program, capture_start(&c));
	assert_string_equal(
		capture_end(&c),
		"Usage: test.erofs [OPTIONS] A\n"
		"       test.erofs --other B\n"
		"\n"
		"Test all.\n"
		"\n"
		"First:\n"
		"  -x, --long-option-with-a-name[=SOME-VALUE]\n"
		"                            a meaning of so many words that "
		"it does not fit\n"
		"                            into one line and must be wrapped "
		"(default: a\n"
		"                            default)\n"
		"\n"
		"Second:\n"
		"  -bSIZE                    .dots and \\slashes\n"
		"\n"
		"Information:\n"
		"  -h, --help                show this text and exit\n"
		"      --help-man            write the man page and exit\n"
		"  -V, --version             show versions and exit\n");
	free(c.text);
}

static void test_man(void **state)
{
	const char *text;
	struct capture c;

	(void)state;
	cli_man(&program, capture_start(&c));
	text = capture_end(&c);
	assert_non_null(strstr(text, ".TH TEST.EROFS 8 \"\" \"erofskit "));
	assert_non_null(strstr(text, ".SH NAME\ntest.erofs \\- test all\n"));
	assert_non_null(strstr(text, "First \\- paragraph.\n.PP\nSecond.\n"));
	assert_non_null(strstr(text,
			       "\\fB\\-x\\fR, "
			       "\\fB\\-\\-long\\-option\\-with\\-a\\-name\\fR"
			       "[=\\fISOME\\-VALUE\\fR]\nA meaning"));
	assert_non_null(strstr(text, "The default is a default.\n"));
	assert_non_null(strstr(text, "\n\\&.dots and \\eslashes.\n"));
	assert_non_null(strstr(text, "One.\n\\&.two\n.PP\n\\&'three\n"));
	assert_non_null(strstr(text, ".SH EXIT STATUS\n.TP\n.B 0\nGood.\n"));
	assert_non_null(strstr(text, ".SH SEE ALSO\nx(8)\n"));
	assert_null(strstr(text, "later"));
	free(c.text);
}

const struct CMUnitTest help_tests[] = {
	cmocka_unit_test(test_help),
	cmocka_unit_test(test_man),
	UNIT_END,
};
