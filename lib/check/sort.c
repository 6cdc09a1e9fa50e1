/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claims and streams are many and sorted by place, most of them with a place
 * of their own. A radix sort of the places takes a small part of the time
 * that comparing does; comparing is left to those of one place.
 */

#include "check/check.h"
#include "base/try.h"

#include <string.h>

#define DIGIT_BITS 11
#define DIGITS	   ((size_t)1 << DIGIT_BITS)

/* Fewer items than this are sorted sooner than the digits are counted. */
#define FEW 512

/* Largest item. */
#define ITEM_MAX 64

struct key {
	uint64_t at;
	uint32_t space;
	uint32_t item;
};

static size_t digit(const struct key *k, unsigned shift)
{
	if (shift >= 64)
		return (k->space >> (shift - 64)) & (DIGITS - 1);
	return (size_t)(k->at >> shift) & (DIGITS - 1);
}

/* One stable pass, by one digit. */
static void pass(const struct key *from, struct key *to, size_t n,
		 unsigned shift)
{
	size_t count[DIGITS] = {0}, i, sum = 0;

	for (i = 0; i < n; i++)
		count[digit(&from[i], shift)]++;
	for (i = 0; i < DIGITS; i++) {
		size_t c = count[i];

		count[i] = sum;
		sum += c;
	}
	for (i = 0; i < n; i++)
		to[count[digit(&from[i], shift)]++] = from[i];
}

/*
 * The keys in order: @keys or @spare, which are used both. @differ has the
 * bits that are not the same in all of them.
 */
static struct key *in_order(struct key *keys, struct key *spare, size_t n,
			    const struct key *differ)
{
	/* The digits of 64 and of 32 bits, less significant ones first. */
	static const uint8_t shifts[] = {0, 11, 22, 33, 44, 55, 64, 75, 86};
	size_t i;

	for (i = 0; i < sizeof(shifts); i++) {
		struct key *swap = keys;

		if (!digit(differ, shifts[i]))
			continue;
		pass(keys, spare, n, shifts[i]);
		keys = spare;
		spare = swap;
	}
	return keys;
}

/* Put the items in the order of @sorted, in place, which is used up. */
static void follow(uint8_t *at, size_t n, size_t size, struct key *sorted)
{
	uint8_t held[ITEM_MAX];
	size_t i;

	for (i = 0; i < n; i++) {
		size_t to = i, from;

		if (sorted[i].item == i)
			continue;
		memcpy(held, at + i * size, size);
		while ((from = sorted[to].item) != i) {
			memcpy(at + to * size, at + from * size, size);
			sorted[to].item = (uint32_t)to;
			to = from;
		}
		memcpy(at + to * size, held, size);
		sorted[to].item = (uint32_t)to;
	}
}

static bool by_digits(uint8_t *at, size_t n, size_t size,
		      struct ck_place (*place)(const void *item),
		      int (*compare)(const void *, const void *))
{
	EK_AUTO_FREE struct key *keys = calloc(n, 2 * sizeof(*keys));
	struct key differ = {0}, *sorted;
	size_t i, k;

	if (!keys)
		return false;
	for (i = 0; i < n; i++) {
		struct ck_place p = place(at + i * size);

		keys[i] = (struct key){p.at, p.space, (uint32_t)i};
		differ.at |= p.at ^ keys[0].at;
		differ.space |= p.space ^ keys[0].space;
	}
	sorted = in_order(keys, keys + n, n, &differ);
	follow(at, n, size, sorted);
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && sorted[k].at == sorted[i].at &&
				sorted[k].space == sorted[i].space;
		     k++)
			;
		if (k - i > 1)
			qsort(at + i * size, k - i, size, compare);
	}
	return true;
}

void ck_sort(void *at, size_t n, size_t size,
	     struct ck_place (*place)(const void *item),
	     int (*compare)(const void *, const void *))
{
	EK_BUG_ON(size > ITEM_MAX);
	if (n < 2)
		return;
	/* Without memory for that there is a slower way. */
	if (n < FEW || n > UINT32_MAX ||
	    !by_digits(at, n, size, place, compare))
		qsort(at, n, size, compare);
}
