/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/vec.h"

struct item {
	uint32_t a;
	char c;
};

static void keeps_items(void **state)
{
	EK_VEC(struct item) v = {0};
	struct ek_err err;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		struct item it = {i, (char)i};

		assert_int_equal(ek_vec_push(&v, it, 1000, &err), EK_OK);
	}
	assert_int_equal(v.n, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(v.at[i].a, i);
	ek_vec_free(&v);
	assert_null(v.at);
}

static void stops_at_its_limit(void **state)
{
	EK_VEC(int) v = {0};
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_vec_push(&v, 1, 0, &err), EK_LIMIT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ek_vec_push(&v, i, 3, &err), EK_OK);
	assert_int_equal(ek_vec_push(&v, 3, 3, &err), EK_LIMIT);
	assert_int_equal(v.n, 3);
	ek_vec_free(&v);
}

static void sizes_that_do_not_fit(void **state)
{
	size_t cap = SIZE_MAX / 8;
	struct ek_err err;
	void *p = NULL;

	(void)state;
	assert_int_equal(ek_vec_grow(&p, cap, &cap, 16, SIZE_MAX, &err),
			 EK_NOMEM);
	assert_null(p);
}

extern const struct CMUnitTest vec_tests[];
const struct CMUnitTest vec_tests[] = {
	cmocka_unit_test(keeps_items),
	cmocka_unit_test(stops_at_its_limit),
	cmocka_unit_test(sizes_that_do_not_fit),
	UNIT_END,
};
