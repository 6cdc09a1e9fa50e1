/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "tree/tree.h"

#include <stdio.h>
#include <sys/stat.h>

extern const struct CMUnitTest tree_tests[];

static struct ek_tree *new_tree(void)
{
	struct ek_tree *tree = NULL;
	struct ek_err err;

	assert_int_equal(ek_tree_new(&tree, &err), EK_OK);
	return tree;
}

static struct ek_tree_node *add(struct ek_tree *tree,
				struct ek_tree_node *parent, const char *name,
				uint32_t mode)
{
	struct ek_tree_inode *inode = NULL;
	struct ek_tree_node *node = NULL;
	struct ek_err err;

	assert_int_equal(ek_tree_inode(tree, mode, &inode, &err), EK_OK);
	assert_int_equal(ek_tree_add(tree, parent, name, strlen(name), inode,
				     &node, &err),
			 EK_OK);
	return node;
}

static void seal(struct ek_tree *tree)
{
	struct ek_err err;

	assert_int_equal(ek_tree_seal(tree, &err), EK_OK);
}

static void check_path(const struct ek_tree_node *node, const char *want)
{
	char *path = ek_tree_path(node);

	assert_string_equal(path, want);
	free(path);
}

static void test_empty(void **state)
{
	struct ek_tree *tree = new_tree();

	(void)state;
	seal(tree);
	assert_int_equal(tree->n_inodes, 1);
	assert_ptr_equal(tree->inodes[0], tree->root->inode);
	assert_int_equal(tree->root->inode->nlink, 2);
	check_path(tree->root, "/");
	ek_tree_free(tree);
	ek_tree_free(NULL);
}

/* Unsigned bytes decide, a prefix comes first, whatever the order of adding. */
static void test_order(void **state)
{
	static const char *const want[] = {
		"!", "-", "A", "a", "a!", "aa", "\x7f", "\xc3\xa4", "\xff"};
	static const int add_order[] = {5, 0, 8, 3, 7, 1, 6, 2, 4};
	struct ek_tree *tree = new_tree();

	(void)state;
	for (size_t i = 0; i < 9; i++)
		add(tree, tree->root, want[add_order[i]], S_IFREG | 0644);
	seal(tree);
	assert_int_equal(tree->root->n_children, 9);
	for (size_t i = 0; i < 9; i++) {
		assert_string_equal(tree->root->children[i]->name, want[i]);
		assert_int_equal(tree->root->children[i]->inode->index, i + 1);
	}
	ek_tree_free(tree);
}

/* Breadth first, links counted, paths right. */
static void test_list(void **state)
{
	struct ek_tree *tree = new_tree();
	struct ek_tree_node *b = add(tree, tree->root, "b", S_IFDIR | 0755);
	struct ek_tree_node *bd = add(tree, b, "d", S_IFDIR | 0755);
	struct ek_tree_node *f = add(tree, bd, "f", S_IFREG | 0644);
	struct ek_tree_node *a = add(tree, tree->root, "a", S_IFDIR | 0755);
	struct ek_tree_node *z = add(tree, a, "z", S_IFREG | 0644);
	struct ek_tree_node *link = NULL;
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_tree_add(tree, a, "l", 1, f->inode, &link, &err),
			 EK_OK);
	seal(tree);
	assert_int_equal(tree->n_inodes, 6);
	assert_ptr_equal(tree->inodes[1], a->inode);
	assert_ptr_equal(tree->inodes[2], b->inode);
	assert_ptr_equal(tree->inodes[3], f->inode);
	assert_ptr_equal(tree->inodes[4], z->inode);
	assert_ptr_equal(tree->inodes[5], bd->inode);
	assert_ptr_equal(f->inode->first, link);
	assert_int_equal(f->inode->nlink, 2);
	assert_int_equal(z->inode->nlink, 1);
	assert_int_equal(tree->root->inode->nlink, 4);
	assert_int_equal(b->inode->nlink, 3);
	assert_int_equal(bd->inode->nlink, 2);
	check_path(f, "/b/d/f");
	check_path(link, "/a/l");
	ek_tree_free(tree);
}

