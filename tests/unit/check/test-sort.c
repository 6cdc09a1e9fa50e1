/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

#include "check/check.h"

#include <string.h>

#define MANY 5000

static uint64_t seed;

static uint64_t next(void)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return seed >> 11;
}

static struct ck_place place(const void *item)
{
	const struct ck_claim *c = item;

	return (struct ck_place){c->start, c->space};
}

static int compare(const void *pa, const void *pb)
{
	const struct ck_claim *a = pa, *b = pb;

	if (a->space != b->space)
		return a->space < b->space ? -1 : 1;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->owner < b->owner ? -1 : a->owner > b->owner;
}

/* The result is that of a sort by comparing, whatever the places are. */
static void check(size_t n, uint64_t places, uint64_t factor, uint32_t spaces)
{
	struct ck_claim *a = calloc(n + 1, sizeof(*a));
	struct ck_claim *b = calloc(n + 1, sizeof(*b));
	size_t i;

	assert_non_null(a);
	assert_non_null(b);
	for (i = 0; i < n; i++) {
		a[i].start = next() % places * factor;
		a[i].end = a[i].start + 1;
		a[i].space = (uint32_t)(next() % spaces) * (CK_BOX / 2);
		a[i].owner = (uint32_t)i;
	}
	if (n)
		memcpy(b, a, n * sizeof(*a));
	ck_sort(a, n, sizeof(*a), place, compare);
	qsort(b, n, sizeof(*b), compare);
	assert_memory_equal(a, b, (n + 1) * sizeof(*a));
	free(a);
	free(b);
}

static void test_as_by_comparing(void **state)
{
	static const size_t counts[] = {0, 1, 2, 511, 512, 513, MANY};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		check(counts[i], 1, 1, 1);
		check(counts[i], 1, 1, 3);
		check(counts[i], 100, 4096, 1);
		check(counts[i], 1 << 20, 4096, 3);
		/* Every digit of the place differs. */
		check(counts[i], UINT64_C(1) << 50, 16383, 3);
	}
}

static void test_in_order_and_backwards(void **state)
{
	struct ck_claim *a = calloc(MANY, sizeof(*a));
	uint32_t i;

	(void)state;
	assert_non_null(a);
	for (i = 0; i < MANY; i++)
		a[i] = (struct ck_claim){.start = i * 512, .owner = i};
	ck_sort(a, MANY, sizeof(*a), place, compare);
	for (i = 0; i < MANY; i++)
		assert_int_equal(a[i].owner, i);
	for (i = 0; i < MANY; i++)
		a[i].start = (MANY - i) * 512;
	ck_sort(a, MANY, sizeof(*a), place, compare);
	for (i = 0; i < MANY; i++)
		assert_int_equal(a[i].owner, MANY - 1 - i);
	free(a);
}

const struct CMUnitTest sort_tests[] = {
	cmocka_unit_test(test_as_by_comparing),
	cmocka_unit_test(test_in_order_and_backwards),
	UNIT_END,
};
