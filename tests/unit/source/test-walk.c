/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "source/directory.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

extern const struct CMUnitTest walk_tests[];

static void test_types(void **state)
{
	struct tmpdir *t = *state;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	struct ek_tree *tree;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", t->path);
	assert_int_equal(bind(s, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(s);
	put_dir(t, "d");
	put_file(t, "d/empty", "", 0);
	put_file(t, "f", "12345", 5);
	assert_int_equal(mkfifoat(t->fd, "fifo", 0600), 0);
	assert_int_equal(symlinkat("to/where", t->fd, "link"), 0);
	assert_int_equal(fchmodat(t->fd, "f", 04751, 0), 0);
	tree = scan(t, NULL);
	assert_int_equal(tree->n_inodes, 7);
	assert_int_equal(node_at(tree, "f")->inode->mode, S_IFREG | 04751);
	assert_int_equal(node_at(tree, "f")->inode->size, 5);
	assert_int_equal(node_at(tree, "d/empty")->inode->size, 0);
	assert_int_equal(node_at(tree, "fifo")->inode->mode, S_IFIFO | 0600);
	assert_true(S_ISSOCK(node_at(tree, "sock")->inode->mode));
	assert_string_equal(node_at(tree, "link")->inode->target, "to/where");
	assert_int_equal(node_at(tree, "link")->inode->size, 8);
	assert_int_equal(node_at(tree, "d")->inode->size, 0);
	if (mknodat(t->fd, "dev", S_IFCHR | 0640, makedev(300, 70000)))
		return; /* not root */
	tree = scan(t, NULL);
	assert_int_equal(node_at(tree, "dev")->inode->rdev_major, 300);
	assert_int_equal(node_at(tree, "dev")->inode->rdev_minor, 70000);
	assert_int_equal(node_at(tree, "dev")->inode->size, 0);
}

static void test_times(void **state)
{
	struct tmpdir *t = *state;
	const struct timespec times[2] = {{1, 1}, {-5, 123456789}};
	struct ek_tree *tree;

	put_file(t, "f", "1", 1);
	assert_int_equal(utimensat(t->fd, "f", times, 0), 0);
	tree = scan(t, NULL);
	assert_int_equal(node_at(tree, "f")->inode->mtime, -5);
	assert_int_equal(node_at(tree, "f")->inode->mtime_nsec, 123456789);
}

static void test_hard_links(void **state)
{
	struct tmpdir *t = *state;
	struct ek_directory_options o = {0};
	struct ek_tree *tree;

	put_dir(t, "d");
	put_file(t, "d/z", "1", 1);
	assert_int_equal(linkat(t->fd, "d/z", t->fd, "a", 0), 0);
	assert_int_equal(linkat(t->fd, "d/z", t->fd, "b", 0), 0);
	tree = scan(t, &o);
	assert_int_equal(tree->n_inodes, 3);
	assert_ptr_equal(node_at(tree, "a")->inode, node_at(tree, "b")->inode);
	assert_ptr_equal(node_at(tree, "a")->inode,
			 node_at(tree, "d/z")->inode);
	assert_int_equal(node_at(tree, "a")->inode->nlink, 3);
	o.hard_dereference = 1;
	tree = scan(t, &o);
	assert_int_equal(tree->n_inodes, 5);
	assert_int_equal(node_at(tree, "a")->inode->nlink, 1);
}

static void test_excludes(void **state)
{
	struct tmpdir *t = *state;
	const char *const paths[] = {"d/e"};
	const char *const regexes[] = {"\\.o$"};
	const struct ek_directory_options o = {
		.exclude_paths = paths,
		.n_exclude_paths = 1,
		.exclude_regexes = regexes,
		.n_exclude_regexes = 1,
	};
	struct ek_tree *tree;

	put_dir(t, "d");
	put_dir(t, "d/e");
	put_file(t, "d/e/f", "", 0);
	put_file(t, "d/x.o", "", 0);
	put_file(t, "d/x.c", "", 0);
	put_file(t, "e", "", 0);
	tree = scan(t, &o);
	assert_int_equal(tree->n_inodes, 4);
	assert_null(node_at(tree, "d/e"));
	assert_non_null(node_at(tree, "d/x.c"));
	assert_non_null(node_at(tree, "e"));
}

static void test_skip(void **state)
{
	struct tmpdir *t = *state;
	struct ek_file_id skip[2];
	struct ek_directory_options o = {0};
	struct ek_tree *tree;
	struct stat st;

	put_dir(t, "d");
	put_file(t, "d/out", "", 0);
	put_file(t, "d/in", "", 0);
	put_file(t, "log", "", 0);
	assert_int_equal(fstatat(t->fd, "d/out", &st, 0), 0);
	skip[0] = (struct ek_file_id){st.st_dev, st.st_ino};
	assert_int_equal(fstatat(t->fd, "log", &st, 0), 0);
	skip[1] = (struct ek_file_id){st.st_dev, st.st_ino};
	o.skip = skip;
	o.n_skip = 2;
	tree = scan(t, &o);
	assert_null(node_at(tree, "d/out"));
	assert_null(node_at(tree, "log"));
	assert_non_null(node_at(tree, "d/in"));
}

static void put_xattr(struct tmpdir *t, const char *path, const char *name,
		      const void *value, size_t n)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", t->path, path);
	if (lsetxattr(full, name, value, n, 0)) {
		/* /tmp without attributes: nothing to test here. */
		assert_int_equal(errno, ENOTSUP);
		skip();
	}
}

static void test_xattrs(void **state)
{
	struct tmpdir *t = *state;
	struct ek_directory_options o = {0};
	const struct ek_tree_inode *f, *d;
	char big[2000];
	struct ek_tree *tree;

	memset(big, 'v', sizeof(big));
	put_dir(t, "d");
	put_file(t, "f", "1", 1);
	put_xattr(t, "f", "user.z", "1", 1);
	put_xattr(t, "f", "user.empty", "", 0);
	put_xattr(t, "f", "user.big", big, sizeof(big));
	put_xattr(t, "d", "user.z", "1", 1);
	put_xattr(t, "", "user.root", "r", 1);
	tree = scan(t, &o);
	f = node_at(tree, "f")->inode;
	d = node_at(tree, "d")->inode;
	assert_int_equal(f->n_xattrs, 3);
	assert_string_equal(f->xattrs[0]->name, "user.big");
	assert_int_equal(f->xattrs[0]->value_len, sizeof(big));
	assert_memory_equal(f->xattrs[0]->value, big, sizeof(big));
	assert_string_equal(f->xattrs[1]->name, "user.empty");
	assert_int_equal(f->xattrs[1]->value_len, 0);
	assert_ptr_equal(f->xattrs[2], d->xattrs[0]);
	assert_int_equal(tree->root->inode->n_xattrs, 1);
	assert_string_equal(tree->root->inode->xattrs[0]->name, "user.root");
	o.no_xattrs = 1;
	tree = scan(t, &o);
	assert_int_equal(node_at(tree, "f")->inode->n_xattrs, 0);
}

/* More names than fit the first size of the list. */
/* By name, through /proc, by path: each finds the same. */
static void test_xattr_ways(void **state)
{
	static const struct ek_directory_options none;
	struct tmpdir *t = *state;
	char deep[256 + 3] = "d/", big[2000];
	struct ek_err err;

	memset(big, 'x', sizeof(big));
	memset(deep + 2, 'n', EK_TREE_NAME_MAX);
	put_dir(t, "d");
	put_file(t, deep, "1", 1);
	put_file(t, "d/f", "1", 1);
	put_xattr(t, deep, "user.z", "1", 1);
	put_xattr(t, deep, "user.big", big, sizeof(big));
	put_xattr(t, "d/f", "user.f", "f", 1);
	put_xattr(t, "", "user.root", "r", 1);
	for (int way = 0; way < 3; way++) {
		const struct ek_tree_inode *inode;
		struct ek_root root;
		struct ek_tree *tree;

		assert_int_equal(ek_root_open(&root, t->path, &err), EK_OK);
		root.has_xattrat = root.has_xattrat && way == 0;
		root.has_proc = root.has_proc && way < 2;
		assert_int_equal(ek_tree_new(&tree, &err), EK_OK);
		assert_int_equal(ek_walk(&root, &none, tree, &err), EK_OK);
		inode = node_at(tree, deep)->inode;
		assert_int_equal(inode->n_xattrs, 2);
		assert_string_equal(inode->xattrs[0]->name, "user.big");
		assert_int_equal(inode->xattrs[0]->value_len, sizeof(big));
		assert_memory_equal(inode->xattrs[0]->value, big, sizeof(big));
		assert_string_equal(inode->xattrs[1]->name, "user.z");
		inode = node_at(tree, "d/f")->inode;
		assert_int_equal(inode->n_xattrs, 1);
		assert_string_equal(inode->xattrs[0]->name, "user.f");
		assert_int_equal(node_at(tree, "d")->inode->n_xattrs, 0);
		assert_int_equal(tree->root->inode->n_xattrs, 1);
		ek_tree_free(tree);
		ek_root_close(&root);
	}
}

static void test_many_xattrs(void **state)
{
	struct tmpdir *t = *state;
	char name[64];
	struct ek_tree *tree;

	put_file(t, "f", "1", 1);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "user.%040d", i);
		put_xattr(t, "f", name, name, 20);
	}
	tree = scan(t, NULL);
	assert_int_equal(node_at(tree, "f")->inode->n_xattrs, 40);
}

