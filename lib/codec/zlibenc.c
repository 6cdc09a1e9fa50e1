/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/fit.h"

#include "base/try.h"

#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#define RAW_WINDOW (-15)
#define MEM_LEVEL  9
/* Where output goes that does not fit, only to be counted. */
#define SPILL 4096u

struct defl {
	struct ek_encoder base;
	z_stream z;
	bool ready;
	uint8_t *out;
	uint8_t spill[SPILL];
};

const char *ek_zlib_version(void)
{
	return zlibVersion();
}

static uint64_t defl_memory(const struct ek_encoder_params *params)
{
	(void)params;
	/* As zconf.h states it. */
	return (1u << 17) + (1u << (MEM_LEVEL + 9)) + sizeof(struct defl);
}

static void defl_free(struct ek_encoder *enc)
{
	struct defl *d = (struct defl *)enc;

	if (d->ready)
		deflateEnd(&d->z);
	free(d);
}

static ek_status defl_open(const struct ek_encoder_params *params,
			   struct ek_encoder **enc, struct ek_err *err)
{
	struct defl *d = calloc(1, sizeof(*d));

	if (!d)
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	d->base.ops = &ek_zlib_encoder;
	d->ready = deflateInit2(&d->z, params->level, Z_DEFLATED, RAW_WINDOW,
				MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
	if (!d->ready) {
		defl_free(&d->base);
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	}
	*enc = &d->base;
	return EK_OK;
}

static ek_status start(struct ek_encoder *enc, uint8_t *out, size_t room,
		       struct ek_err *err)
{
	struct defl *d = (struct defl *)enc;

	if (deflateReset(&d->z) != Z_OK)
		return ek_fail(err, EK_NOMEM, "deflate: no encoder");
	d->out = out;
	d->z.next_out = out;
	d->z.avail_out = (uInt)room;
	return EK_OK;
}

/*
 * A flush ends with an empty stored block: the next part begins at a byte, and
 * so may the end.
 */
static ek_status push(struct ek_encoder *enc, const uint8_t *in, size_t n,
		      size_t *total, struct ek_err *err)
{
	struct defl *d = (struct defl *)enc;
	z_stream *z = &d->z;
	size_t spilt = 0;
	bool full = false;

	*total = (size_t)(z->next_out - d->out);
	z->next_in = in;
	z->avail_in = (uInt)n;
	for (;;) {
		const uint8_t *at = z->next_out;
		int ret = deflate(z, Z_SYNC_FLUSH);

		if (ret != Z_OK && ret != Z_BUF_ERROR)
			return ek_fail(err, EK_NOMEM, "deflate: no encoder");
		if (full)
			spilt += (size_t)(z->next_out - at);
		else
			*total += (size_t)(z->next_out - at);
		/* The flush is complete when there was room for more. */
		if (z->avail_out)
			break;
		full = true;
		z->next_out = d->spill;
		z->avail_out = SPILL;
	}
	/* Just as much as there was room: it fits, and nothing more will. */
	if (full && spilt == 0) {
		z->next_out = d->out + *total;
		z->avail_out = 0;
	}
	*total += spilt;
	return EK_OK;
}

/* A last block with nothing in it, in the codes of RFC 1951, 3.2.6. */
static size_t seal(struct ek_encoder *enc, size_t total)
{
	struct defl *d = (struct defl *)enc;

	d->out[total] = 3;
	d->out[total + 1] = 0;
	/*
	 * A stored block, not the last, begins with a byte of 0. Behind its
	 * three bits are some that nobody reads.
	 */
	if (d->out[0] == 0)
		d->out[0] = 8;
	return total + 2;
}

static ek_status fill(struct ek_encoder *enc, const uint8_t *in, size_t *n_in,
		      uint8_t *out, size_t n_out, size_t *n_used,
		      struct ek_err *err)
{
	static const struct ek_flush_ops ops = {
		.start = start,
		.push = push,
		.seal = seal,
		.end = 2,
		.head = 48,
		.part = 1u << 20,
	};

	return ek_fit_flush(enc, &ops, in, n_in, out, n_out, n_used, err);
}

static ek_status whole(struct ek_encoder *enc, const uint8_t *in, size_t n_in,
		       uint8_t *out, size_t room, size_t *n_used,
		       struct ek_err *err)
{
	struct defl *d = (struct defl *)enc;
	int ret;

	EK_TRY(start(enc, out, room, err));
	d->z.next_in = in;
	d->z.avail_in = (uInt)n_in;
	ret = deflate(&d->z, Z_FINISH);
	*n_used = ret == Z_STREAM_END ? room - d->z.avail_out : 0;
	if (*n_used && out[0] == 0)
		out[0] = 8;
	return EK_OK;
}

const struct ek_encoder_ops ek_zlib_encoder = {
	.whole = whole,
	.memory = defl_memory,
	.open = defl_open,
	.fill = fill,
	.free = defl_free,
};
