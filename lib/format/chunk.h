/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_CHUNK_H
#define EK_FORMAT_CHUNK_H

/*
 * Chunk-based files (section 5.2). Pure functions; any thread may call them.
 */

#include "format/inode.h"

#define EK_CHUNK_FMT_BITS    0x1fu
#define EK_CHUNK_FMT_INDEXES 0x20u
#define EK_CHUNK_FMT_48BIT   0x40u
#define EK_CHUNK_FMT_KNOWN   0x7fu

struct ek_chunk_map {
	uint64_t pos;	   /* of the array; same space as the inode */
	uint64_t count;	   /* entries */
	uint8_t chunkbits; /* chunk size = 1 << chunkbits bytes */
	uint8_t unit;	   /* 8 (indexes) or 4 (block map) */
	bool wide;	   /* 48-bit addresses */
	uint16_t id_mask;  /* of device ids */
};

struct ek_chunk {
	uint64_t blk;	 /* EK_NULL_BLK: a hole */
	uint16_t device; /* masked; 0 = unified space */
};

/*
 * Geometry of the chunk array of @in, which is at @iloc.
 * EK_CORRUPT: not chunk-based, or the array's place does not fit 64 bits.
 */
ek_status ek_chunk_map_init(const struct ek_sb *sb, const struct ek_inode *in,
			    uint64_t iloc, struct ek_chunk_map *m,
			    struct ek_err *err);

/* Decode the entry of m->unit bytes at @p. */
void ek_chunk_decode(const struct ek_chunk_map *m, const uint8_t *p,
		     struct ek_chunk *c);

/*
 * Write the entry of m->unit bytes. EK_INVALID: the address is too wide or
 * equals the mark of a hole, or the device needs indexes.
 */
ek_status ek_chunk_encode(const struct ek_chunk_map *m,
			  const struct ek_chunk *c, uint8_t *p,
			  struct ek_err *err);

/*
 * The 16-bit format for chunks of 1 << @chunkbits bytes.
 * EK_INVALID: smaller than a block, or larger than bs << 31.
 */
ek_status ek_chunk_format(const struct ek_sb *sb, unsigned int chunkbits,
			  bool indexes, bool wide, uint16_t *format,
			  struct ek_err *err);

#endif
