/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/impl.h"

#include "base/try.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>

/* Range of the config blob (reference, 1.5): 1 KiB to 1 MiB. */
#define WINDOW_LOG_MIN 10
#define WINDOW_LOG_MAX 20

struct zdec {
	struct ek_decoder base;
	uint64_t max_window;
	ZSTD_DCtx *ctx;
};

static void zdec_free(struct ek_decoder *dec)
{
	struct zdec *z = (struct zdec *)dec;

	ZSTD_freeDCtx(z->ctx);
	free(z);
}

static ek_status zdec_open(const struct ek_decoder_params *params,
			   struct ek_decoder **dec, struct ek_err *err)
{
	int log = params->zstd_window_log;
	struct zdec *z;

	if (log < WINDOW_LOG_MIN || log > WINDOW_LOG_MAX)
		return ek_fail(err, EK_INVALID, "zstd: a window of 2^%d bytes",
			       log);
	z = calloc(1, sizeof(*z));
	if (!z)
		return ek_fail(err, EK_NOMEM, "no memory for a decoder");
	z->base.ops = &ek_zstd_decoder;
	z->max_window = (uint64_t)1 << log;
	z->ctx = ZSTD_createDCtx();
	if (!z->ctx || ZSTD_isError(ZSTD_DCtx_setParameter(
			       z->ctx, ZSTD_d_windowLogMax, log))) {
		zdec_free(&z->base);
		return ek_fail(err, EK_NOMEM, "no memory for a decoder");
	}
	*dec = &z->base;
	return EK_OK;
}

/*
 * The window that the frame header (RFC 8878, 3.1.1.1) asks for. The library
 * does not look at it when all of the output fits, Linux does; and frames that
 * the format has not (skippable, with dictionary) end here too.
 */
static ek_status frame_window(const uint8_t *in, size_t n_in, uint64_t *window,
			      struct ek_err *err)
{
	static const uint8_t fcs_bytes[] = {1, 2, 4, 8};
	size_t n;

	if (n_in < 6 || ek_get_le32(in) != ZSTD_MAGICNUMBER)
		return ek_fail(err, EK_CORRUPT, "zstd: no frame");
	if (in[4] & 3)
		return ek_fail(err, EK_CORRUPT,
			       "zstd: a frame that needs a dictionary");
	if (!(in[4] & 0x20)) {
		unsigned exponent = in[5] >> 3, mantissa = in[5] & 7;
		uint64_t base = (uint64_t)1 << (10 + exponent);

		*window = base + base / 8 * mantissa;
		return EK_OK;
	}
	/* A single segment: the window is the size of the content. */
	n = fcs_bytes[in[4] >> 6];
	if (n_in < 5 + n)
		return ek_fail(err, EK_CORRUPT, "zstd: no frame");
	*window = n == 1   ? in[5]
		  : n == 2 ? (uint64_t)ek_get_le16(in + 5) + 256
		  : n == 4 ? ek_get_le32(in + 5)
			   : ek_get_le64(in + 5);
	return EK_OK;
}

/* Run until the output is full and, unless @partial, the frame is complete. */
static size_t run(struct zdec *z, ZSTD_inBuffer *in, ZSTD_outBuffer *out,
		  bool partial)
{
	for (;;) {
		size_t in_before = in->pos, out_before = out->pos;
		size_t left = ZSTD_decompressStream(z->ctx, out, in);

		if (ZSTD_isError(left) || left == 0)
			return left;
		if (partial && out->pos == out->size)
			return left;
		if (in->pos == in_before && out->pos == out_before)
			return left;
	}
}

static ek_status zdec_decode(struct ek_decoder *dec, const uint8_t *in,
			     size_t n_in, uint8_t *out, size_t n_out,
			     bool partial, struct ek_err *err)
{
	struct zdec *z = (struct zdec *)dec;
	ZSTD_inBuffer from = {in, n_in, 0};
	ZSTD_outBuffer to = {out, n_out, 0};
	uint64_t window = 0;
	size_t left;

	EK_TRY(frame_window(in, n_in, &window, err));
	if (window > z->max_window)
		return ek_fail(err, EK_CORRUPT,
			       "zstd: a window of %" PRIu64
			       " bytes, the image states %" PRIu64,
			       window, z->max_window);
	ZSTD_DCtx_reset(z->ctx, ZSTD_reset_session_only);
	left = run(z, &from, &to, partial);
	if (ZSTD_isError(left))
		return ek_fail(err, EK_CORRUPT,
			       "zstd: %zu bytes do not decode to %zu: %s", n_in,
			       n_out, ZSTD_getErrorName(left));
	if (to.pos != n_out || (!partial && (left || from.pos != n_in)))
		return ek_fail(err, EK_CORRUPT,
			       "zstd: %zu bytes do not decode to exactly %zu",
			       n_in, n_out);
	return EK_OK;
}

const struct ek_decoder_ops ek_zstd_decoder = {
	.open = zdec_open,
	.decode = zdec_decode,
	.free = zdec_free,
};
