/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BUILD_COMPRESS_H
#define EK_BUILD_COMPRESS_H

/*
 * A run of file bytes becomes pclusters. What comes out depends on the run
 * and the parameters alone.
 */

#include <erofskit/status.h>
#include "base/bytes.h"

struct ek_encoder;

/*
 * One extent: how many bytes it covers, how many blocks it takes and, when it
 * is coded, how long its stream is. A coded extent is longer than its blocks,
 * unless its stream is kept next to the inode.
 */
typedef uint64_t ek_piece;

#define EK_PIECE_BLOCKS_SHIFT 32u
#define EK_PIECE_BLOCKS_MAX   2047u /* what indexes can say (6.3) */
#define EK_PIECE_SIZE_SHIFT   43u

/* A stored extent, or a coded one whose stream is @size bytes, 1 MiB at most */
static inline ek_piece ek_piece_coded_make(uint32_t len, uint32_t blocks,
					   uint32_t size)
{
	return len | (uint64_t)blocks << EK_PIECE_BLOCKS_SHIFT |
	       (uint64_t)size << EK_PIECE_SIZE_SHIFT;
}

static inline ek_piece ek_piece_make(uint32_t len, uint32_t blocks)
{
	return ek_piece_coded_make(len, blocks, 0);
}

static inline uint32_t ek_piece_len(ek_piece p)
{
	return (uint32_t)p;
}

static inline uint32_t ek_piece_blocks(ek_piece p)
{
	return (uint32_t)(p >> EK_PIECE_BLOCKS_SHIFT) & EK_PIECE_BLOCKS_MAX;
}

/* Bytes of the stream; 0: stored. */
static inline uint32_t ek_piece_size(ek_piece p)
{
	return (uint32_t)(p >> EK_PIECE_SIZE_SHIFT);
}

struct ek_compress {
	struct ek_encoder *enc;
	uint32_t bs;
	uint32_t max_blocks; /* of one pcluster */
	size_t max_len;	     /* of one extent; at most EK_EXTENT_FEED */
	/* Keep the room that LZ4 needs to be decoded in place. */
	bool lz4_margin;
	/*
	 * Non-zero: cut the run every @unit bytes, encode each in one pass and
	 * lay the streams end to end, without regard to blocks. Pieces have no
	 * blocks then.
	 */
	size_t unit;

	uint8_t *out;	/* block-aligned in the image */
	size_t out_cap; /* bytes; see ek_compress_room() */
	ek_piece *pieces;
	size_t cap_pieces;

	/* Results, added to. */
	size_t used; /* bytes of out, whole blocks but with unit */
	size_t n_pieces;
	uint64_t bytes_in; /* that the codec has read, again and again */
	bool coded;	   /* some extent of this run is coded */
	bool full;	   /* this run has reached its limit */

	/* Of the run: where it began, what it has taken, stored in a row. */
	size_t start, done;
	uint32_t fails;
	/* The extent before, for the codec to guess from; 0: none. */
	size_t last_len, last_size;
	/* Blocks that were stored last without asking the codec. */
	uint32_t unasked;
};

/* Longest extent: small enough for every reader (6.1), and for a piece. */
#define EK_EXTENT_FEED (4u << 20)

/* Bytes that feeding leaves for the next time, so that extents stay long. */
static inline size_t ek_compress_keep(uint32_t bs, uint32_t max_blocks)
{
	return ek_max(1u << 20, (size_t)4 * max_blocks * bs);
}

/*
 * Bytes of room that @out needs for a run of @n bytes, beyond what is used
 * already.
 */
static inline size_t ek_compress_room(size_t n, uint32_t bs,
				      uint32_t max_blocks)
{
	return n + ((size_t)max_blocks + 3) * bs;
}

/* Begin a run: what comes next begins at a block boundary in its file. */
void ek_compress_begin(struct ek_compress *c);

/*
 * Go on with the run: encode the @n bytes at @in, all of them when they are
 * the @last ones, else down to ek_compress_keep() bytes, which come first the
 * next time. *@taken gets the number of bytes that are done. Each extent but
 * the last of the run reaches the end of the block in which it starts. Stops
 * with c->full when the run has filled @limit bytes: then it was not worth
 * it, unless nothing of it is coded.
 */
ek_status ek_compress_feed(struct ek_compress *c, const uint8_t *in, size_t n,
			   bool last, size_t limit, size_t *taken,
			   struct ek_err *err);

/*
 * Bytes that must lie between the end of an extent and the end of its page
 * for the kernel to decode @csize bytes of LZ4 in place (6.11).
 */
static inline uint32_t ek_lz4_margin(size_t csize)
{
	return (uint32_t)(csize >> 8) + 32;
}

/* Pages of the kernels that we care most for; larger ones need no less. */
#define EK_LZ4_PAGE 4096u

#endif
