/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/impl.h"

#include "base/try.h"
#include "codec/deflcut.h"

#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#define WINDOW_MAX (32u << 10)
#define MEM_LEVEL  9
/*
 * The best level looks at 4096 places for each match. A quarter of that takes
 * two thirds of the time and costs three parts in ten thousand.
 */
#define BEST	   9
#define BEST_GOOD  32
#define BEST_NICE  258
#define BEST_CHAIN 1024

/* Too little to be worth a block of its own. */
#define PART_MIN 512u

struct defl {
	struct ek_encoder base;
	z_stream z;
	bool ready, best;
};

const char *ek_zlib_version(void)
{
	return zlibVersion();
}

static uint32_t dict_size(const struct ek_encoder_params *params)
{
	(void)params;
	return WINDOW_MAX;
}

static uint64_t defl_memory(const struct ek_encoder_params *params)
{
	/* As zconf.h states it. */
	return 4 * (uint64_t)params->dict_size + (1u << (MEM_LEVEL + 9)) +
	       sizeof(struct defl);
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
	int window = __builtin_ctz(params->dict_size);

	if (!d)
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	d->base.ops = &ek_zlib_encoder;
	d->best = params->level == BEST;
	/* Negative: nothing around the stream. */
	d->ready = deflateInit2(&d->z, params->level, Z_DEFLATED, -window,
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
	/* Only the level survives a reset. */
	if (d->best && deflateTune(&d->z, BEST_GOOD, BEST_NICE, BEST_NICE,
				   BEST_CHAIN) != Z_OK)
		return ek_fail(err, EK_NOMEM, "deflate: no encoder");
	d->z.next_out = out;
	d->z.avail_out = (uInt)room;
	return EK_OK;
}

/*
 * The next part: a block that ends near the room reads little for nothing, and
 * one that ends before it goes on with the next.
 */
static size_t next_part(const struct ek_encoder *enc, size_t taken,
			size_t total, size_t room, size_t left)
{
	size_t part;

	if (taken)
		part = ek_scale(room - total, taken, total) * 9 / 8;
	else if (enc->hint_in)
		part = ek_scale(room, enc->hint_in, enc->hint_out) / 16 * 15;
	else
		part = room * 3 / 2;
	part = ek_max(part, PART_MIN);
	/* The rest goes along when it is not much more. */
	return part + part / 4 >= left ? left : part;
}

static ek_status fill(struct ek_encoder *enc, const uint8_t *in, size_t *n_in,
		      uint8_t *out, size_t n_out, size_t *n_used,
		      struct ek_err *err)
{
	struct defl *d = (struct defl *)enc;
	size_t n = *n_in, taken = 0;
	z_stream *z = &d->z;

	*n_in = *n_used = 0;
	EK_TRY(start(enc, out, n_out, err));
	while (taken < n && z->avail_out) {
		size_t part = next_part(enc, taken, n_out - z->avail_out, n_out,
					n - taken);
		bool last = part == n - taken;
		int ret;

		z->next_in = in + taken;
		z->avail_in = (uInt)part;
		ret = deflate(z, last ? Z_FINISH : Z_BLOCK);
		if (ret != Z_OK && ret != Z_BUF_ERROR && ret != Z_STREAM_END)
			return ek_fail(err, EK_NOMEM, "deflate: no encoder");
		enc->fed += part - z->avail_in;
		taken += part - z->avail_in;
		if (ret == Z_STREAM_END) {
			*n_in = n;
			*n_used = n_out - z->avail_out;
			ek_deflate_mark_start(out, *n_used);
			return EK_OK;
		}
	}
	ek_deflate_cut(out, n_out, n_out, n_in, n_used);
	ek_deflate_mark_start(out, *n_used);
	return EK_OK;
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
	ek_deflate_mark_start(out, *n_used);
	return EK_OK;
}

const struct ek_encoder_ops ek_zlib_encoder = {
	.whole = whole,
	.dict_size = dict_size,
	.memory = defl_memory,
	.open = defl_open,
	.fill = fill,
	.free = defl_free,
};
