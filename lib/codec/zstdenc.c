/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZSTD_getCParams(): parameters that suit the size of what is encoded.
 * ZSTD_c_stableOutBuffer: straight into the output, which may be too small.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include "codec/fit.h"

#include "base/try.h"

#include <stdlib.h>
#include <zstd.h>

#define BLOCK_MAX  (128u << 10)
#define BLOCK_HEAD 3u
#define FRAME_HEAD 6u  /* magic, descriptor, window */
#define WIDER_MAX  19u /* logarithm of a window */

struct zenc {
	struct ek_encoder base;
	ZSTD_CCtx *ctx;
	ZSTD_outBuffer to;
	size_t part; /* where the blocks of the last part that fit begin */
	size_t end;  /* and end */
};

const char *ek_zstd_version(void)
{
	return ZSTD_versionString();
}

static uint32_t dict_size(const struct ek_encoder_params *params)
{
	uint32_t size = 1u << 20;

	while (size > 8 * (uint64_t)params->max_out && size > 1024)
		size >>= 1;
	return size;
}

static ZSTD_compressionParameters cparams(const struct ek_encoder_params *p)
{
	/* A cluster that is filled takes about so much in. */
	unsigned long long about =
		p->max_in ? p->max_in : 4 * (unsigned long long)p->max_out;
	int level = p->level ? p->level : ZSTD_CLEVEL_DEFAULT;
	ZSTD_compressionParameters c = ZSTD_getCParams(level, about, 0);
	unsigned window = (unsigned)__builtin_ctz(p->dict_size);

	c.windowLog = window;
	/*
	 * This search looks at one place a hash. Tables wider than those of the
	 * level send it to wrong ones less often, which saves up to a tenth of
	 * the time as long as tables and window fit the cache of a core.
	 */
	if (c.strategy == ZSTD_dfast && window <= WIDER_MAX) {
		c.hashLog = ek_max(c.hashLog, 18u);
		c.chainLog = ek_max(c.chainLog, 17u);
	}
	if (c.hashLog > window + 1)
		c.hashLog = window + 1;
	if (c.chainLog > window + 1)
		c.chainLog = window + 1;
	return c;
}

static uint64_t memory(const struct ek_encoder_params *params)
{
	ZSTD_compressionParameters c = cparams(params);

	/* Window and tables; the last for what the optimal parsers keep. */
	return ((uint64_t)1 << c.windowLog) + ((uint64_t)4 << c.hashLog) +
	       ((uint64_t)4 << c.chainLog) + (1u << 20);
}

static void zenc_free(struct ek_encoder *enc)
{
	struct zenc *z = (struct zenc *)enc;

	ZSTD_freeCCtx(z->ctx);
	free(z);
}

static bool set(struct zenc *z, ZSTD_cParameter what, unsigned value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(z->ctx, what, (int)value));
}

static bool configure(struct zenc *z, const struct ek_encoder_params *params)
{
	ZSTD_compressionParameters c = cparams(params);
	int level = params->level ? params->level : ZSTD_CLEVEL_DEFAULT;

	/* The level first: it has a say in what has no parameter here. */
	return set(z, ZSTD_c_compressionLevel, (unsigned)level) &&
	       set(z, ZSTD_c_windowLog, c.windowLog) &&
	       set(z, ZSTD_c_hashLog, c.hashLog) &&
	       set(z, ZSTD_c_chainLog, c.chainLog) &&
	       set(z, ZSTD_c_searchLog, c.searchLog) &&
	       set(z, ZSTD_c_minMatch, c.minMatch) &&
	       set(z, ZSTD_c_targetLength, c.targetLength) &&
	       set(z, ZSTD_c_strategy, (unsigned)c.strategy) &&
	       set(z, ZSTD_c_contentSizeFlag, 0) &&
	       set(z, ZSTD_c_checksumFlag, 0);
}

static ek_status zenc_open(const struct ek_encoder_params *params,
			   struct ek_encoder **enc, struct ek_err *err)
{
	struct zenc *z = calloc(1, sizeof(*z));

	if (!z)
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	z->base.ops = &ek_zstd_encoder;
	z->ctx = ZSTD_createCCtx();
	if (!z->ctx || !configure(z, params)) {
		zenc_free(&z->base);
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	}
	*enc = &z->base;
	return EK_OK;
}

