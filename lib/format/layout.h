/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_LAYOUT_H
#define EK_FORMAT_LAYOUT_H

/*
 * Numbers of the on-disk format. Section numbers in lib/format are those of
 * the format reference.
 */

#include <stdint.h>

/* Section 1: the superblock. */
#define EK_SB_MAGIC    0xE0F5E1E2u
#define EK_SB_OFFSET   1024u /* on the primary device, any block size */
#define EK_SB_SIZE_MIN 128u
#define EK_SB_SIZE_BOX 144u /* smallest that holds metabox_nid */
#define EK_SB_SLOT     16u  /* unit of sb_extslots */

#define EK_BLKSZBITS_MIN 9u
/* 64 KiB: the largest page of a kernel, and a block is at most a page. */
#define EK_BLKSZBITS_MAX 16u

/* feature_compat: never a reason to refuse. */
#define EK_COMPAT_SB_CHKSUM	    0x01u
#define EK_COMPAT_MTIME		    0x02u
#define EK_COMPAT_XATTR_FILTER	    0x04u
#define EK_COMPAT_SHARED_EA_METABOX 0x08u
#define EK_COMPAT_PLAIN_XATTR_PFX   0x10u
#define EK_COMPAT_ISHARE_XATTRS	    0x20u
#define EK_COMPAT_KNOWN		    0x3fu

/* feature_incompat: an unknown bit is a reason to refuse. */
#define EK_INCOMPAT_LZ4_0PADDING   0x001u
#define EK_INCOMPAT_COMPR_CFGS	   0x002u
#define EK_INCOMPAT_BIG_PCLUSTER   0x002u /* the same bit */
#define EK_INCOMPAT_CHUNKED_FILE   0x004u
#define EK_INCOMPAT_DEVICE_TABLE   0x008u
#define EK_INCOMPAT_COMPR_HEAD2	   0x008u /* the same bit */
#define EK_INCOMPAT_ZTAILPACKING   0x010u
#define EK_INCOMPAT_FRAGMENTS	   0x020u
#define EK_INCOMPAT_DEDUPE	   0x020u /* the same bit */
#define EK_INCOMPAT_XATTR_PREFIXES 0x040u
#define EK_INCOMPAT_48BIT	   0x080u
#define EK_INCOMPAT_METABOX	   0x100u
#define EK_INCOMPAT_KNOWN	   0x1ffu

/* Section 2: inodes. */
#define EK_NID_SLOT	   32u /* an inode's place is a multiple of this */
#define EK_NID_METABOX	   (UINT64_C(1) << 63)
#define EK_INODE_COMPACT   32u
#define EK_INODE_EXTENDED  64u
#define EK_LAYOUT_PLAIN	   0u /* FLAT_PLAIN */
#define EK_LAYOUT_ZFULL	   1u /* COMPRESSED_FULL */
#define EK_LAYOUT_INLINE   2u /* FLAT_INLINE */
#define EK_LAYOUT_ZCOMPACT 3u /* COMPRESSED_COMPACT */
#define EK_LAYOUT_CHUNK	   4u /* CHUNK_BASED */
#define EK_LAYOUT_COUNT	   5u

/* A decoded block address that says "no data", whatever its form on disk. */
#define EK_NULL_BLK UINT64_MAX
/* Block addresses have 48 bits at most. */
#define EK_BLK_BITS 48u
#define EK_BLK_MAX  ((UINT64_C(1) << EK_BLK_BITS) - 1)

/* Section 3: directories. */
#define EK_DIRENT_SIZE 12u
#define EK_NAME_MAX    255u
#define EK_FT_UNKNOWN  0u
#define EK_FT_REG      1u
#define EK_FT_DIR      2u
#define EK_FT_CHR      3u
#define EK_FT_BLK      4u
#define EK_FT_FIFO     5u
#define EK_FT_SOCK     6u
#define EK_FT_LNK      7u
#define EK_FT_COUNT    8u

/* The kernel reads a symlink's target into one page. */
#define EK_SYMLINK_MAX 4095u

/* Section 1.6: device slots. device_id is 16 bits and 0 is the primary. */
#define EK_DEVSLOT_SIZE 128u
#define EK_DEVTAG_SIZE	64u

/* Algorithms: the numbers of section 1.5. */
#define EK_ALG_LZ4     0u
#define EK_ALG_LZMA    1u
#define EK_ALG_DEFLATE 2u
#define EK_ALG_ZSTD    3u
#define EK_ALG_COUNT   4u

/* Section 6.1: what a kernel decodes at once. */
#define EK_PCLUSTER_MAX (UINT32_C(1) << 20)
#define EK_ZEXTENT_MAX	(UINT32_C(12) << 20)

#endif
