/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/arena.h"
#include "base/bytes.h"

#include <stdalign.h>

static void memory_is_apart_aligned_and_zero(void **state)
{
	struct ek_arena *arena = ek_arena_new();
	uint8_t *last = NULL;

	(void)state;
	assert_non_null(arena);
	for (size_t n = 1; n < 3000; n += 7) {
		uint8_t *p = ek_arena_alloc(arena, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
		assert_true(ek_all_zero(p, n));
		memset(p, 0xa5, n);
		if (last)
			assert_int_equal(last[0], 0xa5);
		last = p;
		p = ek_arena_bytes(arena, 3);
		assert_non_null(p);
		memset(p, 0xff, 3);
	}
	assert_true(ek_arena_size(arena) > 3000 * 3000 / 14);
	ek_arena_free(arena);
	ek_arena_free(NULL);
}

static void big_pieces_leave_room_usable(void **state)
{
	struct ek_arena *arena = ek_arena_new();
	uint8_t *small = ek_arena_alloc(arena, 16);
	uint8_t *big = ek_arena_alloc(arena, 1 << 20);
	uint8_t *next = ek_arena_alloc(arena, 16);

	(void)state;
	assert_non_null(small);
	assert_non_null(big);
	memset(big, 1, 1 << 20);
	assert_true(next == small + 16);
	assert_true(ek_all_zero(next, 16));
	ek_arena_free(arena);
}

static void copies_end_with_a_nul(void **state)
{
	struct ek_arena *arena = ek_arena_new();

	(void)state;
	assert_string_equal(ek_arena_copy(arena, "abcdef", 3), "abc");
	assert_string_equal(ek_arena_copy(arena, NULL, 0), "");
	assert_null(ek_arena_copy(arena, "", SIZE_MAX));
	assert_null(ek_arena_alloc(arena, SIZE_MAX));
	assert_null(ek_arena_bytes(arena, SIZE_MAX - 40));
	ek_arena_free(arena);
}

extern const struct CMUnitTest arena_tests[];
const struct CMUnitTest arena_tests[] = {
	cmocka_unit_test(memory_is_apart_aligned_and_zero),
	cmocka_unit_test(big_pieces_leave_room_usable),
	cmocka_unit_test(copies_end_with_a_nul),
	UNIT_END,
};
