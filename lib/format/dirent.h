/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_DIRENT_H
#define EK_FORMAT_DIRENT_H

/*
 * Directory blocks (section 3). Pure functions; any thread may call them.
 */

#include "format/layout.h"

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>

struct ek_dent {
	uint64_t nid;
	const uint8_t *name; /* not NUL-terminated; a view into the block */
	uint16_t namelen;    /* 1..255 */
	uint8_t type;	     /* EK_FT_*, or any number on a damaged image */
	uint8_t reserved;    /* as stored; written as 0 */
};

/* A block being read: a view, valid as long as its bytes. */
struct ek_dirblock {
	const uint8_t *p;
	uint32_t len; /* valid bytes: min(bs, i_size - position) */
	uint32_t count;
};

/*
 * Open a directory block of @len valid bytes (at most 64 KiB).
 * EK_CORRUPT: the first name offset is not 12 * N with 1 <= N, or beyond
 * @len.
 */
ek_status ek_dirblock_open(const uint8_t *p, size_t len, struct ek_dirblock *b,
			   struct ek_err *err);

/*
 * Entry @i < b->count, fully checked: its name lies in the block after the
 * entries, directly before the next one, has 1..255 bytes, no NUL and no '/'.
 * EK_CORRUPT otherwise. Entries are independent: after an error others can
 * still be asked for.
 */
ek_status ek_dirblock_get(const struct ek_dirblock *b, uint32_t i,
			  struct ek_dent *d, struct ek_err *err);

/*
 * Binary search of @name as kernels do; EK_NOTFOUND when it is not there
 * (then @side is -1 when it sorts before the first entry, 1 when after the
 * last, else 0), EK_CORRUPT when an entry on the way is bad. @side may be
 * NULL.
 */
ek_status ek_dirblock_find(const struct ek_dirblock *b, const uint8_t *name,
			   size_t namelen, struct ek_dent *d, int *side,
			   struct ek_err *err);

/*
 * Whether all valid bytes after the last name are zero. False also when the
 * last entry is bad.
 */
bool ek_dirblock_padding_zero(const struct ek_dirblock *b);

/* Order of names: unsigned bytes, a prefix first. <0, 0, >0. */
int ek_name_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen);

/* Whether @name may stand in a directory: 1..255 bytes, no NUL, no '/'. */
bool ek_name_ok(const uint8_t *name, size_t n);

/* Whether a name of @namelen still fits in a block that has @used bytes. */
static inline bool ek_dirblock_fits(uint32_t used, uint32_t namelen,
				    uint32_t bs)
{
	return used + EK_DIRENT_SIZE + namelen <= bs;
}

/*
 * How many of the next @n entries go in one block, and in @used the bytes
 * that they take. At least 1 when @n is, since any name fits any block.
 */
size_t ek_dirblock_take(const struct ek_dent *ents, size_t n, uint32_t bs,
			uint32_t *used);

/*
 * Write @n sorted entries, from ek_dirblock_take(), as one block of @bs
 * bytes; what follows the last name is zeroed.
 * EK_INVALID: they do not fit, a name is bad, or the order is not strict.
 */
ek_status ek_dirblock_encode(const struct ek_dent *ents, size_t n, uint8_t *out,
			     uint32_t bs, struct ek_err *err);

/* EK_FT_* of a mode's file type; EK_FT_UNKNOWN for none. */
uint8_t ek_ftype_of_mode(uint16_t mode);

/* File type bits of a mode (S_IFMT) for EK_FT_*; 0 when unknown. */
uint16_t ek_mode_of_ftype(uint8_t ftype);

#endif
