/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_CODEC_IMPL_H
#define EK_CODEC_IMPL_H

/*
 * What one codec's file gives to the table in codec.c. A new codec is one
 * file and one row there.
 */

#include "codec/codec.h"

struct ek_decoder_ops {
	ek_status (*open)(const struct ek_decoder_params *params,
			  struct ek_decoder **dec, struct ek_err *err);
	/* Lengths are 1 to EK_CODEC_MAX; contract of ek_decode(). */
	ek_status (*decode)(struct ek_decoder *dec, const uint8_t *in,
			    size_t n_in, uint8_t *out, size_t n_out,
			    bool partial, struct ek_err *err);
	void (*free)(struct ek_decoder *dec);
};

struct ek_decoder {
	const struct ek_decoder_ops *ops;
};

struct ek_encoder_ops {
	/* Defaults: a dictionary for params->max_out. NULL: has none. */
	uint32_t (*dict_size)(const struct ek_encoder_params *params);
	uint64_t (*memory)(const struct ek_encoder_params *params);
	/* Parameters are in their ranges; dict_size is not 0 if it has one. */
	ek_status (*open)(const struct ek_encoder_params *params,
			  struct ek_encoder **enc, struct ek_err *err);
	/*
	 * As ek_encode_fill(), lengths 1 to EK_CODEC_MAX; *n_in = 0 when
	 * nothing fits. The caller checks the result again.
	 */
	ek_status (*fill)(struct ek_encoder *enc, const uint8_t *in,
			  size_t *n_in, uint8_t *out, size_t n_out,
			  size_t *n_used, struct ek_err *err);
	/*
	 * Encode all of @in, *n_used = 0 when @room is too small. NULL: fill
	 * does as well.
	 */
	ek_status (*whole)(struct ek_encoder *enc, const uint8_t *in,
			   size_t n_in, uint8_t *out, size_t room,
			   size_t *n_used, struct ek_err *err);
	void (*free)(struct ek_encoder *enc);
};

struct ek_encoder {
	const struct ek_encoder_ops *ops;
	uint64_t fed;		  /* fill adds what it hands to its library */
	size_t hint_in, hint_out; /* ek_encoder_hint(); 0: none */
};

/* n * num / den, without overflow for streams, which have 31 bits at most. */
static inline size_t ek_scale(size_t n, size_t num, size_t den)
{
	uint64_t q = (uint64_t)n * num / (den ? den : 1);

	return (size_t)ek_min(q, SIZE_MAX);
}

extern const struct ek_decoder_ops ek_lz4_decoder;
extern const struct ek_decoder_ops ek_lzma_decoder;
extern const struct ek_decoder_ops ek_deflate_decoder;
extern const struct ek_decoder_ops ek_zstd_decoder;

extern const struct ek_encoder_ops ek_lz4_encoder;
extern const struct ek_encoder_ops ek_lz4hc_encoder;
extern const struct ek_encoder_ops ek_lzma_encoder;
extern const struct ek_encoder_ops ek_zlib_encoder;
extern const struct ek_encoder_ops ek_libdeflate_encoder;
extern const struct ek_encoder_ops ek_zstd_encoder;

const char *ek_lz4_version(void);
const char *ek_lzma_version(void);
const char *ek_zlib_version(void);
const char *ek_libdeflate_version(void);
const char *ek_zstd_version(void);

#endif
