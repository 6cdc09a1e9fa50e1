/* SPDX-License-Identifier: Apache-2.0 */
#include "tmp.h"
#include "unit.h"

#include <erofskit/outfile.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ek_outfile *begin(const struct tmp *tmp, const char *name,
				const char *text)
{
	struct ek_outfile *out;
	char path[512];

	assert_int_equal(
		ek_outfile_open(tmp_path(tmp, name, path), NULL, &out, NULL),
		EK_OK);
	assert_false(ek_outfile_in_place(out));
	assert_int_equal(write(ek_outfile_fd(out), text, strlen(text)),
			 strlen(text));
	return out;
}

static mode_t mode_of(const struct tmp *tmp, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(tmp->fd, name, &st, 0), 0);
	return st.st_mode & 07777;
}

static void a_new_file_appears_at_commit(void **state)
{
	mode_t old = umask(027);
	struct ek_outfile *out;
	struct tmp tmp;

	(void)state;
	tmp_make(&tmp);
	out = begin(&tmp, "new", "contents");
	assert_int_equal(tmp_count(&tmp), 1);
	assert_int_equal(faccessat(tmp.fd, "new", F_OK, 0), -1);
	assert_int_equal(ek_outfile_commit(out, NULL), EK_OK);
	tmp_expect(&tmp, "new", "contents");
	assert_int_equal(tmp_count(&tmp), 1);
	assert_int_equal(mode_of(&tmp, "new"), 0640);
	umask(old);
	tmp_remove(&tmp);
}

static void an_old_file_stays_until_commit(void **state)
{
	struct ek_outfile *out;
	struct tmp tmp;

	(void)state;
	tmp_make(&tmp);
	tmp_write(&tmp, "f", "old");
	assert_int_equal(fchmodat(tmp.fd, "f", 0604, 0), 0);
	out = begin(&tmp, "f", "new");
	tmp_expect(&tmp, "f", "old");
	ek_outfile_abort(out);
	tmp_expect(&tmp, "f", "old");
	assert_int_equal(tmp_count(&tmp), 1);
	out = begin(&tmp, "f", "new");
	assert_int_equal(ek_outfile_commit(out, NULL), EK_OK);
	tmp_expect(&tmp, "f", "new");
	assert_int_equal(mode_of(&tmp, "f"), 0604);
	assert_int_equal(tmp_count(&tmp), 1);
	ek_outfile_abort(NULL);
	tmp_remove(&tmp);
}

