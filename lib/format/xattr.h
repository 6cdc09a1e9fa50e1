/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_XATTR_H
#define EK_FORMAT_XATTR_H

/*
 * Extended attributes (section 4). Pure functions; any thread may call them.
 * Views hold as long as the bytes that they were decoded from.
 */

#include "format/inode.h"

#define EK_XATTR_HEAD_SIZE  12u
#define EK_XATTR_ENTRY_HEAD 4u
/* icount is 16 bits: 12 + 4 * 65534. */
#define EK_XATTR_REGION_MAX 262148u
#define EK_XATTR_SHARED_MAX 255u /* h_shared_count is 8 bits */
#define EK_XATTR_VALUE_MAX  65535u
/* One entry, rounded up: 4 + 255 + 65535. */
#define EK_XATTR_ENTRY_MAX 65796u

/* e_name_index. */
#define EK_XATTR_HIDDEN	     0u
#define EK_XATTR_USER	     1u
#define EK_XATTR_ACL_ACCESS  2u
#define EK_XATTR_ACL_DEFAULT 3u
#define EK_XATTR_TRUSTED     4u
#define EK_XATTR_LUSTRE	     5u
#define EK_XATTR_SECURITY    6u
#define EK_XATTR_INDEX_COUNT 7u
#define EK_XATTR_LONG	     0x80u /* low 7 bits: number of a long prefix */
#define EK_XATTR_LONG_MAX    128u  /* long prefixes that can be addressed */

struct ek_xattr_head {
	uint32_t filter;
	uint8_t shared_count;
	bool reserved_nonzero; /* decode: some reserved byte is not zero */
};

struct ek_xattr_entry {
	uint8_t index;	     /* EK_XATTR_*, or EK_XATTR_LONG | number */
	uint8_t namelen;     /* of the suffix that is stored */
	uint16_t valuelen;   /* bytes */
	const uint8_t *name; /* the suffix */
	const uint8_t *value;
	uint32_t size;	      /* bytes of the entry, a multiple of 4 */
	bool padding_nonzero; /* decode: some byte of padding is not zero */
};

/* Bytes of an entry, rounded up to 4. */
static inline uint32_t ek_xattr_entry_size(uint32_t namelen, uint32_t valuelen)
{
	return (EK_XATTR_ENTRY_HEAD + namelen + valuelen + 3u) & ~3u;
}

/* i_xattr_icount of a region of @size bytes (0, or 12 + 4k up to the max). */
static inline uint16_t ek_xattr_icount(uint32_t size)
{
	return size ? (uint16_t)((size - EK_XATTR_HEAD_SIZE) / 4 + 1) : 0;
}

/*
 * Decode the header of an inline region of @xsize > 0 bytes that are all at
 * @p. EK_CORRUPT: shared ids beyond the region. EK_UNSUPPORTED: a region that
 * is a header alone, which kernels refuse (4.1).
 */
ek_status ek_xattr_head_decode(const uint8_t *p, size_t xsize,
			       struct ek_xattr_head *h, struct ek_err *err);

/* Write 12 bytes. */
void ek_xattr_head_encode(const struct ek_xattr_head *h, uint8_t *p);

/* Shared id @i < shared_count of the region at @p. */
uint32_t ek_xattr_shared_id(const uint8_t *p, unsigned int i);

/*
 * Byte position of a shared entry; in the metabox data when the superblock
 * says SHARED_EA_IN_METABOX and METABOX (@in_metabox), else on the primary
 * device.
 */
uint64_t ek_xattr_shared_pos(const struct ek_sb *sb, uint32_t id,
			     bool *in_metabox);

/*
 * Bytes of the entry whose first 4 bytes are @p: read these first, then the
 * rest, for a shared entry.
 */
uint32_t ek_xattr_entry_peek(const uint8_t *p);

/* Decode the entry at @p, of which @n bytes are there. EK_CORRUPT: cut off. */
ek_status ek_xattr_entry_decode(const uint8_t *p, size_t n,
				struct ek_xattr_entry *e, struct ek_err *err);

