/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/bytes.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* Large enough that a million inodes need few thousand system allocations. */
#define EK_ARENA_PIECE (256u << 10)

struct piece {
	struct piece *next;
	size_t used, size;
	alignas(max_align_t) uint8_t bytes[];
};

struct ek_arena {
	struct piece *head;
	size_t total;
};

struct ek_arena *ek_arena_new(void)
{
	return calloc(1, sizeof(struct ek_arena));
}

void ek_arena_free(struct ek_arena *arena)
{
	if (!arena)
		return;
	while (arena->head) {
		struct piece *p = arena->head;

		arena->head = p->next;
		free(p);
	}
	free(arena);
}

static void *add_piece(struct ek_arena *arena, size_t n)
{
	size_t size = n > EK_ARENA_PIECE / 4 ? n : EK_ARENA_PIECE;
	struct piece *p;

	/* No object is larger; malloc() would have to say so. */
	if (size > PTRDIFF_MAX - sizeof(*p))
		return NULL;
	p = malloc(sizeof(*p) + size);
	if (!p)
		return NULL;
	p->size = size;
	p->used = n;
	arena->total += sizeof(*p) + size;
	/* A big piece goes behind the one that still has room. */
	if (size == n && arena->head) {
		p->next = arena->head->next;
		arena->head->next = p;
	} else {
		p->next = arena->head;
		arena->head = p;
	}
	return p->bytes;
}

static void *take(struct ek_arena *arena, size_t n, size_t align)
{
	struct piece *p = arena->head;

	if (p) {
		size_t at = (size_t)ek_round_up(p->used, align);

		if (at <= p->size && n <= p->size - at) {
			p->used = at + n;
			return p->bytes + at;
		}
	}
	return add_piece(arena, n);
}

void *ek_arena_alloc(struct ek_arena *arena, size_t n)
{
	void *p = take(arena, n, alignof(max_align_t));

	return p ? memset(p, 0, n) : NULL;
}

void *ek_arena_bytes(struct ek_arena *arena, size_t n)
{
	return take(arena, n, 1);
}

char *ek_arena_copy(struct ek_arena *arena, const void *from, size_t n)
{
	char *p = n < SIZE_MAX ? take(arena, n + 1, 1) : NULL;

	if (!p)
		return NULL;
	if (n)
		memcpy(p, from, n);
	p[n] = 0;
	return p;
}

size_t ek_arena_size(const struct ek_arena *arena)
{
	return arena->total;
}
