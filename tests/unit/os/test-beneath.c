/* SPDX-License-Identifier: Apache-2.0 */
#include "tmp.h"
#include "unit.h"

#include "os/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef ek_status (*open_fn)(int root, const char *path, int flags, mode_t mode,
			     int *fd, struct ek_err *err);

struct place {
	struct tmp tmp;
	int root;
};

static void make_place(struct place *p)
{
	tmp_make(&p->tmp);
	tmp_write(&p->tmp, "secret", "outside");
	assert_int_equal(mkdirat(p->tmp.fd, "root", 0700), 0);
	assert_int_equal(mkdirat(p->tmp.fd, "root/a", 0700), 0);
	assert_int_equal(mkdirat(p->tmp.fd, "root/a/b", 0700), 0);
	tmp_write(&p->tmp, "root/a/b/f", "inside");
	assert_int_equal(symlinkat("b", p->tmp.fd, "root/a/link"), 0);
	assert_int_equal(symlinkat("b/f", p->tmp.fd, "root/a/file"), 0);
	assert_int_equal(symlinkat("/etc", p->tmp.fd, "root/etc"), 0);
	assert_int_equal(symlinkat("../secret", p->tmp.fd, "root/up"), 0);
	p->root = openat(p->tmp.fd, "root", O_RDONLY | O_DIRECTORY);
	assert_true(p->root >= 0);
}

static void drop_place(struct place *p)
{
	close(p->root);
	tmp_remove(&p->tmp);
}

static void opens(open_fn fn, const struct place *p, const char *path,
		  int flags, const char *want)
{
	char got[16] = "";
	int fd;

	assert_int_equal(fn(p->root, path, flags, 0600, &fd, NULL), EK_OK);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	if (want) {
		assert_true(read(fd, got, sizeof(got) - 1) >= 0);
		assert_string_equal(got, want);
	}
	close(fd);
}

/* errno 0: not to be looked at. */
static void refuses(open_fn fn, const struct place *p, const char *path,
		    int flags, ek_status want, int sys)
{
	struct ek_err err;
	int fd = 99;

	assert_int_equal(fn(p->root, path, flags, 0600, &fd, &err), want);
	assert_int_equal(fd, -1);
	if (sys)
		assert_int_equal(err.sys, sys);
}

static void both(open_fn fn)
{
	struct place p;

	make_place(&p);
	opens(fn, &p, "a/b/f", O_RDONLY, "inside");
	opens(fn, &p, "a//b/./f", O_RDONLY, "inside");
	opens(fn, &p, ".", O_RDONLY | O_DIRECTORY, NULL);
	opens(fn, &p, "a/b/", O_RDONLY | O_DIRECTORY, NULL);
	opens(fn, &p, "a/b", O_PATH, NULL);
	opens(fn, &p, "a/new", O_RDWR | O_CREAT | O_EXCL, "");
	refuses(fn, &p, "a/new", O_RDWR | O_CREAT | O_EXCL, EK_EXISTS, EEXIST);
	refuses(fn, &p, "a/none/f", O_RDONLY, EK_NOTFOUND, ENOENT);
	refuses(fn, &p, "a/b/f/g", O_RDONLY, EK_IO, ENOTDIR);
	refuses(fn, &p, "a/b/f/", O_RDONLY, EK_IO, ENOTDIR);

	refuses(fn, &p, "", O_RDONLY, EK_INVALID, 0);
	refuses(fn, &p, "/etc/passwd", O_RDONLY, EK_INVALID, 0);
	refuses(fn, &p, "..", O_RDONLY, EK_INVALID, 0);
	refuses(fn, &p, "../secret", O_RDONLY, EK_INVALID, 0);
	refuses(fn, &p, "a/../../secret", O_RDONLY, EK_INVALID, 0);
	refuses(fn, &p, "a/..", O_RDONLY, EK_INVALID, 0);
	refuses(fn, &p, "a/../a", O_RDONLY, EK_INVALID, 0);

	refuses(fn, &p, "a/file", O_RDONLY, EK_IO, ELOOP);
	refuses(fn, &p, "up", O_RDONLY, EK_IO, ELOOP);
	refuses(fn, &p, "up", O_PATH, EK_IO, ELOOP);
	refuses(fn, &p, "up", O_PATH | O_NOFOLLOW, EK_IO, ELOOP);
	refuses(fn, &p, "up", O_RDWR | O_CREAT, EK_IO, ELOOP);
	refuses(fn, &p, "a/link/f", O_RDONLY, EK_IO, 0);
	refuses(fn, &p, "etc/passwd", O_RDONLY, EK_IO, 0);
	/* Names with two dots are names. */
	opens(fn, &p, "a/..x", O_RDWR | O_CREAT, "");
	opens(fn, &p, "a/x..", O_RDWR | O_CREAT, "");
	tmp_expect(&p.tmp, "secret", "outside");
	drop_place(&p);
}

static void by_openat2(void **state)
{
	(void)state;
	both(ek_open_beneath);
}

static void by_walking(void **state)
{
	(void)state;
	both(ek_open_beneath_walk);
}

static void long_names(void **state)
{
	char name[400];
	struct place p;

	(void)state;
	make_place(&p);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = 0;
	refuses(ek_open_beneath, &p, name, O_RDONLY, EK_IO, ENAMETOOLONG);
	refuses(ek_open_beneath_walk, &p, name, O_RDONLY, EK_IO, ENAMETOOLONG);
	drop_place(&p);
}

extern const struct CMUnitTest beneath_tests[];
const struct CMUnitTest beneath_tests[] = {
	cmocka_unit_test(by_openat2),
	cmocka_unit_test(by_walking),
	cmocka_unit_test(long_names),
	UNIT_END,
};
