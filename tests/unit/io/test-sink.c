/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "io/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int temp_file(void)
{
	char path[] = "/tmp/erofskit-unit.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static void memory(void **state)
{
	struct ek_sink *sink;
	struct ek_err err;
	char got[16];
	size_t n;

	(void)state;
	assert_int_equal(ek_sink_in_memory(100, &sink, &err), EK_OK);
	assert_int_equal(ek_sink_write(sink, 5, "abc", 3, &err), EK_OK);
	assert_int_equal(ek_sink_write(sink, 0, "x", 1, &err), EK_OK);
	assert_memory_equal(ek_sink_memory(sink, &n), "x\0\0\0\0abc", 8);
	assert_int_equal(n, 8);
	assert_int_equal(ek_sink_read(sink, 5, got, 3, &err), EK_OK);
	assert_memory_equal(got, "abc", 3);
	assert_int_equal(ek_sink_read(sink, 5, got, 4, &err), EK_INVALID);
	assert_int_equal(ek_sink_resize(sink, 6, &err), EK_OK);
	assert_int_equal(ek_sink_resize(sink, 9, &err), EK_OK);
	assert_memory_equal(ek_sink_memory(sink, &n), "x\0\0\0\0a\0\0\0", 9);
	assert_int_equal(n, 9);
	assert_int_equal(ek_sink_write(sink, 98, "abc", 3, &err), EK_LIMIT);
	assert_int_equal(ek_sink_resize(sink, 101, &err), EK_LIMIT);
	assert_int_equal(ek_sink_write(sink, 97, "abc", 3, &err), EK_OK);
	assert_int_equal(ek_sink_flush(sink, &err), EK_OK);
	assert_int_equal(ek_sink_write(sink, UINT64_MAX, "abc", 3, &err),
			 EK_LIMIT);
	assert_int_equal(ek_sink_write(sink, INT64_MAX - 1, "abc", 3, &err),
			 EK_LIMIT);
	ek_sink_free(sink);
	ek_sink_free(NULL);
}

#define MODEL (4u << 20)

struct rng {
	uint64_t state;
};

static uint32_t next(struct rng *rng)
{
	rng->state = rng->state * UINT64_C(6364136223846793005) + 1442695;
	return (uint32_t)(rng->state >> 33);
}

/* Any order of writes and reads gives what a plain array would. */
static void a_file_against_a_model(void **state)
{
	uint8_t *model = calloc(1, MODEL), *some = malloc(MODEL);
	int fd = temp_file();
	struct rng rng = {1};
	struct ek_sink *sink;
	struct ek_err err;
	uint64_t at = 0, end = 0;
	struct stat st;

	(void)state;
	assert_true(model && some);
	assert_int_equal(write(fd, "head and old bytes", 18), 18);
	assert_int_equal(ek_sink_from_fd(fd, "f", 4, &sink, &err), EK_OK);
	for (int i = 0; i < 3000; i++) {
		size_t n = 1 + next(&rng) % (i % 50 ? 5000 : 600000);

		if (i % 3 == 0)
			at = next(&rng) % (end + 10000);
		if (at + n > MODEL)
			at = next(&rng) % 1000;
		memset(some, i, n);
		some[0] = (uint8_t)~i;
		memcpy(model + at, some, n);
		assert_int_equal(ek_sink_write(sink, at, some, n, &err), EK_OK);
		at += n;
		end = at > end ? at : end;
		if (i % 7 == 0) {
			uint64_t from = next(&rng) % end;
			size_t len = (size_t)ek_min(end - from, 4000);

			assert_int_equal(
				ek_sink_read(sink, from, some, len, &err),
				EK_OK);
			assert_memory_equal(some, model + from, len);
		}
	}
	assert_int_equal(ek_sink_read(sink, end, some, 1, &err), EK_INVALID);
	assert_int_equal(ek_sink_resize(sink, end + 100, &err), EK_OK);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, end + 104);
	assert_int_equal(pread(fd, some, (size_t)end + 4, 0), end + 4);
	assert_memory_equal(some, "head", 4);
	assert_memory_equal(some + 4, model, (size_t)end);
	ek_sink_free(sink);
	close(fd);
	free(model);
	free(some);
}

static void small_writes_reach_the_file_together(void **state)
{
	int fd = temp_file();
	struct ek_sink *sink;
	struct stat st;

	(void)state;
	assert_int_equal(ek_sink_from_fd(fd, "f", 0, &sink, NULL), EK_OK);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(
			ek_sink_write(sink, i * 10, "0123456789", 10, NULL),
			EK_OK);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(ek_sink_flush(sink, NULL), EK_OK);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 1000);
	assert_int_equal(ek_sink_resize(sink, 5, NULL), EK_OK);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 5);
	ek_sink_free(sink);
	close(fd);
}

static void a_limit_on_size_is_told(void **state)
{
	struct rlimit old, small;
	int fd = temp_file();
	struct ek_sink *sink;
	struct ek_err err;
	void (*handler)(int);

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 8192;
	handler = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(ek_sink_from_fd(fd, "my/f", 0, &sink, &err), EK_OK);
	assert_int_equal(ek_sink_write(sink, 9000, "x", 1, &err), EK_OK);
	assert_int_equal(ek_sink_flush(sink, &err), EK_IO);
	assert_int_equal(err.sys, EFBIG);
	assert_non_null(strstr(err.text, "my/f"));
	assert_int_equal(ek_sink_resize(sink, 9000, &err), EK_IO);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, handler);
	ek_sink_free(sink);
	close(fd);
}

static void other_types_are_refused(void **state)
{
	struct ek_sink *sink;
	struct ek_err err;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(ek_sink_from_fd(p[1], "p", 0, &sink, &err),
			 EK_INVALID);
	assert_null(sink);
	close(p[0]);
	close(p[1]);
	assert_int_equal(ek_sink_from_fd(-1, "p", 0, &sink, &err), EK_IO);
}

extern const struct CMUnitTest sink_tests[];
const struct CMUnitTest sink_tests[] = {
	cmocka_unit_test(memory),
	cmocka_unit_test(a_file_against_a_model),
	cmocka_unit_test(small_writes_reach_the_file_together),
	cmocka_unit_test(a_limit_on_size_is_told),
	cmocka_unit_test(other_types_are_refused),
	UNIT_END,
};