/*
 * Write an entry of ek_xattr_entry_size() bytes with zero padding; size and
 * padding_nonzero are not looked at. EK_INVALID: @cap is too small.
 */
ek_status ek_xattr_entry_encode(const struct ek_xattr_entry *e, uint8_t *p,
				size_t cap, struct ek_err *err);

/* Walk over the inline entries of a region. */
struct ek_xattr_iter {
	const uint8_t *p;
	size_t left;
};

/* Start after the header and shared ids of the region at @p. */
void ek_xattr_iter_init(struct ek_xattr_iter *it, const uint8_t *p,
			size_t xsize, const struct ek_xattr_head *h);

/*
 * Next entry, or EK_NOTFOUND at the end (then @err is not written). Empty
 * entries (4 zero bytes) are slack and skipped. EK_CORRUPT: an entry is
 * larger than what remains; the walk must stop.
 */
ek_status ek_xattr_iter_next(struct ek_xattr_iter *it, struct ek_xattr_entry *e,
			     struct ek_err *err);

/* "user." and so on; "" for 0 and the unknown; never NULL. */
const char *ek_xattr_prefix(unsigned int index);

/*
 * Cut a full name of @n bytes in index and suffix: *@plen gets the bytes of
 * the prefix. False when no index fits, or the suffix is empty where a name
 * is wanted or longer than 255.
 */
bool ek_xattr_split(const char *name, size_t n, uint8_t *index, size_t *plen);

/* Whether @n bytes can be the value of a system.posix_acl_* attribute. */
bool ek_xattr_acl_ok(const uint8_t *p, size_t n);

/* A long prefix (4.4): full prefix = ek_xattr_prefix(base) + infix. */
struct ek_xattr_long {
	uint8_t base;
	uint8_t infixlen;
	const uint8_t *infix; /* no NUL at its end */
	uint32_t size;	      /* bytes of the record; the next is 4-aligned */
};

/* Bytes that hold any record: 2 + 256. */
#define EK_XATTR_LONG_SIZE_MAX 258u

/* Decode the record at @p. EK_CORRUPT: cut off, or a length not 1..256. */
ek_status ek_xattr_long_decode(const uint8_t *p, size_t n,
			       struct ek_xattr_long *l, struct ek_err *err);

/*
 * Write a record and zeros to the next multiple of 4; @used gets the bytes.
 * EK_INVALID: @cap is too small.
 */
ek_status ek_xattr_long_encode(const struct ek_xattr_long *l, uint8_t *p,
			       size_t cap, size_t *used, struct ek_err *err);

/* In which bytes the table of long prefixes lies (4.4). */
enum ek_xattr_place {
	EK_PLACE_DEVICE,
	EK_PLACE_METABOX,
	EK_PLACE_PACKED,
};

enum ek_xattr_place ek_xattr_long_place(const struct ek_sb *sb);

/* Longest full name: prefix 24, infix 255, suffix 255. */
#define EK_XATTR_FULL_MAX 534u

/*
 * Put the full name together in @out (EK_XATTR_FULL_MAX + 1 bytes), with a
 * NUL after it, and its length in @n. @longs are the @nlongs long prefixes.
 * EK_NOTFOUND: the entry's index names no prefix or is hidden, so that the
 * attribute is not visible (@err is not written).
 */
ek_status ek_xattr_full_name(const struct ek_xattr_entry *e,
			     const struct ek_xattr_long *longs, size_t nlongs,
			     char *out, size_t *n);

/* Whether h_name_filter means something (4.5). */
bool ek_xattr_filter_on(const struct ek_sb *sb);

/* No name is present: each name clears its bit. */
#define EK_XATTR_FILTER_EMPTY 0xffffffffu

/*
 * Bit number 0..31 of a name: @base is the index of the built-in prefix,
 * @name the rest of the full name, infix included (at most 510 bytes).
 */
unsigned int ek_xattr_filter_bit(uint8_t base, const uint8_t *name, size_t n);

#endif
