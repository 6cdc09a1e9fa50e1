/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "tree/tree.h"

#include <stdio.h>
#include <sys/stat.h>

extern const struct CMUnitTest xattr_tests[];

static int new_tree(void **state)
{
	struct ek_err err;

	return ek_tree_new((struct ek_tree **)state, &err) != EK_OK;
}

static int free_tree(void **state)
{
	ek_tree_free(*state);
	return 0;
}

static const struct ek_tree_xattr *
intern(struct ek_tree *tree, const char *name, const void *value, size_t n)
{
	const struct ek_tree_xattr *x = NULL;
	struct ek_err err;

	assert_int_equal(ek_tree_xattr(tree, name, value, n, &x, &err), EK_OK);
	assert_string_equal(x->name, name);
	assert_int_equal(x->name_len, strlen(name));
	assert_int_equal(x->value_len, n);
	assert_memory_equal(x->value, n ? value : "", n);
	return x;
}

static void test_equal_is_same(void **state)
{
	struct ek_tree *tree = *state;
	const struct ek_tree_xattr *a = intern(tree, "user.a", "1", 1);

	assert_ptr_equal(intern(tree, "user.a", "1", 1), a);
	assert_true(intern(tree, "user.a", "2", 1) != a);
	assert_true(intern(tree, "user.b", "1", 1) != a);
	assert_true(intern(tree, "user.a", "1\0", 2) != a);
	assert_true(intern(tree, "user.a", NULL, 0) != a);
	assert_ptr_equal(intern(tree, "user.a", "", 0),
			 intern(tree, "user.a", NULL, 0));
}

/* The table grows several times: everything is still found. */
static void test_many(void **state)
{
	enum { N = 5000 };
	const struct ek_tree_xattr **x = calloc(N, sizeof(*x));
	char value[16];

	assert_non_null(x);
	for (int i = 0; i < N; i++) {
		snprintf(value, sizeof(value), "%d", i);
		x[i] = intern(*state, "trusted.n", value, strlen(value));
	}
	for (int i = 0; i < N; i++) {
		snprintf(value, sizeof(value), "%d", i);
		assert_ptr_equal(
			intern(*state, "trusted.n", value, strlen(value)),
			x[i]);
	}
	free(x);
}

static void test_limits(void **state)
{
	const struct ek_tree_xattr *x;
	uint8_t *big = calloc(1, EK_TREE_XATTR_MAX + 1);
	char name[260];
	struct ek_err err;

	assert_non_null(big);
	intern(*state, "user.big", big, EK_TREE_XATTR_MAX);
	assert_int_equal(ek_tree_xattr(*state, "user.big", big,
				       EK_TREE_XATTR_MAX + 1, &x, &err),
			 EK_LIMIT);
	free(big);
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = 0;
	assert_int_equal(ek_tree_xattr(*state, name, "", 0, &x, &err),
			 EK_LIMIT);
	name[255] = 0;
	intern(*state, name, "", 0);
	assert_int_equal(ek_tree_xattr(*state, "", "", 0, &x, &err),
			 EK_INVALID);
	assert_int_equal(ek_tree_xattr(*state, "user", "", 0, &x, &err),
			 EK_INVALID);
	assert_int_equal(ek_tree_xattr(*state, "user.", "", 0, &x, &err),
			 EK_INVALID);
	assert_int_equal(ek_tree_xattr(*state, ".x", "", 0, &x, &err),
			 EK_INVALID);
}

static void test_set(void **state)
{
	struct ek_tree *tree = *state;
	struct ek_tree_inode *inode = tree->root->inode;
	const struct ek_tree_xattr *v[] = {
		intern(tree, "user.b", "1", 1),
		intern(tree, "security.x", "1", 1),
		intern(tree, "user.a", "1", 1),
	};
	struct ek_err err;

	assert_int_equal(ek_tree_set_xattrs(tree, inode, v, 3, &err), EK_OK);
	assert_int_equal(inode->n_xattrs, 3);
	assert_string_equal(inode->xattrs[0]->name, "security.x");
	assert_string_equal(inode->xattrs[1]->name, "user.a");
	assert_string_equal(inode->xattrs[2]->name, "user.b");
	v[0] = intern(tree, "user.a", "2", 1);
	v[1] = intern(tree, "user.a", "1", 1);
	assert_int_equal(ek_tree_set_xattrs(tree, inode, v, 2, &err),
			 EK_EXISTS);
	assert_non_null(strstr(err.text, "user.a"));
	assert_int_equal(ek_tree_set_xattrs(tree, inode, NULL, 0, &err), EK_OK);
	assert_int_equal(inode->n_xattrs, 0);
}

static void test_access_control_lists(void **state)
{
	static const uint8_t good[] = {2, 0, 0,	   0,	 1,    0,
				       7, 0, 0xff, 0xff, 0xff, 0xff};
	const struct ek_tree_xattr *x;
	uint8_t bad[sizeof(good)];
	struct ek_err err;

	intern(*state, "system.posix_acl_access", good, sizeof(good));
	intern(*state, "system.posix_acl_default", good, 4);
	intern(*state, "user.posix_acl_access", good, 3);
	assert_int_equal(ek_tree_xattr(*state, "system.posix_acl_access", good,
				       sizeof(good) - 1, &x, &err),
			 EK_CORRUPT);
	assert_int_equal(ek_tree_xattr(*state, "system.posix_acl_default", "",
				       0, &x, &err),
			 EK_CORRUPT);
	/* Version, tag, permissions. */
	for (size_t i = 0; i < 7; i += i ? 2 : 4) {
		memcpy(bad, good, sizeof(bad));
		bad[i] = 0x40;
		assert_int_equal(ek_tree_xattr(*state,
					       "system.posix_acl_default", bad,
					       sizeof(bad), &x, &err),
				 EK_CORRUPT);
	}
}

const struct CMUnitTest xattr_tests[] = {
	cmocka_unit_test_setup_teardown(test_equal_is_same, new_tree,
					free_tree),
	cmocka_unit_test_setup_teardown(test_many, new_tree, free_tree),
	cmocka_unit_test_setup_teardown(test_limits, new_tree, free_tree),
	cmocka_unit_test_setup_teardown(test_access_control_lists, new_tree,
					free_tree),
	cmocka_unit_test_setup_teardown(test_set, new_tree, free_tree),
	UNIT_END,
};
