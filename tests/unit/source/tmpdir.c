/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "tmpdir.h"

#include <fcntl.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int tmpdir_new(void **state)
{
	struct tmpdir *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	snprintf(t->path, sizeof(t->path), "/tmp/ek-source-XXXXXX");
	if (!mkdtemp(t->path))
		return -1;
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = t;
	return t->fd < 0 ? -1 : 0;
}

/* Deeper than PATH_MAX too: by descriptor, without a path. */
static void empty(int at)
{
	char name[256];
	int n;

	for (;;) {
		/* One name at a time, as removing upsets a listing. */
		char buf[4096] __attribute__((aligned(8)));
		const struct dirent64 *d;
		int sub;

		lseek(at, 0, SEEK_SET);
		n = (int)getdents64(at, buf, sizeof(buf));
		name[0] = 0;
		for (int i = 0; i < n && !name[0]; i += d->d_reclen) {
			d = (const void *)(buf + i);
			if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
				snprintf(name, sizeof(name), "%s", d->d_name);
		}
		if (!name[0])
			return;
		if (unlinkat(at, name, 0) == 0)
			continue;
		fchmodat(at, name, 0700, 0);
		sub = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		if (sub < 0)
			return;
		empty(sub);
		close(sub);
		unlinkat(at, name, AT_REMOVEDIR);
	}
}

int tmpdir_free(void **state)
{
	struct tmpdir *t = *state;

	ek_tree_source_free(t->src);
	empty(t->fd);
	close(t->fd);
	rmdir(t->path);
	free(t);
	return 0;
}

void put_file(struct tmpdir *t, const char *path, const void *data, size_t n)
{
	int fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	close(fd);
}

void put_dir(struct tmpdir *t, const char *path)
{
	assert_int_equal(mkdirat(t->fd, path, 0755), 0);
}

struct ek_tree *scan(struct tmpdir *t, const struct ek_directory_options *o)
{
	struct ek_err err;
	ek_status s;

	ek_tree_source_free(t->src);
	t->src = NULL;
	s = ek_source_directory(t->path, o, &t->src, &err);
	if (s != EK_OK)
		fprintf(stderr, "%s\n", err.text);
	assert_int_equal(s, EK_OK);
	return t->src->tree;
}

struct ek_tree_node *node_at(struct ek_tree *tree, const char *path)
{
	struct ek_tree_node *at = tree->root;

	while (*path) {
		size_t n = strcspn(path, "/");
		struct ek_tree_node *next = NULL;

		for (uint32_t i = 0; i < at->n_children; i++)
			if (at->children[i]->name_len == n &&
			    !memcmp(at->children[i]->name, path, n))
				next = at->children[i];
		if (!next)
			return NULL;
		at = next;
		path += n + (path[n] == '/');
	}
	return at;
}
