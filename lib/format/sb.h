/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_SB_H
#define EK_FORMAT_SB_H

/*
 * The superblock (section 1). Pure functions; any thread may call them with
 * its own structs.
 */

#include "format/layout.h"

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>

#define EK_VOLUME_NAME_MAX 16u

struct ek_sb {
	uint32_t checksum; /* as stored; see ek_sb_verify() */
	uint32_t compat;
	uint32_t incompat;
	uint8_t blkszbits; /* 9..16 */
	uint8_t extslots;
	uint64_t root_nid;
	uint64_t inos;
	int64_t epoch;	     /* seconds; base of compact inodes' times */
	uint32_t fixed_nsec; /* of all compact inodes */
	uint32_t build_time; /* seconds after epoch */
	uint64_t blocks;     /* of the primary device, 48 bits */
	uint32_t meta_blkaddr;
	uint32_t xattr_blkaddr;
	uint8_t uuid[16];
	char volume_name[EK_VOLUME_NAME_MAX + 1]; /* always ends with NUL */
	uint16_t algs;		   /* bitmap; 0 without COMPR_CFGS */
	uint16_t lz4_max_distance; /* 0 with COMPR_CFGS: see ek_cfgs */
	uint16_t extra_devices;	   /* 0 without DEVICE_TABLE */
	uint16_t devt_slotoff;
	uint8_t xattr_prefix_count; /* as stored */
	uint32_t xattr_prefix_start;
	uint64_t packed_nid;  /* 0 = none; as stored, even without FRAGMENTS */
	uint64_t metabox_nid; /* meaningful with METABOX only */
	uint8_t xattr_filter_reserved;
	uint8_t ishare_prefix_id;
	bool root_wide;	       /* decode: rootnid_8b was used */
	bool name_full;	       /* decode: no NUL in the 16 bytes of the name */
	bool reserved_nonzero; /* decode: some reserved byte is not zero */
};

static inline uint32_t ek_sb_bs(const struct ek_sb *sb)
{
	return UINT32_C(1) << sb->blkszbits;
}

/* Bytes of the superblock: 128 + 16 * extslots. */
static inline uint32_t ek_sb_size(const struct ek_sb *sb)
{
	return EK_SB_SIZE_MIN + EK_SB_SLOT * sb->extslots;
}

static inline bool ek_sb_incompat(const struct ek_sb *sb, uint32_t bits)
{
	return (sb->incompat & bits) == bits;
}

static inline bool ek_sb_compat(const struct ek_sb *sb, uint32_t bits)
{
	return (sb->compat & bits) == bits;
}

/* NID of the packed inode, or 0 when no inode may use it (6.8). */
static inline uint64_t ek_sb_packed(const struct ek_sb *sb)
{
	return ek_sb_incompat(sb, EK_INCOMPAT_FRAGMENTS) ? sb->packed_nid : 0;
}

/* Whether no inode may be compressed, for kernels from 7.0 (1.2 rule 5). */
bool ek_sb_is_plain(const struct ek_sb *sb);

/*
 * Decode @n bytes that begin at byte 1024 of the primary device, and apply
 * the rules of a mount that need nothing else (8.1). 128 + 16 * 255 bytes are
 * always enough; fewer will do when the superblock is smaller. The checksum
 * is not looked at.
 * EK_CORRUPT: not EROFS, too short, or a field breaks a rule.
 * EK_UNSUPPORTED: unknown incompatible features, block sizes, algorithms.
 */
ek_status ek_sb_decode(const uint8_t *p, size_t n, struct ek_sb *sb,
		       struct ek_err *err);

/*
 * Write ek_sb_size() bytes to @out, which has @cap. The checksum is written
 * as 0: see ek_sb_seal(). The wide form is chosen when blocks or root NID
 * need it. Fields that decode alone sets are not looked at.
 * EK_INVALID: a value does not fit its field, or a rule of decode is broken.
 */
ek_status ek_sb_encode(const struct ek_sb *sb, uint8_t *out, size_t cap,
		       struct ek_err *err);

/* Bytes from 1024 on that the checksum covers, for a block size (1.3). */
static inline uint32_t ek_sb_csum_len(uint32_t bs)
{
	return bs > EK_SB_OFFSET ? bs - EK_SB_OFFSET : bs;
}

/*
 * Checksum over @n (>= 8) bytes from byte 1024 on; @n is ek_sb_csum_len().
 * The checksum field's own bytes count as zero whatever they hold.
 */
uint32_t ek_sb_checksum(const uint8_t *p, size_t n);

/*
 * Compare the checksum of @sb, if it has one, with that of the @n bytes from
 * byte 1024 on. EK_CORRUPT: they differ, or @n < ek_sb_csum_len().
 */
ek_status ek_sb_verify(const struct ek_sb *sb, const uint8_t *p, size_t n,
		       struct ek_err *err);

/* Compute the checksum of @n bytes from byte 1024 on and store it there. */
void ek_sb_seal(uint8_t *p, size_t n);

#endif
