/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cachefilesd/config/log.h"
#include "cachefilesd/config/steps.h"

#include <json-c/json.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern const struct CMUnitTest log_tests[];

static struct ekd_log *open_log(int *fd)
{
	struct ekd_log *log;
	struct ek_err err;

	*fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(*fd >= 0);
	assert_int_equal(ekd_log_new(*fd, "test", &log, &err), EK_OK);
	return log;
}

/* What was written, for free(). */
static char *close_log(struct ekd_log *log, int fd)
{
	off_t n = lseek(fd, 0, SEEK_END);
	char *text = malloc((size_t)n + 1);

	assert_non_null(text);
	assert_int_equal(pread(fd, text, (size_t)n, 0), n);
	text[n] = 0;
	close(fd);
	ekd_log_free(log);
	return text;
}

static void pairs(void **state)
{
	int fd;
	struct ekd_log *log = open_log(&fd);
	char *text;

	(void)state;
	ekd_log_event(log, EKD_LOG_INFO, "mounted", "target", "/a b", "none",
		      NULL, "path", "/c\nlevel=error", "n", "1", NULL);
	ekd_log_event(log, EKD_LOG_DEBUG, "hidden", NULL);
	ekd_log_line(log, EKD_LOG_WARNING, "event=x a=\"1 \\\" 2\" b=3 loose");
	text = close_log(log, fd);
	assert_non_null(strstr(text, "level=info from=test event=mounted "
				     "target=\"/a b\" "
				     "path=\"/c\\u000alevel=error\" n=1\n"));
	assert_null(strstr(text, "hidden"));
	assert_non_null(strstr(text, "level=warning from=test event=x "));
	assert_non_null(strstr(text, "b=3 text=loose\n"));
	free(text);
}

static void json(void **state)
{
	int fd;
	struct ekd_log *log = open_log(&fd);
	struct json_object *line, *v;
	char *text, long_text[5000];

	(void)state;
	ekd_log_set(log, EKD_LOG_INFO, true);
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = 0;
	ekd_log_event(log, EKD_LOG_INFO, "e", "k", "a\"\\\x01\xff", NULL);
	text = close_log(log, fd);
	line = json_tokener_parse(text);
	assert_non_null(line);
	assert_true(json_object_object_get_ex(line, "k", &v));
	assert_memory_equal(json_object_get_string(v), "a\"\\\x01", 4);
	assert_true(json_object_object_get_ex(line, "from", &v));
	json_object_put(line);
	free(text);
}

/* Cut, but a line of its own that is closed. */
static void long_line(void **state)
{
	int fd;
	struct ekd_log *log = open_log(&fd);
	char *text, value[5000];

	(void)state;
	memset(value, '"', sizeof(value));
	value[sizeof(value) - 1] = 0;
	ekd_log_event(log, EKD_LOG_ERROR, "e", "k", value, NULL);
	ekd_log_event(log, EKD_LOG_ERROR, "after", NULL);
	text = close_log(log, fd);
	assert_true(strlen(text) < 2 * 2048);
	assert_non_null(strstr(text, "\"\ntime="));
	assert_non_null(strstr(text, "event=after\n"));
	free(text);
}

static void limited(void **state)
{
	int fd;
	struct ekd_log *log = open_log(&fd);
	unsigned lines = 0;
	char *text;

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		ekd_log_event(log, EKD_LOG_INFO, "again", NULL);
	usleep(60000);
	ekd_log_event(log, EKD_LOG_INFO, "last", NULL);
	text = close_log(log, fd);
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_true(lines >= 200 && lines < 2000);
	assert_non_null(strstr(text, "event=lines-left-out lines="));
	assert_non_null(strstr(text, "event=last"));
	free(text);
}

static void steps(void **state)
{
	struct ekd_steps s;
	struct ek_err err;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(ekd_steps_set(&s, NULL, &err), EK_OK);
	ekd_steps_pass(&s, "a:b");
	assert_int_equal(ekd_steps_set(&s, "a:b", &err), EK_INVALID);
	assert_int_equal(ekd_steps_set(&s, "a:b:0", &err), EK_INVALID);
	assert_int_equal(ekd_steps_set(&s, "a:b:1x", &err), EK_INVALID);
	assert_int_equal(ekd_steps_set(&s, "a:b:2", &err), EK_OK);
	ekd_steps_pass(&s, "a:c");
	ekd_steps_pass(&s, "a:b");
	ekd_steps_pass(&s, "a:c");
	pid = fork();
	if (pid == 0) {
		ekd_steps_pass(&s, "a:b");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == 9);
}

const struct CMUnitTest log_tests[] = {
	cmocka_unit_test(pairs),     cmocka_unit_test(json),
	cmocka_unit_test(long_line), cmocka_unit_test(limited),
	cmocka_unit_test(steps),     UNIT_END,
};
