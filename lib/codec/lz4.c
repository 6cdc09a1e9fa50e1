/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/impl.h"

#include "base/try.h"

#include <lz4.h>
#include <stdlib.h>

_Static_assert(EK_CODEC_MAX == LZ4_MAX_INPUT_SIZE, "the limit of liblz4");

const char *ek_lz4_version(void)
{
	return LZ4_versionString();
}

static ek_status decoder_open(const struct ek_decoder_params *params,
			      struct ek_decoder **dec, struct ek_err *err)
{
	(void)params;
	*dec = calloc(1, sizeof(**dec));
	if (!*dec)
		return ek_fail(err, EK_NOMEM, "no memory for a decoder");
	(*dec)->ops = &ek_lz4_decoder;
	return EK_OK;
}

static ek_status decode(struct ek_decoder *dec, const uint8_t *in, size_t n_in,
			uint8_t *out, size_t n_out, bool partial,
			struct ek_err *err)
{
	const char *from = (const char *)in;
	int got;

	(void)dec;
	if (partial)
		got = LZ4_decompress_safe_partial(from, (char *)out, (int)n_in,
						  (int)n_out, (int)n_out);
	else
		got = LZ4_decompress_safe(from, (char *)out, (int)n_in,
					  (int)n_out);
	if (got < 0)
		return ek_fail(err, EK_CORRUPT,
			       "lz4: %zu bytes do not decode to %zu", n_in,
			       n_out);
	if ((size_t)got != n_out)
		return ek_fail(err, EK_CORRUPT,
			       "lz4: %zu bytes decode to %d, not %zu", n_in,
			       got, n_out);
	return EK_OK;
}

static void decoder_free(struct ek_decoder *dec)
{
	free(dec);
}

const struct ek_decoder_ops ek_lz4_decoder = {
	.open = decoder_open,
	.decode = decode,
	.free = decoder_free,
};

static ek_status encoder_open(const struct ek_encoder_params *params,
			      struct ek_encoder **enc, struct ek_err *err)
{
	(void)params;
	*enc = calloc(1, sizeof(**enc));
	if (!*enc)
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	(*enc)->ops = &ek_lz4_encoder;
	return EK_OK;
}

/*
 * liblz4 keeps its 16 KiB of state on the stack and clears it for each call:
 * nothing of what was coded before can show.
 */
static ek_status fill(struct ek_encoder *enc, const uint8_t *in, size_t *n_in,
		      uint8_t *out, size_t n_out, size_t *n_used,
		      struct ek_err *err)
{
	int taken = (int)*n_in;
	int used = LZ4_compress_destSize((const char *)in, (char *)out, &taken,
					 (int)n_out);

	(void)err;
	*n_in = used > 0 && taken > 0 ? (size_t)taken : 0;
	enc->fed += *n_in;
	*n_used = used > 0 ? (size_t)used : 0;
	return EK_OK;
}

static void encoder_free(struct ek_encoder *enc)
{
	free(enc);
}

static uint64_t memory(const struct ek_encoder_params *params)
{
	(void)params;
	return (uint64_t)LZ4_sizeofState();
}

const struct ek_encoder_ops ek_lz4_encoder = {
	.memory = memory,
	.open = encoder_open,
	.fill = fill,
	.free = encoder_free,
};
