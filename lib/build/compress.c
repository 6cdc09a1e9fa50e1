/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include "build/compress.h"

#include "base/try.h"

#include <string.h>

/*
 * After so many stored extents in a row the data is taken for incompressible:
 * ever more of it is stored without asking the codec, up to a bound so that a
 * compressible part after it is soon found.
 */
#define FAILS_PATIENT 8u
#define SKIP_MAX      16u

/* A codec may end a shortened extent elsewhere than asked; then try again. */
#define SHORTEN_TRIES 3

static void add_piece(struct ek_compress *c, uint32_t len, uint32_t blocks)
{
	EK_BUG_ON(c->n_pieces >= c->cap_pieces);
	c->pieces[c->n_pieces++] = ek_piece_make(len, blocks);
	c->used += (size_t)blocks * c->bs;
}

/* Store up to @blocks blocks; returns the bytes taken. */
static size_t store(struct ek_compress *c, const uint8_t *in, size_t n,
		    size_t blocks)
{
	size_t done = 0;

	while (done < n && blocks--) {
		size_t k = ek_min(c->bs, n - done);

		memcpy(c->out + c->used, in + done, k);
		memset(c->out + c->used + k, 0, c->bs - k);
		add_piece(c, (uint32_t)k, 1);
		done += k;
	}
	return done;
}

/* Put @csize bytes at the end of their blocks, zeros before them. */
static void emit(struct ek_compress *c, size_t len, size_t csize)
{
	uint32_t blocks = (uint32_t)ek_div_up(csize, c->bs);
	size_t gap = (size_t)blocks * c->bs - csize;
	uint8_t *at = c->out + c->used;

	if (gap) {
		memmove(at + gap, at, csize);
		memset(at, 0, gap);
	}
	add_piece(c, (uint32_t)len, blocks);
	c->coded = true;
	c->fails = 0;
}

static bool has_gain(const struct ek_compress *c, size_t len, size_t csize)
{
	return len > ek_div_up(csize, c->bs) * c->bs;
}

static size_t room_after(size_t end)
{
	return (EK_LZ4_PAGE - end % EK_LZ4_PAGE) % EK_LZ4_PAGE;
}

/*
 * How much shorter an extent that ends at @end (from the start of the run)
 * must be for the margin; 0 when it is wide enough, or when no end of an
 * extent could give it.
 */
static size_t too_long(size_t end, size_t csize, bool last, uint32_t bs)
{
	size_t need = ek_lz4_margin(csize), room = room_after(end), cut;

	if (room >= need || need >= EK_LZ4_PAGE)
		return 0;
	cut = need - room;
	/*
	 * What remains after the last extent takes a block anyway: let it be
	 * as much as a block holds.
	 */
	if (last && cut <= bs)
		cut = ek_max(cut, ek_min(bs, EK_LZ4_PAGE - 64 - room));
	return cut;
}

static ek_status encode(struct ek_compress *c, const uint8_t *in, size_t *len,
			size_t *csize, struct ek_err *err)
{
	EK_TRY(ek_encode_fill(c->enc, in, len, c->out + c->used,
			      (size_t)c->max_blocks * c->bs, csize, err));
	c->bytes_in += *len;
	return EK_OK;
}

/*
 * Shorten the extent of *@len bytes at @in until it has the margin; *@len 0
 * when that is not possible with a gain. @n bytes are left in all, the last
 * ones when @last.
 */
static ek_status keep_margin(struct ek_compress *c, const uint8_t *in, size_t n,
			     bool last, size_t *len, size_t *csize,
			     struct ek_err *err)
{
	for (int i = 0; i < SHORTEN_TRIES; i++) {
		size_t cut = too_long(c->done + *len, *csize, last && *len == n,
				      c->bs);

		if (cut == 0)
			return EK_OK;
		if (cut >= *len)
			break;
		*len -= cut;
		EK_TRY(encode(c, in, len, csize, err));
		if (!has_gain(c, *len, *csize))
			break;
	}
	if (!has_gain(c, *len, *csize) ||
	    too_long(c->done + *len, *csize, false, c->bs))
		*len = 0;
	return EK_OK;
}

/* Blocks to store before the codec is asked again. */
static size_t blocks_to_skip(struct ek_compress *c)
{
	size_t base = ek_max(1, c->max_blocks / 4);

	c->fails++;
	if (c->fails <= FAILS_PATIENT)
		return base;
	return ek_max(base, ek_min(c->fails - FAILS_PATIENT, SKIP_MAX));
}

void ek_compress_begin(struct ek_compress *c)
{
	c->start = c->used;
	c->done = 0;
	c->fails = 0;
	c->coded = false;
	c->full = false;
}

/* One extent, or some stored ones; *@taken gets the bytes. */
static ek_status step(struct ek_compress *c, const uint8_t *in, size_t n,
		      bool last, size_t *taken, struct ek_err *err)
{
	size_t len = ek_min(n, EK_EXTENT_FEED), csize = 0;

	if (n <= c->bs) {
		*taken = store(c, in, n, 1);
		return EK_OK;
	}
	EK_TRY(encode(c, in, &len, &csize, err));
	if (len && !has_gain(c, len, csize))
		len = 0;
	if (len && c->lz4_margin)
		EK_TRY(keep_margin(c, in, n, last, &len, &csize, err));
	if (len)
		emit(c, len, csize);
	else
		len = store(c, in, n, blocks_to_skip(c));
	*taken = len;
	return EK_OK;
}

ek_status ek_compress_feed(struct ek_compress *c, const uint8_t *in, size_t n,
			   bool last, size_t limit, size_t *taken,
			   struct ek_err *err)
{
	size_t keep = last ? 0 : ek_compress_keep(c->bs, c->max_blocks);
	size_t pos = 0, k;

	EK_BUG_ON(c->out_cap - c->used <
		  ek_compress_room(n, c->bs, c->max_blocks));
	while (n - pos > keep) {
		if (c->used - c->start >= limit) {
			c->full = true;
			break;
		}
		EK_TRY(step(c, in + pos, n - pos, last, &k, err));
		pos += k;
		c->done += k;
	}
	if (c->used - c->start >= limit)
		c->full = true;
	*taken = pos;
	return EK_OK;
}