static void test_twice(void **state)
{
	struct ek_tree *tree = new_tree();
	struct ek_tree_node *d = add(tree, tree->root, "d", S_IFDIR | 0755);
	struct ek_err err;

	(void)state;
	add(tree, d, "x", S_IFREG | 0644);
	add(tree, d, "w", S_IFREG | 0644);
	add(tree, d, "x", S_IFLNK | 0777);
	assert_int_equal(ek_tree_seal(tree, &err), EK_EXISTS);
	assert_non_null(strstr(err.text, "/d/x"));
	ek_tree_free(tree);
}

static ek_status try_name(struct ek_tree *tree, const char *name, size_t n)
{
	struct ek_tree_inode *inode = NULL;
	struct ek_err err;

	assert_int_equal(ek_tree_inode(tree, S_IFREG, &inode, &err), EK_OK);
	return ek_tree_add(tree, tree->root, name, n, inode, NULL, &err);
}

static void test_names(void **state)
{
	struct ek_tree *tree = new_tree();
	char name[257];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_int_equal(try_name(tree, "", 0), EK_INVALID);
	assert_int_equal(try_name(tree, ".", 1), EK_INVALID);
	assert_int_equal(try_name(tree, "..", 2), EK_INVALID);
	assert_int_equal(try_name(tree, "a/b", 3), EK_INVALID);
	assert_int_equal(try_name(tree, "a\0b", 3), EK_INVALID);
	assert_int_equal(try_name(tree, name, 256), EK_LIMIT);
	assert_int_equal(try_name(tree, name, 255), EK_OK);
	assert_int_equal(try_name(tree, "...", 3), EK_OK);
	assert_int_equal(try_name(tree, ".a", 2), EK_OK);
	assert_int_equal(tree->root->n_children, 3);
	ek_tree_free(tree);
}

static void test_parent_is_file(void **state)
{
	struct ek_tree *tree = new_tree();
	struct ek_tree_node *f = add(tree, tree->root, "f", S_IFREG | 0644);
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_tree_add(tree, f, "x", 1, f->inode, NULL, &err),
			 EK_INVALID);
	ek_tree_free(tree);
}

/* A directory with two names, even inside itself, ends the sealing. */
static void test_directory_twice(void **state)
{
	struct ek_tree *tree = new_tree();
	struct ek_tree_node *d = add(tree, tree->root, "d", S_IFDIR | 0755);
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_tree_add(tree, d, "e", 1, d->inode, NULL, &err),
			 EK_OK);
	assert_int_equal(ek_tree_seal(tree, &err), EK_INVALID);
	assert_non_null(strstr(err.text, "/d/e"));
	ek_tree_free(tree);
}

static ek_status seal_deep(unsigned depth)
{
	struct ek_tree *tree = new_tree();
	struct ek_tree_node *at = tree->root;
	struct ek_err err;
	ek_status s;

	for (unsigned i = 0; i < depth; i++)
		at = add(tree, at, "d", S_IFDIR | 0755);
	s = ek_tree_seal(tree, &err);
	ek_tree_free(tree);
	return s;
}

static void test_depth(void **state)
{
	(void)state;
	assert_int_equal(seal_deep(EK_TREE_DEPTH_MAX), EK_OK);
	assert_int_equal(seal_deep(EK_TREE_DEPTH_MAX + 1), EK_LIMIT);
}

/* Many names in one directory: its array grows, nothing gets lost. */
static void test_many(void **state)
{
	enum { N = 20000 };
	struct ek_tree *tree = new_tree();
	char name[16];

	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "f%05d", (i * 7919) % N);
		add(tree, tree->root, name, S_IFREG | 0644);
	}
	seal(tree);
	assert_int_equal(tree->n_inodes, N + 1);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "f%05d", i);
		assert_string_equal(tree->root->children[i]->name, name);
	}
	/* A few hundred bytes an inode. */
	assert_in_range(ek_arena_size(tree->arena) / N, 1, 400);
	ek_tree_free(tree);
}

const struct CMUnitTest tree_tests[] = {
	cmocka_unit_test(test_empty),
	cmocka_unit_test(test_order),
	cmocka_unit_test(test_list),
	cmocka_unit_test(test_twice),
	cmocka_unit_test(test_names),
	cmocka_unit_test(test_parent_is_file),
	cmocka_unit_test(test_directory_twice),
	cmocka_unit_test(test_depth),
	cmocka_unit_test(test_many),
	UNIT_END,
};
