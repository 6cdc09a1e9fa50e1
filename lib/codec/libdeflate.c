/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/impl.h"

#include "base/try.h"
#include "codec/deflcut.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

/* Streams begun for one fill. */
#define TRIES 3
/* A first fill that leaves no more of the room than this part of it is done. */
#define LOSS_PART 32u
/* What one stream is made of at most: extents are not longer. */
#define INPUT_MAX (4u << 20)

struct ldefl {
	struct ek_encoder base;
	struct libdeflate_compressor *c;
	size_t n_scratch;
	uint8_t *scratch;
};

const char *ek_libdeflate_version(void)
{
	return LIBDEFLATE_VERSION_STRING;
}

/* Whatever a guess was, its stream has room here, to be cut. */
static size_t scratch_size(void)
{
	return libdeflate_deflate_compress_bound(NULL, INPUT_MAX);
}

static uint64_t memory(const struct ek_encoder_params *params)
{
	/* By sight of the allocations; the near-optimal parser is hungry. */
	return scratch_size() + (params->level >= 10 ? 9u << 20 : 1u << 20);
}

static void ldefl_free(struct ek_encoder *enc)
{
	struct ldefl *d = (struct ldefl *)enc;

	if (d->c)
		libdeflate_free_compressor(d->c);
	free(d->scratch);
	free(d);
}

static ek_status ldefl_open(const struct ek_encoder_params *params,
			    struct ek_encoder **enc, struct ek_err *err)
{
	struct ldefl *d = calloc(1, sizeof(*d));

	if (!d)
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	d->base.ops = &ek_libdeflate_encoder;
	d->c = libdeflate_alloc_compressor(params->level);
	d->n_scratch = scratch_size();
	d->scratch = malloc(d->n_scratch);
	if (!d->c || !d->scratch) {
		ldefl_free(&d->base);
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	}
	*enc = &d->base;
	return EK_OK;
}

/*
 * What is too much is cut off, and what is too little has to be done again:
 * guess a little long.
 */
static size_t first_guess(const struct ek_encoder *enc, size_t room)
{
	size_t n;

	if (!enc->hint_in)
		return 3 * room;
	n = ek_scale(room, enc->hint_in, enc->hint_out);
	return n + n / 12;
}

static ek_status fill(struct ek_encoder *enc, const uint8_t *in, size_t *n_in,
		      uint8_t *out, size_t n_out, size_t *n_used,
		      struct ek_err *err)
{
	struct ldefl *d = (struct ldefl *)enc;
	size_t n = ek_min(*n_in, INPUT_MAX), len = first_guess(enc, n_out);

	(void)err;
	for (int i = 0;; i++) {
		size_t used;

		/* The rest goes along when it is not much more. */
		if (len + len / 4 >= n)
			len = n;
		used = libdeflate_deflate_compress(d->c, in, len, d->scratch,
						   d->n_scratch);
		enc->fed += len;
		*n_in = len;
		*n_used = used;
		if (used > n_out)
			ek_deflate_cut(d->scratch, used, n_out, n_in, n_used);
		/* After each, less would be gained by one more. */
		if (used >= n_out || len == n || i == TRIES - 1 ||
		    n_out - used <= n_out / LOSS_PART << i)
			break;
		len = ek_scale(n_out, len, used) / 32 * 33;
	}
	memcpy(out, d->scratch, *n_used);
	ek_deflate_mark_start(out, *n_used);
	return EK_OK;
}

static ek_status whole(struct ek_encoder *enc, const uint8_t *in, size_t n_in,
		       uint8_t *out, size_t room, size_t *n_used,
		       struct ek_err *err)
{
	struct ldefl *d = (struct ldefl *)enc;

	(void)err;
	*n_used = libdeflate_deflate_compress(d->c, in, n_in, out, room);
	ek_deflate_mark_start(out, *n_used);
	return EK_OK;
}

const struct ek_encoder_ops ek_libdeflate_encoder = {
	.whole = whole,
	.memory = memory,
	.open = ldefl_open,
	.fill = fill,
	.free = ldefl_free,
};
