/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/fit.h"

#include "base/try.h"

#include <libdeflate.h>
#include <stdlib.h>

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

/* Streams that are too long must be told by how much, up to twice. */
static size_t scratch_size(size_t max_out)
{
	return 2 * max_out + 4096;
}

static uint64_t memory(const struct ek_encoder_params *params)
{
	/* By sight of the allocations; the near-optimal parser is hungry. */
	return scratch_size(params->max_out) +
	       (params->level >= 10 ? 9u << 20 : 1u << 20);
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
	d->n_scratch = scratch_size(params->max_out);
	d->scratch = malloc(d->n_scratch);
	if (!d->c || !d->scratch) {
		ldefl_free(&d->base);
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	}
	*enc = &d->base;
	return EK_OK;
}

static size_t trial(struct ek_encoder *enc, const uint8_t *in, size_t n_in,
		    uint8_t *out, size_t room)
{
	struct ldefl *d = (struct ldefl *)enc;

	return libdeflate_deflate_compress(d->c, in, n_in, out, room);
}

static ek_status fill(struct ek_encoder *enc, const uint8_t *in, size_t *n_in,
		      uint8_t *out, size_t n_out, size_t *n_used,
		      struct ek_err *err)
{
	struct ldefl *d = (struct ldefl *)enc;

	(void)err;
	if (n_out > d->n_scratch / 2)
		n_out = d->n_scratch / 2;
	ek_fit_whole(enc, trial, in, n_in, out, n_out, n_used, d->scratch,
		     d->n_scratch);
	/* As for zlib: bits behind those of a stored block. */
	if (*n_used && out[0] == 0)
		out[0] = 8;
	return EK_OK;
}

static ek_status whole(struct ek_encoder *enc, const uint8_t *in, size_t n_in,
		       uint8_t *out, size_t room, size_t *n_used,
		       struct ek_err *err)
{
	(void)err;
	*n_used = trial(enc, in, n_in, out, room);
	if (*n_used && out[0] == 0)
		out[0] = 8;
	return EK_OK;
}

const struct ek_encoder_ops ek_libdeflate_encoder = {
	.whole = whole,
	.memory = memory,
	.open = ldefl_open,
	.fill = fill,
	.free = ldefl_free,
};
