/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_CFGS_H
#define EK_FORMAT_CFGS_H

/*
 * What the superblock announces about compression (section 1.5).
 * Pure functions; any thread may call them.
 */

#include "format/sb.h"

/*
 * Bytes that always hold every blob: 4 algorithms, each a 16-bit length,
 * 65535 bytes and the alignment of the next.
 */
#define EK_CFGS_MAX (4u * (2u + 65535u + 3u))
/* Bytes that ek_cfgs_encode() writes at most. */
#define EK_CFGS_ENCODED_MAX 48u

#define EK_LZ4_DISTANCE_MAX 65535u
#define EK_LZMA_DICT_MIN    4096u
#define EK_LZMA_DICT_MAX    (8u << 20)
#define EK_ZSTD_WLOG_MIN    10u
#define EK_ZSTD_WLOG_MAX    20u

struct ek_cfgs {
	uint16_t algs;		   /* bit EK_ALG_x: announced */
	uint16_t lz4_max_distance; /* never 0: 0 on disk means 65535 */
	uint16_t lz4_max_pclusterblks;
	uint32_t lzma_dict_size;
	uint8_t deflate_windowbits;
	uint8_t zstd_windowlog;
	bool reserved_nonzero; /* decode: some reserved byte is not zero */
};

/* Where the blobs start on the primary device: always 4-aligned. */
static inline uint64_t ek_cfgs_offset(const struct ek_sb *sb)
{
	return (uint64_t)EK_SB_OFFSET + ek_sb_size(sb);
}

/*
 * Decode the blobs, @n bytes from ek_cfgs_offset() on; @used gets the bytes
 * that they take. Without COMPR_CFGS nothing is read (@p may be NULL): the
 * result announces LZ4 with the window of the superblock and 1-block
 * pclusters, as kernels do.
 * EK_CORRUPT: a blob is cut off, too short, or its values break a limit.
 * EK_UNSUPPORTED: a format number that no kernel knows.
 */
ek_status ek_cfgs_decode(const struct ek_sb *sb, const uint8_t *p, size_t n,
			 struct ek_cfgs *cfgs, size_t *used,
			 struct ek_err *err);

/*
 * Write the blobs of @cfgs->algs to @out; @used gets their bytes, no more
 * than EK_CFGS_ENCODED_MAX. EK_INVALID: no room, or a limit is broken.
 */
ek_status ek_cfgs_encode(const struct ek_cfgs *cfgs, uint8_t *out, size_t cap,
			 size_t *used, struct ek_err *err);

/* "lz4", "lzma", "deflate", "zstd", or "unknown"; never NULL. */
const char *ek_alg_name(unsigned int alg);

#endif
