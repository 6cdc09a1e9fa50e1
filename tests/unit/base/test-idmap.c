/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/idmap.h"

static void finds_what_was_added(void **state)
{
	struct ek_idmap map = {0};
	struct ek_err err;
	uint32_t v;

	(void)state;
	assert_false(ek_idmap_find(&map, 0, NULL));
	for (uint64_t i = 0; i < 5000; i++)
		assert_int_equal(
			ek_idmap_add(&map, i << 33, (uint32_t)i, 5000, &err),
			EK_OK);
	for (uint64_t i = 0; i < 5000; i++) {
		assert_true(ek_idmap_find(&map, i << 33, &v));
		assert_int_equal(v, i);
		assert_false(ek_idmap_find(&map, (i << 33) + 1, &v));
	}
	assert_true(ek_idmap_find(&map, 0, NULL));
	ek_idmap_free(&map);
	assert_false(ek_idmap_find(&map, 0, NULL));
}

static void stops_at_its_limit(void **state)
{
	struct ek_idmap map = {0};
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_idmap_add(&map, UINT64_MAX, 1, 2, &err), EK_OK);
	assert_int_equal(ek_idmap_add(&map, 0, 2, 2, &err), EK_OK);
	assert_int_equal(ek_idmap_add(&map, 5, 3, 2, &err), EK_LIMIT);
	assert_true(ek_idmap_find(&map, UINT64_MAX, NULL));
	ek_idmap_free(&map);
}

extern const struct CMUnitTest idmap_tests[];
const struct CMUnitTest idmap_tests[] = {
	cmocka_unit_test(finds_what_was_added),
	cmocka_unit_test(stops_at_its_limit),
	UNIT_END,
};
