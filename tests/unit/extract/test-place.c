/* SPDX-License-Identifier: Apache-2.0 */
#include "extract-unit.h"

#include "extract/place.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct dir {
	char path[64];
	int fd;
};

static int setup(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	snprintf(d->path, sizeof(d->path), "/tmp/ek-place-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY);
	assert_true(d->fd >= 0);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dir *d = *state;
	char command[128];

	close(d->fd);
	snprintf(command, sizeof(command), "rm -rf %s", d->path);
	assert_int_equal(system(command), 0);
	free(d);
	return 0;
}

static void put(const struct dir *d, const char *name)
{
	int fd = openat(d->fd, name, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
}

static off_t size_of(const struct dir *d, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_size;
}

static void test_create(void **state)
{
	struct dir *d = *state;
	int fd;

	assert_int_equal(ek_place_create(d->fd, "f", 0600, false, &fd, NULL),
			 EK_OK);
	close(fd);
	put(d, "g");
	assert_int_equal(ek_place_create(d->fd, "g", 0600, false, &fd, NULL),
			 EK_EXISTS);
	assert_int_equal(size_of(d, "g"), 4);
	assert_int_equal(ek_place_create(d->fd, "g", 0600, true, &fd, NULL),
			 EK_OK);
	assert_int_equal(size_of(d, "g"), 0);
	close(fd);
}

/* A link is replaced, what it leads to stays. */
static void test_create_over_a_link(void **state)
{
	struct dir *d = *state;
	int fd;

	put(d, "victim");
	assert_int_equal(symlinkat("victim", d->fd, "l"), 0);
	assert_int_equal(ek_place_create(d->fd, "l", 0600, false, &fd, NULL),
			 EK_EXISTS);
	assert_int_equal(ek_place_create(d->fd, "l", 0600, true, &fd, NULL),
			 EK_OK);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_int_equal(size_of(d, "victim"), 4);
	assert_int_equal(size_of(d, "l"), 1);
}

/* A directory is never removed for a file. */
static void test_create_over_a_directory(void **state)
{
	struct dir *d = *state;
	int fd;

	assert_int_equal(mkdirat(d->fd, "sub", 0700), 0);
	assert_int_equal(ek_place_create(d->fd, "sub", 0600, true, &fd, NULL),
			 EK_EXISTS);
	assert_int_equal(faccessat(d->fd, "sub", F_OK, 0), 0);
}

static void test_mkdir(void **state)
{
	struct dir *d = *state;
	struct stat st;
	bool made = false;

	assert_int_equal(ek_place_mkdir(d->fd, "sub", false, &made, NULL),
			 EK_OK);
	assert_true(made);
	assert_int_equal(ek_place_mkdir(d->fd, "sub", false, &made, NULL),
			 EK_OK);
	assert_false(made);
	put(d, "f");
	assert_int_equal(ek_place_mkdir(d->fd, "f", false, &made, NULL),
			 EK_EXISTS);
	assert_int_equal(symlinkat("sub", d->fd, "l"), 0);
	assert_int_equal(ek_place_mkdir(d->fd, "l", false, &made, NULL),
			 EK_EXISTS);
	assert_int_equal(ek_place_mkdir(d->fd, "l", true, &made, NULL), EK_OK);
	assert_true(made);
	assert_int_equal(fstatat(d->fd, "l", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISDIR(st.st_mode));
}

static void test_open_dir(void **state)
{
	struct dir *d = *state;
	int fd;

	assert_int_equal(mkdirat(d->fd, "a", 0700), 0);
	assert_int_equal(mkdirat(d->fd, "a/b", 0700), 0);
	assert_int_equal(symlinkat("a", d->fd, "l"), 0);
	assert_int_equal(symlinkat("/etc", d->fd, "out"), 0);
	assert_int_equal(ek_place_open_dir(d->fd, "a/b", &fd, NULL), EK_OK);
	close(fd);
	assert_int_equal(ek_place_open_dir(d->fd, "", &fd, NULL), EK_OK);
	close(fd);
	assert_int_not_equal(ek_place_open_dir(d->fd, "l", &fd, NULL), EK_OK);
	assert_int_not_equal(ek_place_open_dir(d->fd, "l/b", &fd, NULL), EK_OK);
	assert_int_not_equal(ek_place_open_dir(d->fd, "out", &fd, NULL), EK_OK);
	assert_int_not_equal(ek_place_open_dir(d->fd, "..", &fd, NULL), EK_OK);
	assert_int_not_equal(ek_place_open_dir(d->fd, "a/../..", &fd, NULL),
			     EK_OK);
}

/* Longer than any single system call takes. */
static void test_open_a_long_path(void **state)
{
	struct dir *d = *state;
	char name[201], path[40 * 201 + 1] = "";
	int at = dup(d->fd), next, i;

	memset(name, 'd', 200);
	name[200] = '\0';
	for (i = 0; i < 40; i++) {
		assert_int_equal(mkdirat(at, name, 0700), 0);
		next = openat(at, name, O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(at);
		at = next;
		snprintf(path + strlen(path), sizeof(path) - strlen(path),
			 "%s%s", i ? "/" : "", name);
	}
	close(at);
	assert_true(strlen(path) > 8000);
	assert_int_equal(ek_place_open_dir(d->fd, path, &at, NULL), EK_OK);
	close(at);
}

static void test_special(void **state)
{
	struct ek_node node = {.mode = S_IFLNK | 0777};
	struct dir *d = *state;
	int fd;

	assert_int_equal(
		ek_place_special(d->fd, "l", false, &node, "to", &fd, NULL),
		EK_OK);
	close(fd);
	assert_int_equal(size_of(d, "l"), 2);
	assert_int_equal(
		ek_place_special(d->fd, "l", false, &node, "other", &fd, NULL),
		EK_EXISTS);
	assert_int_equal(
		ek_place_special(d->fd, "l", true, &node, "other", &fd, NULL),
		EK_OK);
	close(fd);
	assert_int_equal(size_of(d, "l"), 5);
	node.mode = S_IFIFO | 0644;
	assert_int_equal(
		ek_place_special(d->fd, "p", false, &node, NULL, &fd, NULL),
		EK_OK);
	close(fd);
}

static void test_link(void **state)
{
	struct dir *d = *state;

	put(d, "a");
	assert_int_equal(ek_place_link(d->fd, "a", d->fd, "b", false, NULL),
			 EK_OK);
	assert_int_equal(ek_place_link(d->fd, "a", d->fd, "b", false, NULL),
			 EK_EXISTS);
	assert_int_equal(ek_place_link(d->fd, "a", d->fd, "b", true, NULL),
			 EK_OK);
	assert_int_equal(ek_place_link(d->fd, "none", d->fd, "c", true, NULL),
			 EK_NOTFOUND);
}

#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

const struct CMUnitTest place_tests[] = {
	PLACE_TEST(test_create),
	PLACE_TEST(test_create_over_a_link),
	PLACE_TEST(test_create_over_a_directory),
	PLACE_TEST(test_mkdir),
	PLACE_TEST(test_open_dir),
	PLACE_TEST(test_open_a_long_path),
	PLACE_TEST(test_special),
	PLACE_TEST(test_link),
	UNIT_END,
};