static void links_are_followed(void **state)
{
	struct ek_outfile *out;
	struct stat st;
	struct tmp tmp;

	(void)state;
	tmp_make(&tmp);
	assert_int_equal(mkdirat(tmp.fd, "d", 0700), 0);
	assert_int_equal(symlinkat("d/second", tmp.fd, "first"), 0);
	assert_int_equal(symlinkat("../third", tmp.fd, "d/second"), 0);
	/* The end does not exist yet, then it does. */
	for (int i = 0; i < 2; i++) {
		out = begin(&tmp, "first", i ? "again" : "once");
		assert_int_equal(ek_outfile_commit(out, NULL), EK_OK);
		tmp_expect(&tmp, "third", i ? "again" : "once");
		assert_int_equal(
			fstatat(tmp.fd, "third", &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_true(S_ISREG(st.st_mode));
		assert_int_equal(
			fstatat(tmp.fd, "first", &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_true(S_ISLNK(st.st_mode));
	}
	assert_int_equal(tmp_count(&tmp), 3);
	tmp_remove(&tmp);
}

static void refuses(const char *path, ek_status want, const char *words)
{
	struct ek_outfile *out;
	struct ek_err err;

	assert_int_equal(ek_outfile_open(path, NULL, &out, &err), want);
	assert_null(out);
	assert_non_null(strstr(err.text, words));
}

static void what_is_no_file_is_refused(void **state)
{
	struct tmp tmp;
	char path[512];

	(void)state;
	tmp_make(&tmp);
	assert_int_equal(mkfifoat(tmp.fd, "fifo", 0600), 0);
	refuses(tmp_path(&tmp, "fifo", path), EK_INVALID, "is a pipe");
	refuses(tmp.path, EK_INVALID, "is a directory");
	refuses("/dev/null", EK_INVALID, "is a character device");
	refuses("", EK_INVALID, "no name");
	refuses(tmp_path(&tmp, "none/f", path), EK_NOTFOUND, "none/f");
	refuses(tmp_path(&tmp, "new/", path), EK_INVALID, "new/");
	refuses(tmp_path(&tmp, "fifo/x", path), EK_IO, "fifo/x");
	assert_int_equal(symlinkat("loop", tmp.fd, "loop"), 0);
	refuses(tmp_path(&tmp, "loop", path), EK_IO, "loop");
	assert_int_equal(mknodat(tmp.fd, "s", S_IFSOCK | 0600, 0), 0);
	refuses(tmp_path(&tmp, "s", path), EK_INVALID, "is a socket");
	tmp_remove(&tmp);
}

static void a_pipe_behind_proc_is_refused(void **state)
{
	char path[64];
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[1]);
	refuses(path, EK_INVALID, "is a pipe");
	close(p[0]);
	close(p[1]);
}

static void must_be_new(void **state)
{
	struct ek_outfile_options options = {sizeof(options), true, true};
	struct ek_outfile *out;
	struct tmp tmp;
	char path[512];

	(void)state;
	tmp_make(&tmp);
	tmp_path(&tmp, "f", path);
	assert_int_equal(ek_outfile_open(path, &options, &out, NULL), EK_OK);
	/* Somebody else was faster. */
	tmp_write(&tmp, "f", "theirs");
	assert_int_equal(ek_outfile_commit(out, NULL), EK_EXISTS);
	tmp_expect(&tmp, "f", "theirs");
	assert_int_equal(tmp_count(&tmp), 1);
	assert_int_equal(ek_outfile_open(path, &options, &out, NULL),
			 EK_EXISTS);
	assert_int_equal(unlinkat(tmp.fd, "f", 0), 0);
	assert_int_equal(ek_outfile_open(path, &options, &out, NULL), EK_OK);
	assert_int_equal(ek_outfile_commit(out, NULL), EK_OK);
	tmp_expect(&tmp, "f", "");
	assert_int_equal(tmp_count(&tmp), 1);
	options.size = 3;
	assert_int_equal(ek_outfile_open(path, &options, &out, NULL),
			 EK_INVALID);
	tmp_remove(&tmp);
}

static void removal_from_a_handler(void **state)
{
	struct ek_outfile *out;
	struct tmp tmp;

	(void)state;
	tmp_make(&tmp);
	tmp_write(&tmp, "f", "old");
	out = begin(&tmp, "f", "new");
	errno = 77;
	ek_outfile_remove(out);
	assert_int_equal(errno, 77);
	assert_int_equal(tmp_count(&tmp), 1);
	assert_int_equal(ek_outfile_commit(out, NULL), EK_NOTFOUND);
	tmp_expect(&tmp, "f", "old");
	tmp_remove(&tmp);
}

static void the_longest_name(void **state)
{
	char name[NAME_MAX + 2];
	struct ek_outfile *out;
	struct tmp tmp;
	char path[600];

	(void)state;
	tmp_make(&tmp);
	memset(name, 'n', sizeof(name));
	name[NAME_MAX] = 0;
	out = begin(&tmp, name, "long");
	assert_int_equal(ek_outfile_commit(out, NULL), EK_OK);
	tmp_expect(&tmp, name, "long");
	name[NAME_MAX] = 'n';
	name[NAME_MAX + 1] = 0;
	snprintf(path, sizeof(path), "%s/%s", tmp.path, name);
	refuses(path, EK_IO, "too long");
	tmp_remove(&tmp);
}

static void a_name_without_directory(void **state)
{
	int here = open(".", O_RDONLY | O_DIRECTORY);
	struct ek_outfile *out;
	struct tmp tmp;

	(void)state;
	tmp_make(&tmp);
	assert_int_equal(fchdir(tmp.fd), 0);
	assert_int_equal(ek_outfile_open("plain", NULL, &out, NULL), EK_OK);
	/* It does not matter where the program goes meanwhile. */
	assert_int_equal(fchdir(here), 0);
	assert_int_equal(ek_outfile_commit(out, NULL), EK_OK);
	tmp_expect(&tmp, "plain", "");
	close(here);
	tmp_remove(&tmp);
}

struct other {
	const struct tmp *tmp;
	atomic_bool stop;
};

/* Puts another file there, again and again. */
static void *write_too(void *arg)
{
	struct other *other = arg;
	int dir = other->tmp->fd;

	while (!atomic_load(&other->stop)) {
		close(openat(dir, "next", O_WRONLY | O_CREAT, 0644));
		renameat(dir, "next", dir, "out");
	}
	return NULL;
}

/* Several may write one file at a time: the last one's stays. */
static void others_may_write_it_too(void **state)
{
	struct other other = {0};
	pthread_t thread;
	struct tmp tmp;

	(void)state;
	tmp_make(&tmp);
	other.tmp = &tmp;
	assert_int_equal(pthread_create(&thread, NULL, write_too, &other), 0);
	for (int i = 0; i < 20000; i++)
		ek_outfile_abort(begin(&tmp, "out", "ours"));
	atomic_store(&other.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(ek_outfile_commit(begin(&tmp, "out", "ours"), NULL),
			 EK_OK);
	tmp_expect(&tmp, "out", "ours");
	tmp_remove(&tmp);
}

extern const struct CMUnitTest outfile_tests[];
const struct CMUnitTest outfile_tests[] = {
	cmocka_unit_test(a_new_file_appears_at_commit),
	cmocka_unit_test(an_old_file_stays_until_commit),
	cmocka_unit_test(links_are_followed),
	cmocka_unit_test(what_is_no_file_is_refused),
	cmocka_unit_test(a_pipe_behind_proc_is_refused),
	cmocka_unit_test(must_be_new),
	cmocka_unit_test(removal_from_a_handler),
	cmocka_unit_test(the_longest_name),
	cmocka_unit_test(a_name_without_directory),
	cmocka_unit_test(others_may_write_it_too),
	UNIT_END,
};
