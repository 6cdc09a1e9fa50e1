/* SPDX-License-Identifier: Apache-2.0 */
#include "build/compress.h"

#include "base/try.h"
#include "codec/codec.h"
#include "codec/lz4cut.h"

#include <string.h>

/*
 * After so many failures in a row the data is taken for incompressible: ever
 * more of it is stored without asking the codec, up to a bound. When the codec
 * has success again, those last blocks are taken back and asked for.
 */
#define FAILS_PATIENT 64u /* blocks stored in a row; at least 8 times */
#define SKIP_MAX      16u

/*
 * The last match of a shortened stream may have to become literals, which
 * take a few bytes more: then shorten it by more.
 */
#define SHORTEN_TRIES 8
#define SHORTEN_STEP  8u

static void add_piece(struct ek_compress *c, uint32_t len, uint32_t blocks,
		      uint32_t size)
{
	EK_BUG_ON(c->n_pieces >= c->cap_pieces);
	c->pieces[c->n_pieces++] = ek_piece_coded_make(len, blocks, size);
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
		add_piece(c, (uint32_t)k, 1, 0);
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
	add_piece(c, (uint32_t)len, blocks, (uint32_t)csize);
	c->last_len = len;
	c->last_size = csize;
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
static size_t too_long(size_t end, size_t csize)
{
	size_t need = ek_lz4_margin(csize), room = room_after(end);

	if (room >= need || need >= EK_LZ4_PAGE)
		return 0;
	return need - room;
}

static ek_status encode(struct ek_compress *c, const uint8_t *in, size_t *len,
			size_t *csize, struct ek_err *err)
{
	uint64_t before = ek_encoder_fed(c->enc);

	ek_encoder_hint(c->enc, c->last_len, c->last_size);
	EK_TRY(ek_encode_fill(c->enc, in, len, c->out + c->used,
			      (size_t)c->max_blocks * c->bs, csize, err));
	c->bytes_in += ek_encoder_fed(c->enc) - before;
	return EK_OK;
}

/*
 * Shorten the extent of *@len bytes at @in by @cut or a little more, if that
 * does not make it larger and leaves a gain.
 */
static bool shorten(struct ek_compress *c, const uint8_t *in, size_t cut,
		    size_t *len, size_t *csize)
{
	for (int i = 0; i < SHORTEN_TRIES && cut < *len; i++) {
		size_t want = *len - cut;
		size_t n = ek_lz4_shorten(in, *len, c->out + c->used, *csize,
					  *csize, want);

		if (n) {
			*len = want;
			*csize = n;
			return has_gain(c, want, n);
		}
		/* Literals at the end took more than a match did: fewer. */
		cut += SHORTEN_STEP;
	}
	return false;
}

/*
 * Shorten the extent of *@len bytes at @in until it has the margin; *@len 0
 * when that is not possible with a gain.
 */
static void keep_margin(struct ek_compress *c, const uint8_t *in, size_t *len,
			size_t *csize)
{
	size_t cut = too_long(c->done + *len, *csize);

	if (cut == 0)
		return;
	if (!shorten(c, in, cut, len, csize) ||
	    too_long(c->done + *len, *csize))
		*len = 0;
}

/*
 * The same for the last extent of a run. What is left of it takes a block of
 * its own anyway: let that be as much as a block holds, best of all so that
 * the extent takes a block less.
 */
static void last_margin(struct ek_compress *c, const uint8_t *in, size_t *len,
			size_t *csize)
{
	size_t cut = too_long(c->done + *len, *csize), n;
	size_t room = room_after(c->done + *len);
	size_t less = (size_t)ek_div_up(*csize, c->bs) - 1;
	size_t full = ek_max(cut, ek_min(c->bs, EK_LZ4_PAGE - 64 - room));

	if (cut == 0)
		return;
	if (cut <= c->bs && full < *len) {
		n = ek_lz4_shorten(in, *len, c->out + c->used, *csize,
				   less * c->bs, *len - full);
		if (n && has_gain(c, *len - full, n) &&
		    !too_long(c->done + *len - full, n)) {
			*len -= full;
			*csize = n;
			return;
		}
	}
	keep_margin(c, in, len, csize);
}

/* Store what failed, and more without asking; returns the bytes taken. */
static size_t fail(struct ek_compress *c, const uint8_t *in, size_t n)
{
	size_t asked = ek_max(1, c->max_blocks / 4), blocks, len;
	size_t patient = ek_max(8, FAILS_PATIENT / asked);

	/* What follows is likely to be like that. */
	c->last_len = c->last_size = 1;
	c->fails++;
	blocks = c->fails > patient
			 ? asked * ek_min(c->fails - patient, SKIP_MAX)
			 : asked;
	/* Without a gain there were about so many bytes in the room. */
	blocks = ek_max(blocks, c->max_blocks);
	len = store(c, in, n, blocks);
	c->unasked = (uint32_t)(len / c->bs > asked ? len / c->bs - asked : 0);
	return len;
}

/* Take back the blocks that nobody asked for, as far as @pos allows. */
static size_t take_back(struct ek_compress *c, size_t pos)
{
	size_t blocks = ek_min(c->unasked, pos / c->bs);

	c->unasked = 0;
	c->fails = 0;
	c->n_pieces -= blocks;
	c->used -= blocks * c->bs;
	c->done -= blocks * c->bs;
	return blocks * c->bs;
}

void ek_compress_begin(struct ek_compress *c)
{
	c->start = c->used;
	c->done = 0;
	c->fails = 0;
	c->unasked = 0;
	c->last_len = c->last_size = 0;
	if (!c->max_len || c->max_len > EK_EXTENT_FEED)
		c->max_len = EK_EXTENT_FEED;
	c->coded = false;
	c->full = false;
}

/*
 * One extent, or some stored ones, from @in + *@pos on; *@pos moves on, or
 * back.
 */
static ek_status step(struct ek_compress *c, const uint8_t *in, size_t n,
		      bool last, size_t *pos, struct ek_err *err)
{
	size_t left = n - *pos, len = ek_min(left, c->max_len), csize = 0;

	if (left > c->bs) {
		EK_TRY(encode(c, in + *pos, &len, &csize, err));
		if (len && !has_gain(c, len, csize))
			len = 0;
		if (len && c->unasked) {
			*pos -= take_back(c, *pos);
			return EK_OK;
		}
		if (len && c->lz4_margin && (!last || len < left))
			keep_margin(c, in + *pos, &len, &csize);
		else if (len && c->lz4_margin)
			last_margin(c, in + *pos, &len, &csize);
		if (len)
			emit(c, len, csize);
		else
			len = fail(c, in + *pos, left);
	} else {
		store(c, in + *pos, len, 1);
	}
	c->done += len;
	*pos += len;
	return EK_OK;
}

/* One unit, coded or stored. */
static ek_status step_unit(struct ek_compress *c, const uint8_t *in, size_t n,
			   size_t *pos, struct ek_err *err)
{
	size_t len = ek_min(c->unit, n - *pos), size = 0;
	uint64_t before = ek_encoder_fed(c->enc);
	uint8_t *out = c->out + c->used;

	EK_TRY(ek_encode_whole(c->enc, in + *pos, len, out, len - 1, &size,
			       err));
	c->bytes_in += ek_encoder_fed(c->enc) - before;
	if (size == 0)
		memcpy(out, in + *pos, len);
	else
		c->coded = true;
	add_piece(c, (uint32_t)len, 0, (uint32_t)size);
	c->used += size ? size : len;
	c->done += len;
	*pos += len;
	return EK_OK;
}

ek_status ek_compress_feed(struct ek_compress *c, const uint8_t *in, size_t n,
			   bool last, size_t limit, size_t *taken,
			   struct ek_err *err)
{
	size_t keep = last ? 0 : ek_compress_keep(c->bs, c->max_blocks);
	size_t pos = 0;

	EK_BUG_ON(c->out_cap - c->used <
		  ek_compress_room(n, c->bs, c->max_blocks));
	while (n - pos > keep) {
		if (c->used - c->start >= limit) {
			c->full = true;
			break;
		}
		if (c->unit)
			EK_TRY(step_unit(c, in, n, &pos, err));
		else
			EK_TRY(step(c, in, n, last, &pos, err));
	}
	if (c->used - c->start >= limit)
		c->full = true;
	*taken = pos;
	return EK_OK;
}
