/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "source/directory.h"

extern const struct CMUnitTest links_tests[];

static void test_many(void **state)
{
	enum { N = 3000 };
	struct ek_tree_inode *inodes = calloc(N, sizeof(*inodes));
	struct ek_links links = {0};
	struct ek_link *l = NULL;
	struct ek_err err;

	(void)state;
	assert_non_null(inodes);
	for (uint64_t i = 0; i < N; i++) {
		assert_int_equal(ek_links_find(&links, i % 3, i / 3, &l, &err),
				 EK_OK);
		assert_null(l->inode);
		l->inode = &inodes[i];
	}
	for (uint64_t i = 0; i < N; i++) {
		assert_int_equal(ek_links_find(&links, i % 3, i / 3, &l, &err),
				 EK_OK);
		assert_ptr_equal(l->inode, &inodes[i]);
	}
	assert_int_equal(links.n, N);
	ek_links_free(&links);
	free(inodes);
}

const struct CMUnitTest links_tests[] = {
	cmocka_unit_test(test_many),
	UNIT_END,
};
