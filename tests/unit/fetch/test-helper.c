/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/fetch/docker.h"
#include "cachefilesd/fetch/helper.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void run(const char *script, size_t most, uint32_t ms, ek_status want,
		const char *output, int code)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	struct ek_err err;
	char *text;
	int got = -2;
	ek_status status =
		ekd_helper_run(argv, "the input", most, ms, &text, &got, &err);

	assert_int_equal(status, want);
	if (want == EK_OK) {
		assert_string_equal(text, output);
		assert_int_equal(got, code);
	} else {
		assert_null(text);
	}
	free(text);
}

static void helpers(void **state)
{
	const char *none[] = {"/nonexistent/helper", NULL};
	struct ek_err err;
	char *text;
	int code;

	(void)state;
	run("cat", 9, 5000, EK_OK, "the input", 0);
	run("cat; exit 3", 100, 5000, EK_OK, "the input", 3);
	run("cat", 8, 5000, EK_LIMIT, NULL, 0);
	run("cat /dev/zero", 1000, 5000, EK_LIMIT, NULL, 0);
	run("echo no >&2", 100, 5000, EK_OK, "", 0);
	run("kill -9 $$", 100, 5000, EK_IO, NULL, 0);
	/* Hangs with and without an open standard output, with children. */
	run("sleep 100 & wait", 100, 50, EK_IO, NULL, 0);
	run("exec >&-; sleep 100", 100, 50, EK_IO, NULL, 0);
	assert_int_equal(ekd_helper_run(none, "", 10, 1000, &text, &code, &err),
			 EK_IO);
	assert_int_equal(err.status, EK_IO);
	assert_int_equal(err.sys, ENOENT);
	assert_non_null(strstr(err.text, none[0]));
}

static void helpers_inherit_nothing(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0); /* without CLOEXEC */
	run("ls /proc/self/fd | wc -l", 100, 5000, EK_OK, "4\n", 0);
	close(fds[0]);
	close(fds[1]);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fputs(text, f) >= 0, 1);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void finds(const char *path, const char *host, const char *want)
{
	struct ek_err err;
	char *secret;

	if (ekd_docker_credentials(path, host, 5000, &secret, &err) != EK_OK)
		fail_msg("%s: %s", host, err.text);
	if (want)
		assert_string_equal(secret, want);
	else
		assert_null(secret);
	free(secret);
}

static void refuses(const char *path, const char *text, const char *host,
		    ek_status want)
{
	struct ek_err err;
	char *secret;

	write_file(path, text, 0600);
	assert_int_equal(
		ekd_docker_credentials(path, host, 5000, &secret, &err), want);
	assert_null(secret);
}

static const char config[] =
	"{\"auths\":{"
	"\"https://index.docker.io/v1/\":{\"auth\":\"aHViOnB3\"},"
	"\"r.example:5000\":{\"auth\":\"dTpwOnE=\"},"
	"\"https://s.example\":{\"username\":\"a\",\"password\":\"b\"},"
	"\"t.example\":{\"auth\":\"dTpw\",\"identitytoken\":\"long\"},"
	"\"e.example\":{}},"
	"\"credHelpers\":{\"h.example\":\"good\",\"n.example\":\"none\"}}";

static void docker_config(void **state)
{
	char dir[] = "/tmp/ekd-helper-XXXXXX", path[64], tool[96];
	char *old = strdup(getenv("PATH")), *search;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/config.json", dir);
	assert_true(asprintf(&search, "%s:%s", dir, old) > 0);
	setenv("PATH", search, 1);
	free(search);
	snprintf(tool, sizeof(tool), "%s/docker-credential-good", dir);
	write_file(tool,
		   "#!/bin/sh\nread host\ntest \"$1\" = get || exit 9\n"
		   "echo '{\"ServerURL\":\"x\",\"Username\":\"u\","
		   "\"Secret\":\"of '$host'\"}'\n",
		   0700);
	snprintf(tool, sizeof(tool), "%s/docker-credential-none", dir);
	write_file(tool,
		   "#!/bin/sh\necho credentials not found in store\nexit 1\n",
		   0700);
	write_file(path, config, 0600);
	finds(path, "docker.io", "hub:pw");
	finds(path, "r.example:5000", "u:p:q");
	finds(path, "r.example", NULL);
	finds(path, "s.example", "a:b");
	finds(path, "t.example", "<token>:long");
	finds(path, "e.example", NULL);
	finds(path, "h.example", "u:of h.example");
	finds(path, "n.example", NULL);
	write_file(path, "{\"credsStore\":\"good\"}", 0600);
	finds(path, "docker.io", "u:of https://index.docker.io/v1/");
	refuses(path, "{\"credsStore\":\"missing\"}", "h", EK_IO);
	refuses(path, "{\"credsStore\":\"../good\"}", "h", EK_CORRUPT);
	refuses(path, "{\"credsStore\":\"good;x\"}", "h", EK_CORRUPT);
	refuses(path, "{", "h", EK_CORRUPT);
	refuses(path, "", "h", EK_CORRUPT);
	refuses(path, "{\"auths\":{\"h\":{\"auth\":\"*\"}}}", "h", EK_CORRUPT);
	refuses(path, "{\"auths\":{\"h\":{\"auth\":\"dQ==\"}}}", "h",
		EK_CORRUPT);
	refuses(path, "{\"auths\":{\"h\":{\"auth\":\"dQA6cA==\"}}}", "h",
		EK_CORRUPT);
	unlink(path);
	assert_int_equal(ekd_docker_credentials(path, "h", 1, &search, NULL),
			 EK_NOTFOUND);
	setenv("PATH", old, 1);
	free(old);
	unlink(tool);
	snprintf(tool, sizeof(tool), "%s/docker-credential-good", dir);
	unlink(tool);
	rmdir(dir);
}

const struct CMUnitTest helper_tests[] = {
	cmocka_unit_test(helpers),
	cmocka_unit_test(helpers_inherit_nothing),
	cmocka_unit_test(docker_config),
	UNIT_END,
};
