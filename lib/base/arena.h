/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BASE_ARENA_H
#define EK_BASE_ARENA_H

/* Memory that is freed all at once. One thread at a time. */

#include <stddef.h>

struct ek_arena;

/* NULL when there is no memory. */
struct ek_arena *ek_arena_new(void);
void ek_arena_free(struct ek_arena *arena);

/* @n bytes of zeros, aligned for any type; NULL when there is no memory. */
void *ek_arena_alloc(struct ek_arena *arena, size_t n);

/* As ek_arena_alloc() without alignment, for text and bytes; not zeroed. */
void *ek_arena_bytes(struct ek_arena *arena, size_t n);

/* Copy of @n bytes with a NUL after them. */
char *ek_arena_copy(struct ek_arena *arena, const void *from, size_t n);

/* Bytes taken from the system. */
size_t ek_arena_size(const struct ek_arena *arena);

#endif
