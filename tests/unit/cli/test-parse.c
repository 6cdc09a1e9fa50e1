/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cli/message.h"
#include "cli/options.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

extern const struct CMUnitTest parse_tests[];

static const struct cli_option options[] = {
	{1, "size", 's', CLI_REQUIRED, "SIZE", "size", NULL, "Group", 0},
	{2, "sort", 0, CLI_OPTIONAL, "HOW", "sort", NULL, NULL, 0},
	{3, "flag", 'f', CLI_NONE, NULL, "flag", NULL, NULL, 0},
	{4, NULL, 'b', CLI_REQUIRED, "SIZE", "block", NULL, NULL, 0},
	{5, "later", 'l', CLI_OPTIONAL, NULL, NULL, NULL, NULL, 1},
};

static const struct cli_exit exits[] = {{"0", "Good."}, {NULL, NULL}};

static const struct cli_program program = {
	.name = "test.erofs",
	.synopsis = "[OPTIONS] A",
	.purpose = "test",
	.description = "Test.",
	.options = options,
	.n_options = 5,
	.exits = exits,
	.see_also = "x(8)",
	.usage_status = 16,
};

/* What the handler saw, as "id=value " each. */
struct seen {
	char text[256];
};

static ek_status handle(void *ctx, const struct cli_option *option,
			const char *value, struct ek_err *err)
{
	struct seen *seen = ctx;
	size_t n = strlen(seen->text);

	if (value && strcmp(value, "bad") == 0)
		return ek_fail(err, EK_INVALID, "that is bad");
	snprintf(seen->text + n, sizeof(seen->text) - n, "%d=%s ", option->id,
		 value ? value : "-");
	return EK_OK;
}

/* Run a command line of words apart by blanks; stdout and stderr to files. */
static int run(const char *line, struct seen *seen, char operands[256],
	       char output[4096])
{
	char copy[256], *argv[16], *save = NULL;
	int argc = 0, first = 0, status, out, err_fd, fd;
	char name[] = "/tmp/ek-cli-XXXXXX";
	size_t len = 0;
	ssize_t n;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	*seen = (struct seen){""};
	fd = mkstemp(name);
	assert_true(fd >= 0);
	unlink(name);
	fflush(stdout);
	out = dup(1);
	err_fd = dup(2);
	dup2(fd, 1);
	dup2(fd, 2);
	status = cli_parse(&program, argc, argv, handle, seen, &first);
	fflush(stdout);
	dup2(out, 1);
	dup2(err_fd, 2);
	close(out);
	close(err_fd);
	n = pread(fd, output, 4095, 0);
	close(fd);
	output[n < 0 ? 0 : n] = 0;
	operands[0] = 0;
	for (int i = first; status == CLI_GO_ON && i < argc; i++)
		len += (size_t)snprintf(operands + len, 256 - len, "%s ",
					argv[i]);
	return status;
}

static void test_good(void **state)
{
	static const struct {
		const char *line, *seen, *operands;
	} cases[] = {
		{"p", "", ""},
		{"p a b", "", "a b "},
		{"p a -f b", "3=- ", "a b "},
		{"p --size=4 --size 5 -s6 -s 7", "1=4 1=5 1=6 1=7 ", ""},
		{"p --si=4", "1=4 ", ""},
		{"p --sort --sort=x a", "2=- 2=x ", "a "},
		{"p --fl", "3=- ", ""},
		{"p -fb512", "3=- 4=512 ", ""},
		{"p -- -f", "", "-f "},
		{"p - x", "", "- x "},
		{"p --size=", "1= ", ""},
	};
	char operands[256], output[4096];
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(run(cases[i].line, &seen, operands, output),
				 CLI_GO_ON);
		assert_string_equal(seen.text, cases[i].seen);
		assert_string_equal(operands, cases[i].operands);
		assert_string_equal(output, "");
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *line, *text;
	} cases[] = {
		{"p --nope", "--nope: no such option"},
		{"p --nope=1 x", "--nope: no such option"},
		{"p -q", "-q: no such option"},
		{"p -fq", "-q: no such option"},
		{"p --s", "--s: several options begin so"},
		{"p --size", "--size: a value is needed"},
		{"p -b", "-b: a value is needed"},
		{"p --flag=1", "--flag takes no value"},
		{"p -bbad", "-bbad: that is bad"},
		{"p --size=bad", "--size=bad: that is bad"},
		{"p --later", "--later: not supported by this version"},
		{"p --later=f", "--later: not supported by this version"},
		{"p -lx", "-l: not supported by this version"},
	};
	char operands[256], output[4096], want[256];
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(run(cases[i].line, &seen, operands, output),
				 16);
		snprintf(want, sizeof(want),
			 "<E> erofs: %s\n"
			 "Try 'test.erofs --help' for the options.\n",
			 cases[i].text);
		assert_string_equal(output, want);
	}
}

static void test_builtin(void **state)
{
	char operands[256], output[4096];
	struct seen seen;

	(void)state;
	assert_int_equal(run("p -V", &seen, operands, output), 0);
	assert_string_equal(output, "test.erofs (erofs-utils) 1.9.3\n"
				    "erofskit " PACKAGE_VERSION
				    ", command line compatible with "
				    "erofs-utils 1.9.3\n");
	assert_int_equal(run("p x --help", &seen, operands, output), 0);
	assert_non_null(strstr(output, "Usage: test.erofs [OPTIONS] A\n"));
	assert_int_equal(run("p -h", &seen, operands, output), 0);
	assert_non_null(strstr(output, "--size=SIZE"));
	assert_int_equal(run("p --help-man", &seen, operands, output), 0);
	assert_non_null(strstr(output, ".SH NAME\n"));
}

/* A text of others can neither make a line nor steer a terminal. */
static void test_message(void **state)
{
	char operands[256], output[4096];
	struct seen seen;

	(void)state;
	assert_int_equal(
		run("p --x\n<E>\033[0m\xc3\xa4", &seen, operands, output), 16);
	assert_non_null(strstr(output, "--x\\x0a<E>\\x1b[0m\xc3\xa4: no such"));
}

const struct CMUnitTest parse_tests[] = {
	cmocka_unit_test(test_good),
	cmocka_unit_test(test_bad),
	cmocka_unit_test(test_builtin),
	cmocka_unit_test(test_message),
	UNIT_END,
};
