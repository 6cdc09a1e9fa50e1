/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct CMUnitTest read_tests[];

static struct ek_file *open_file(struct tmpdir *t, const char *path)
{
	struct ek_tree_node *n = node_at(t->src->tree, path);
	struct ek_file *f = NULL;
	struct ek_err err;

	assert_non_null(n);
	assert_int_equal(t->src->ops->open(t->src, n->inode, &f, &err), EK_OK);
	return f;
}

static void test_read(void **state)
{
	struct tmpdir *t = *state;
	struct ek_file *f;
	struct ek_err err;
	char got[6] = "";

	put_dir(t, "d");
	put_file(t, "d/f", "hello world", 11);
	scan(t, NULL);
	f = open_file(t, "d/f");
	assert_int_equal(t->src->ops->read(f, 6, got, 5, &err), EK_OK);
	assert_string_equal(got, "world");
	assert_int_equal(t->src->ops->read(f, 11, got, 0, &err), EK_OK);
	assert_int_equal(t->src->ops->close(f, &err), EK_OK);
}

static void test_shorter(void **state)
{
	struct tmpdir *t = *state;
	struct ek_file *f;
	struct ek_err err;
	char got[11];

	put_file(t, "f", "hello world", 11);
	scan(t, NULL);
	f = open_file(t, "f");
	put_file(t, "f", "hello", 5);
	assert_int_equal(t->src->ops->read(f, 0, got, 11, &err), EK_CHANGED);
	assert_non_null(strstr(err.text, t->path));
	assert_non_null(strstr(err.text, "/f"));
	assert_int_equal(t->src->ops->close(f, &err), EK_CHANGED);
}

static void test_longer(void **state)
{
	struct tmpdir *t = *state;
	struct ek_file *f;
	struct ek_err err;

	put_file(t, "f", "hello", 5);
	scan(t, NULL);
	put_file(t, "f", "hello world", 11);
	f = open_file(t, "f");
	assert_int_equal(t->src->ops->close(f, &err), EK_CHANGED);
	assert_non_null(strstr(err.text, "/f"));
}

/* Equal size, and mtime set back: the ctime tells. */
static void test_ctime(void **state)
{
	struct tmpdir *t = *state;
	struct timespec times[2];
	struct ek_file *f;
	struct ek_err err;
	struct stat st, now;

	put_file(t, "f", "hello", 5);
	assert_int_equal(fstatat(t->fd, "f", &st, 0), 0);
	scan(t, NULL);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	/* Clocks of file systems tick every few milliseconds. */
	do {
		put_file(t, "f", "HELLO", 5);
		utimensat(t->fd, "f", times, 0);
		assert_int_equal(fstatat(t->fd, "f", &now, 0), 0);
	} while (!memcmp(&now.st_ctim, &st.st_ctim, sizeof(st.st_ctim)));
	f = open_file(t, "f");
	assert_int_equal(t->src->ops->close(f, &err), EK_CHANGED);
}

static void test_gone(void **state)
{
	struct tmpdir *t = *state;
	struct ek_file *f = NULL;
	struct ek_err err;

	put_file(t, "f", "hello", 5);
	scan(t, NULL);
	assert_int_equal(unlinkat(t->fd, "f", 0), 0);
	assert_int_equal(t->src->ops->open(t->src,
					   node_at(t->src->tree, "f")->inode,
					   &f, &err),
			 EK_NOTFOUND);
	assert_non_null(strstr(err.text, t->path));
	assert_non_null(strstr(err.text, "/f"));
}

/* Neither the file nor a directory above may turn into a link. */
static void test_link_instead(void **state)
{
	struct tmpdir *t = *state;
	struct ek_file *f = NULL;
	struct ek_err err;

	put_dir(t, "d");
	put_dir(t, "other");
	put_file(t, "d/f", "hello", 5);
	put_file(t, "other/f", "other", 5);
	scan(t, NULL);
	assert_int_equal(renameat(t->fd, "d", t->fd, "moved"), 0);
	assert_int_equal(symlinkat("other", t->fd, "d"), 0);
	assert_int_equal(t->src->ops->open(t->src,
					   node_at(t->src->tree, "d/f")->inode,
					   &f, &err),
			 EK_IO);
	assert_int_equal(unlinkat(t->fd, "d", 0), 0);
	assert_int_equal(renameat(t->fd, "moved", t->fd, "d"), 0);
	assert_int_equal(unlinkat(t->fd, "d/f", 0), 0);
	assert_int_equal(symlinkat("../other/f", t->fd, "d/f"), 0);
	assert_int_equal(t->src->ops->open(t->src,
					   node_at(t->src->tree, "d/f")->inode,
					   &f, &err),
			 EK_IO);
}

/* A FIFO in its place must not make us wait. */
static void test_fifo_instead(void **state)
{
	struct tmpdir *t = *state;
	struct ek_file *f;
	struct ek_err err;
	char got[5];

	put_file(t, "f", "hello", 5);
	scan(t, NULL);
	assert_int_equal(unlinkat(t->fd, "f", 0), 0);
	assert_int_equal(mkfifoat(t->fd, "f", 0644), 0);
	f = open_file(t, "f");
	assert_int_equal(t->src->ops->read(f, 0, got, 5, &err), EK_IO);
	assert_int_equal(t->src->ops->close(f, &err), EK_CHANGED);
}

