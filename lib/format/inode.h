/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_INODE_H
#define EK_FORMAT_INODE_H

/*
 * Inodes (section 2). Pure functions; any thread may call them.
 */

#include "format/sb.h"

struct ek_inode {
	bool extended;	       /* 64 bytes, else 32 */
	bool bit4;	       /* bit 4 of i_format, raw */
	bool nlink_1;	       /* compact non-directory with bit 4 */
	bool dot_omitted;      /* directory with bit 4 */
	bool reserved_nonzero; /* decode: some reserved byte is not zero */
	uint8_t layout;	       /* EK_LAYOUT_* */
	uint16_t mode;	       /* with its file type, which is a known one */
	uint16_t xattr_icount;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t ino; /* serial number on disk; informational */
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_nsec;

	/*
	 * Of regular files, directories and symlinks, by layout.
	 * start: flat layouts; EK_NULL_BLK for FLAT_PLAIN says that all is a
	 * hole, and for FLAT_INLINE that there is no full block.
	 * cblocks: compressed layouts; physical blocks written for the inode.
	 * chunk_format: CHUNK_BASED; see chunk.h.
	 */
	uint64_t start;
	uint64_t cblocks;
	uint16_t chunk_format;

	/* Of character and block devices. */
	uint32_t rdev_major; /* 12 bits */
	uint32_t rdev_minor; /* 20 bits */
};

/* Bytes of the inode core: 32 or 64. */
static inline uint32_t ek_inode_core(const struct ek_inode *in)
{
	return in->extended ? EK_INODE_EXTENDED : EK_INODE_COMPACT;
}

/* Bytes of an inline xattr region with this icount: 0, or 12 and more. */
static inline uint32_t ek_xattr_icount_size(uint16_t icount)
{
	return icount ? 12u + 4u * (icount - 1u) : 0;
}

/* Bytes from the inode's place to what follows its xattrs. */
static inline uint32_t ek_inode_body(const struct ek_inode *in)
{
	return ek_inode_core(in) + ek_xattr_icount_size(in->xattr_icount);
}

static inline bool ek_inode_compressed(const struct ek_inode *in)
{
	return in->layout == EK_LAYOUT_ZFULL ||
	       in->layout == EK_LAYOUT_ZCOMPACT;
}

/* Whether the file type of @mode has data: file, directory or symlink. */
bool ek_mode_has_data(uint16_t mode);

/*
 * Where inode @nid is. @in_metabox: @pos is an offset in the data of the
 * metabox inode, else on the primary device.
 * EK_CORRUPT: bit 63 is set without METABOX, or the place does not fit.
 */
ek_status ek_nid_pos(const struct ek_sb *sb, uint64_t nid, bool *in_metabox,
		     uint64_t *pos, struct ek_err *err);

/*
 * NID of an inode at byte @pos of the primary device, a multiple of 32.
 * EK_INVALID: before meta_blkaddr, or not a multiple.
 */
ek_status ek_pos_nid(const struct ek_sb *sb, uint64_t pos, uint64_t *nid,
		     struct ek_err *err);

/* Bytes of the core of an inode whose first 2 bytes are @p: 32 or 64. */
uint32_t ek_inode_peek(const uint8_t *p);

/*
 * Decode an inode core of @n bytes (at least ek_inode_peek()).
 * EK_CORRUPT: cut off, unknown file type, size beyond 2^63-1, mtime overflow.
 * EK_UNSUPPORTED: bits of i_format or of the chunk format that no kernel
 * knows.
 */
ek_status ek_inode_decode(const struct ek_sb *sb, const uint8_t *p, size_t n,
			  struct ek_inode *in, struct ek_err *err);

/* Why an inode cannot be compact: a mask, 0 when it can. */
#define EK_EXT_SIZE  0x01u /* size >= 4 GiB */
#define EK_EXT_OWNER 0x02u /* uid or gid > 65535 */
#define EK_EXT_NLINK 0x04u /* nlink > 65535 */
#define EK_EXT_MTIME 0x08u /* mtime or nanoseconds */
#define EK_EXT_START 0x10u /* 48-bit address and nlink != 1, or directory */

/*
 * The reasons for which a compact inode would not decode to the same values.
 * Without 48BIT the time must be the epoch: kernels before 6.15 read no other
 * (2.3). With 48BIT it may be up to 2^32-1 seconds after it. nlink_1,
 * dot_omitted and extended of @in are not looked at.
 */
uint32_t ek_inode_why_extended(const struct ek_sb *sb,
			       const struct ek_inode *in);

/*
 * Encode ek_inode_core() bytes to @out (room for 64). NLINK_1 is set by
 * itself when a compact inode's address needs more than 32 bits; dot_omitted
 * is obeyed; nlink_1, bit4 and reserved_nonzero are not looked at.
 * EK_INVALID: compact and ek_inode_why_extended() has reasons, a value that
 * does not fit its field, a device number beyond 12 and 20 bits.
 */
ek_status ek_inode_encode(const struct ek_sb *sb, const struct ek_inode *in,
			  uint8_t *out, struct ek_err *err);

/*
 * Whether @len inline bytes at byte @pos stay within one block (2.7). @pos is
 * on the device or in the metabox data.
 */
static inline bool ek_tail_fits(uint64_t pos, uint64_t len, uint32_t bs)
{
	return len <= bs && (pos & (bs - 1)) + len <= bs;
}

/*
 * Bytes of a flat inode that lie in full blocks; the rest of its size is the
 * inline tail. FLAT_PLAIN: all of it.
 */
uint64_t ek_inode_block_bytes(const struct ek_sb *sb,
			      const struct ek_inode *in);

#endif