static bool begin(struct zenc *z, bool stable)
{
	return !ZSTD_isError(
		       ZSTD_CCtx_reset(z->ctx, ZSTD_reset_session_only)) &&
	       set(z, ZSTD_c_stableOutBuffer, stable);
}

static ek_status start(struct ek_encoder *enc, uint8_t *out, size_t room,
		       struct ek_err *err)
{
	struct zenc *z = (struct zenc *)enc;

	if (!begin(z, false))
		return ek_fail(err, EK_NOMEM, "zstd: no encoder");
	z->to = (ZSTD_outBuffer){out, room, 0};
	z->part = z->end = FRAME_HEAD;
	return EK_OK;
}

static ek_status push(struct ek_encoder *enc, const uint8_t *in, size_t n,
		      size_t *total, struct ek_err *err)
{
	struct zenc *z = (struct zenc *)enc;
	ZSTD_inBuffer from = {in, n, 0};
	size_t before = ek_max(z->to.pos, FRAME_HEAD), left;

	/* A full room ends the loop: what is left is told then. */
	do {
		left = ZSTD_compressStream2(z->ctx, &z->to, &from,
					    ZSTD_e_flush);
		if (ZSTD_isError(left))
			return ek_fail(err, EK_NOMEM, "zstd: %s",
				       ZSTD_getErrorName(left));
	} while (left && z->to.pos < z->to.size);
	*total = z->to.pos + left;
	if (left == 0) {
		z->part = before;
		z->end = z->to.pos;
		return EK_OK;
	}
	/* What it has not even read goes at the same rate. */
	if (from.pos < n && from.pos)
		*total += (size_t)((uint64_t)(*total - before) *
				   (n - from.pos) / from.pos);
	return EK_OK;
}

/* Parts end with a block: mark the last one. */
static size_t seal(struct ek_encoder *enc, size_t total)
{
	struct zenc *z = (struct zenc *)enc;
	uint8_t *out = z->to.dst;
	size_t at = z->part;

	EK_BUG_ON(total != z->end);
	for (;;) {
		uint32_t head = (uint32_t)out[at] | (uint32_t)out[at + 1] << 8 |
				(uint32_t)out[at + 2] << 16;
		/* A run takes one byte, whatever its size. */
		size_t n = (head >> 1 & 3) == 1 ? 1 : head >> 3;

		EK_BUG_ON(total - at < BLOCK_HEAD + n);
		if (total - at == BLOCK_HEAD + n)
			break;
		at += BLOCK_HEAD + n;
	}
	out[at] |= 1;
	return total;
}

static ek_status fill(struct ek_encoder *enc, const uint8_t *in, size_t *n_in,
		      uint8_t *out, size_t n_out, size_t *n_used,
		      struct ek_err *err)
{
	static const struct ek_flush_ops ops = {
		.start = start,
		.push = push,
		.seal = seal,
		.head = 40,
		.part = BLOCK_MAX,
	};

	return ek_fit_flush(enc, &ops, in, n_in, out, n_out, n_used, err);
}

static ek_status whole(struct ek_encoder *enc, const uint8_t *in, size_t n_in,
		       uint8_t *out, size_t room, size_t *n_used,
		       struct ek_err *err)
{
	struct zenc *z = (struct zenc *)enc;
	ZSTD_outBuffer to = {out, room, 0};
	ZSTD_inBuffer from = {in, n_in, 0}, none = {in, 0, 0};

	if (!begin(z, true))
		return ek_fail(err, EK_NOMEM, "zstd: no encoder");
	/*
	 * The first call must not know how much there is: zstd would make the
	 * tables smaller. The second one then goes straight from @in to @out;
	 * a full room is the only error that it has.
	 */
	if (ZSTD_isError(
		    ZSTD_compressStream2(z->ctx, &to, &none, ZSTD_e_continue)))
		return ek_fail(err, EK_NOMEM, "zstd: no encoder");
	if (!ZSTD_isError(ZSTD_compressStream2(z->ctx, &to, &from, ZSTD_e_end)))
		*n_used = to.pos;
	return EK_OK;
}

const struct ek_encoder_ops ek_zstd_encoder = {
	.whole = whole,
	.dict_size = dict_size,
	.memory = memory,
	.open = zenc_open,
	.fill = fill,
	.free = zenc_free,
};