/* A path beyond PATH_MAX, walked and read. */
static void test_long_path(void **state)
{
	struct tmpdir *t = *state;
	char name[256];
	int at = dup(t->fd);
	struct ek_tree_node *n;
	struct ek_file *f = NULL;
	struct ek_err err;
	char got[4] = "";

	memset(name, 'n', 255);
	name[255] = 0;
	for (int i = 0; i < 40; i++) {
		int fd;

		assert_int_equal(mkdirat(at, name, 0755), 0);
		fd = openat(at, name, O_RDONLY | O_DIRECTORY);
		assert_true(fd >= 0);
		close(at);
		at = fd;
	}
	close(openat(at, "f", O_WRONLY | O_CREAT, 0644));
	{
		int fd = openat(at, "f", O_WRONLY);

		assert_int_equal(write(fd, "abc", 3), 3);
		close(fd);
	}
	close(at);
	scan(t, NULL);
	assert_int_equal(t->src->tree->n_inodes, 42);
	n = t->src->tree->root;
	while (n->n_children)
		n = n->children[0];
	assert_string_equal(n->name, "f");
	assert_int_equal(t->src->ops->open(t->src, n->inode, &f, &err), EK_OK);
	assert_int_equal(t->src->ops->read(f, 0, got, 3, &err), EK_OK);
	assert_string_equal(got, "abc");
	assert_int_equal(t->src->ops->close(f, &err), EK_OK);
}