/* Bytes that this process read by system calls. */
static uint64_t bytes_read(void)
{
	unsigned long long n = 0;
	FILE *f = fopen("/proc/self/io", "r");

	if (!f)
		return 0;
	if (fscanf(f, "rchar: %llu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

#define SPARSE ((size_t)64 << 20)

/* Holes read as the zeros that they are, without being read. */
static void test_holes(void **state)
{
	static const size_t at[] = {4095, 1 << 20, (40 << 20) + 13};
	struct tmpdir *t = *state;
	char *got = malloc(SPARSE), *want = calloc(1, SPARSE);
	uint64_t before;
	struct ek_file *f;
	struct ek_err err;
	bool holes;
	int fd;

	assert_non_null(got);
	assert_non_null(want);
	fd = openat(t->fd, "f", O_RDWR | O_CREAT | O_EXCL, 0644);
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		assert_int_equal(pwrite(fd, "data", 4, (off_t)at[i]), 4);
		memcpy(want + at[i], "data", 4);
	}
	assert_int_equal(ftruncate(fd, (off_t)SPARSE), 0);
	/* Not every file system can tell. */
	holes = lseek(fd, 8 << 20, SEEK_DATA) > (off_t)8 << 20;
	close(fd);
	scan(t, NULL);
	f = open_file(t, "f");
	before = bytes_read();
	memset(got, 'x', SPARSE);
	/* Pieces that begin and end anywhere. */
	for (size_t pos = 0, n; pos < SPARSE; pos += n) {
		n = SPARSE - pos < 777777 ? SPARSE - pos : 777777;
		assert_int_equal(t->src->ops->read(f, pos, got + pos, n, &err),
				 EK_OK);
	}
	if (before && holes)
		assert_true(bytes_read() - before < SPARSE / 8);
	assert_memory_equal(got, want, SPARSE);
	/* Backwards, over an end. */
	assert_int_equal(t->src->ops->read(f, 4000, got, 8192, &err), EK_OK);
	assert_memory_equal(got, want + 4000, 8192);
	assert_int_equal(t->src->ops->close(f, &err), EK_OK);
	free(got);
	free(want);
}

/* Cut off within the hole at its end: an error, not zeros. */
static void test_hole_cut(void **state)
{
	struct tmpdir *t = *state;
	struct ek_file *f;
	struct ek_err err;
	char got[4096];
	int fd = openat(t->fd, "f", O_RDWR | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4 << 20), 0);
	scan(t, NULL);
	f = open_file(t, "f");
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	assert_int_equal(t->src->ops->read(f, 2 << 20, got, 4096, &err),
			 EK_CHANGED);
	assert_int_equal(t->src->ops->close(f, &err), EK_CHANGED);
}

static ek_status read_near(struct tmpdir *t, const char *path,
			   struct ek_near *near, char *byte)
{
	struct ek_tree_node *n = node_at(t->src->tree, path);
	struct ek_file *f = NULL;
	struct ek_err err;
	ek_status s;

	s = ek_tree_source_open(t->src, n->inode, near, &f, &err);
	if (s != EK_OK) {
		assert_non_null(strstr(err.text, t->path));
		assert_non_null(strstr(err.text, path));
		return s;
	}
	assert_int_equal(t->src->ops->read(f, 0, byte, 1, &err), EK_OK);
	return t->src->ops->close(f, &err);
}

/* One directory after the other, and what may go wrong on the way. */
static void test_near(void **state)
{
	static const char *const order[] = {"a/1", "a/2", "b/1",
					    "top", "a/1", "b/d/1"};
	struct tmpdir *t = *state;
	struct ek_near near = {0};
	char byte;

	put_dir(t, "a");
	put_dir(t, "b");
	put_dir(t, "b/d");
	put_file(t, "a/1", "x", 1);
	put_file(t, "a/2", "y", 1);
	put_file(t, "b/1", "z", 1);
	put_file(t, "b/d/1", "d", 1);
	put_file(t, "top", "t", 1);
	scan(t, NULL);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(read_near(t, order[i], &near, &byte), EK_OK);
		assert_int_equal(byte, "xyztxd"[i]);
		assert_ptr_equal(near.dir,
				 node_at(t->src->tree, order[i])->parent);
	}
	/* Nothing becomes a link, seen from its directory either. */
	assert_int_equal(read_near(t, "a/1", &near, &byte), EK_OK);
	assert_int_equal(unlinkat(t->fd, "a/2", 0), 0);
	assert_int_equal(symlinkat("1", t->fd, "a/2"), 0);
	assert_int_equal(read_near(t, "a/2", &near, &byte), EK_IO);
	assert_int_equal(unlinkat(t->fd, "a/2", 0), 0);
	assert_int_equal(read_near(t, "a/2", &near, &byte), EK_NOTFOUND);
	/* After a directory that is not there, the next one is. */
	assert_int_equal(renameat(t->fd, "b", t->fd, "moved"), 0);
	assert_int_equal(symlinkat("moved", t->fd, "b"), 0);
	assert_int_equal(read_near(t, "b/1", &near, &byte), EK_IO);
	assert_null(near.dir);
	assert_int_equal(read_near(t, "a/1", &near, &byte), EK_OK);
	ek_near_close(&near);
	ek_near_close(&near);
	assert_null(near.dir);
}

#define T(f) cmocka_unit_test_setup_teardown(f, tmpdir_new, tmpdir_free)

const struct CMUnitTest read_tests[] = {
	T(test_read),	      T(test_shorter), T(test_longer),
	T(test_ctime),	      T(test_gone),    T(test_link_instead),
	T(test_fifo_instead), T(test_holes),   T(test_hole_cut),
	T(test_near),	      UNIT_END,
};
