/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "tree/edit.h"

#include <stdio.h>
#include <sys/stat.h>

extern const struct CMUnitTest edit_tests[];

static struct ek_tree *tree;
static struct ek_edit *edit;
static struct ek_err err;

static int setup(void **state)
{
	(void)state;
	return ek_tree_new(&tree, &err) || ek_edit_new(tree, &edit, &err);
}

static int teardown(void **state)
{
	(void)state;
	ek_edit_free(edit);
	ek_tree_free(tree);
	return 0;
}

static struct ek_edit_node *put(struct ek_edit_node *dir, const char *name,
				uint32_t mode)
{
	struct ek_tree_inode *inode;
	struct ek_edit_node *node;

	assert_int_equal(ek_tree_inode(tree, mode, &inode, &err), EK_OK);
	assert_int_equal(
		ek_edit_put(edit, dir, name, strlen(name), inode, &node, &err),
		EK_OK);
	return node;
}

/* All paths, sorted as a sealed tree has them, joined by blanks. */
static const char *paths(void)
{
	static char all[4096];
	size_t n = 0;

	assert_int_equal(ek_edit_finish(edit, &err), EK_OK);
	assert_int_equal(ek_tree_seal(tree, &err), EK_OK);
	all[0] = 0;
	for (uint32_t i = 1; i < tree->n_inodes; i++) {
		char *p = ek_tree_path(tree->inodes[i]->first);

		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s",
				      n ? " " : "", p);
		free(p);
	}
	return all;
}

static void the_last_put_wins(void **state)
{
	struct ek_edit_node *d = put(ek_edit_root(edit), "d", S_IFDIR | 0755);

	(void)state;
	put(d, "x", S_IFREG | 0600);
	put(d, "x", S_IFREG | 0644);
	put(ek_edit_root(edit), "d", S_IFDIR | 0700);
	assert_string_equal(paths(), "/d /d/x");
	assert_int_equal(tree->inodes[1]->mode, S_IFDIR | 0700);
	assert_int_equal(tree->inodes[2]->mode, S_IFREG | 0644);
}

static void a_file_over_a_directory_hides_all_beneath(void **state)
{
	struct ek_edit_node *d = put(ek_edit_root(edit), "d", S_IFDIR);
	struct ek_edit_node *e = put(d, "e", S_IFDIR);

	(void)state;
	put(e, "f", S_IFREG);
	put(d, "g", S_IFREG);
	put(ek_edit_root(edit), "d", S_IFREG);
	assert_null(ek_edit_find(edit, d, "e", 1));
	assert_null(ek_edit_find(edit, e, "f", 1));
	put(ek_edit_root(edit), "d", S_IFDIR);
	put(d, "new", S_IFREG);
	assert_string_equal(paths(), "/d /d/new");
}

static void removed_nodes_stay_away(void **state)
{
	struct ek_edit_node *d = put(ek_edit_root(edit), "d", S_IFDIR);
	struct ek_edit_node *a = put(d, "a", S_IFDIR);

	(void)state;
	put(a, "deep", S_IFREG);
	put(d, "b", S_IFREG);
	put(d, "c", S_IFREG);
	ek_edit_remove(ek_edit_find(edit, d, "b", 1));
	ek_edit_remove(a);
	assert_null(ek_edit_find(edit, d, "a", 1));
	put(d, "a", S_IFREG);
	assert_string_equal(paths(), "/d /d/a /d/c");
}

static void many_names_are_found_again(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		put(ek_edit_root(edit), name, S_IFREG | (uint32_t)(i & 0777));
	}
	for (int i = 0; i < 5000; i++) {
		struct ek_edit_node *n;

		snprintf(name, sizeof(name), "n%d", i);
		n = ek_edit_find(edit, ek_edit_root(edit), name, strlen(name));
		assert_non_null(n);
		assert_int_equal(n->inode->mode & 0777, i & 0777);
	}
	assert_int_equal(ek_edit_finish(edit, &err), EK_OK);
	assert_int_equal(tree->root->n_children, 5000);
}

static void names_have_a_limit(void **state)
{
	char name[256];
	struct ek_tree_inode *inode;

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_int_equal(ek_tree_inode(tree, S_IFREG, &inode, &err), EK_OK);
	assert_int_equal(ek_edit_put(edit, ek_edit_root(edit), name, 256, inode,
				     NULL, &err),
			 EK_LIMIT);
	assert_int_equal(ek_edit_put(edit, ek_edit_root(edit), name, 255, inode,
				     NULL, &err),
			 EK_OK);
}

#define EDIT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

const struct CMUnitTest edit_tests[] = {
	EDIT_TEST(the_last_put_wins),
	EDIT_TEST(a_file_over_a_directory_hides_all_beneath),
	EDIT_TEST(removed_nodes_stay_away),
	EDIT_TEST(many_names_are_found_again),
	EDIT_TEST(names_have_a_limit),
	UNIT_END,
};