/* Without openat2(2): one name at a time, no link in between. */
static void test_locate_by_names(void **state)
{
	struct tmpdir *t = *state;
	struct ek_root root;
	struct ek_err err;
	int fd;

	put_dir(t, "d");
	put_dir(t, "d/e");
	put_file(t, "d/e/f", "", 0);
	assert_int_equal(symlinkat("d", t->fd, "l"), 0);
	assert_int_equal(ek_root_open(&root, t->path, &err), EK_OK);
	for (int i = 0; i < 2; i++) {
		fd = ek_root_at(&root, "d/e/f", O_RDONLY);
		assert_true(fd >= 0);
		close(fd);
		fd = ek_root_at(&root, "", O_RDONLY | O_DIRECTORY);
		assert_true(fd >= 0);
		close(fd);
		assert_int_equal(ek_root_at(&root, "l/e/f", O_RDONLY), -1);
		assert_true(errno == ELOOP || errno == ENOTDIR);
		assert_int_equal(ek_root_at(&root, "d/x/f", O_RDONLY), -1);
		assert_int_equal(errno, ENOENT);
		root.has_openat2 = false;
	}
	ek_root_close(&root);
}

static void test_cancel(void **state)
{
	struct tmpdir *t = *state;
	volatile int cancel = 1;
	const struct ek_directory_options o = {.cancel = &cancel};
	struct ek_err err;

	put_file(t, "f", "1", 1);
	assert_int_equal(ek_source_directory(t->path, &o, &t->src, &err),
			 EK_CANCELLED);
	assert_null(t->src);
}

static void test_no_directory(void **state)
{
	struct tmpdir *t = *state;
	char path[128];
	struct ek_err err;

	put_file(t, "f", "1", 1);
	snprintf(path, sizeof(path), "%s/f", t->path);
	assert_int_equal(ek_source_directory(path, NULL, &t->src, &err), EK_IO);
	assert_non_null(strstr(err.text, path));
	snprintf(path, sizeof(path), "%s/none", t->path);
	assert_int_equal(ek_source_directory(path, NULL, &t->src, &err),
			 EK_NOTFOUND);
}

/* Many directories: the same list with any number of workers. */
static void test_workers(void **state)
{
	struct tmpdir *t = *state;
	struct ek_directory_options o = {0};
	char path[64], *want[700];
	uint32_t n = 0;

	for (int i = 0; i < 30; i++) {
		snprintf(path, sizeof(path), "d%d", i);
		put_dir(t, path);
		for (int k = 0; k < 20; k++) {
			snprintf(path, sizeof(path), "d%d/f%d", i, k);
			if (k % 4)
				put_file(t, path, "", 0);
			else
				put_dir(t, path);
		}
	}
	for (o.workers = 1; o.workers <= 8; o.workers *= 2) {
		struct ek_tree *tree = scan(t, &o);

		assert_int_equal(tree->n_inodes, 631);
		for (uint32_t i = 0; i < tree->n_inodes; i++) {
			char *p = ek_tree_path(tree->inodes[i]->first);

			if (o.workers == 1) {
				want[n++] = p;
				continue;
			}
			assert_string_equal(p, want[i]);
			free(p);
		}
	}
	while (n)
		free(want[--n]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, tmpdir_new, tmpdir_free)

const struct CMUnitTest walk_tests[] = {
	T(test_types),
	T(test_times),
	T(test_hard_links),
	T(test_excludes),
	T(test_skip),
	T(test_xattrs),
	T(test_xattr_ways),
	T(test_many_xattrs),
	T(test_long_path),
	T(test_cancel),
	T(test_locate_by_names),
	T(test_no_directory),
	T(test_workers),
	UNIT_END,
};
