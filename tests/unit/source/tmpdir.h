/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TMPDIR_H
#define TMPDIR_H

#include "source/source.h"

/* A temporary directory and a source on it. */
struct tmpdir {
	char path[64];
	int fd;
	struct ek_tree_source *src;
};

/* For cmocka_unit_test_setup_teardown(). */
int tmpdir_new(void **state);
int tmpdir_free(void **state);

/* Make something below; asserts that it worked. */
void put_file(struct tmpdir *t, const char *path, const void *data, size_t n);
void put_dir(struct tmpdir *t, const char *path);

/* Build the source, asserting EK_OK; replaces the one before. */
struct ek_tree *scan(struct tmpdir *t, const struct ek_directory_options *o);

/* The node at @path, such as "a/b"; NULL when there is none. */
struct ek_tree_node *node_at(struct ek_tree *tree, const char *path);

#endif
