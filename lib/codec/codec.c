/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/impl.h"

#include "base/try.h"

#include <string.h>

static const struct ek_decoder_ops *const decoders[EK_CODEC_COUNT] = {
	[EK_CODEC_LZ4] = &ek_lz4_decoder,
	[EK_CODEC_LZMA] = &ek_lzma_decoder,
	[EK_CODEC_DEFLATE] = &ek_deflate_decoder,
	[EK_CODEC_ZSTD] = &ek_zstd_decoder,
};

static const struct ek_codec_info infos[] = {
	{
		.name = "lz4",
		.algorithm = EK_CODEC_LZ4,
		/* One speed: an acceleration would only lose ratio. */
		.min_level = 0,
		.max_level = -1,
		.library = "lz4",
		.version = ek_lz4_version,
	},
	{
		.name = "lz4hc",
		.algorithm = EK_CODEC_LZ4,
		.min_level = 0,
		.max_level = 12,
		.default_level = 9,
		.library = "lz4",
		.version = ek_lz4_version,
	},
};

/* In the order of infos. */
static const struct ek_encoder_ops *const encoders[EK_ARRAY_SIZE(infos)] = {
	&ek_lz4_encoder,
	&ek_lz4hc_encoder,
};

ek_status ek_decoder_new(enum ek_algorithm algorithm,
			 const struct ek_decoder_params *params,
			 struct ek_decoder **dec, struct ek_err *err)
{
	*dec = NULL;
	if ((unsigned)algorithm >= EK_CODEC_COUNT)
		return ek_fail(err, EK_UNSUPPORTED,
			       "compression algorithm %u is not known",
			       (unsigned)algorithm);
	return decoders[algorithm]->open(params, dec, err);
}

void ek_decoder_free(struct ek_decoder *dec)
{
	if (dec)
		dec->ops->free(dec);
}

ek_status ek_decode(struct ek_decoder *dec, const uint8_t *in, size_t n_in,
		    uint8_t *out, size_t n_out, bool partial,
		    struct ek_err *err)
{
	if (n_in == 0 || n_out == 0)
		return ek_fail(err, EK_CORRUPT,
			       "a stream of %zu bytes for %zu bytes", n_in,
			       n_out);
	if (n_in > EK_CODEC_MAX || n_out > EK_CODEC_MAX)
		return ek_fail(err, EK_LIMIT,
			       "a stream of %zu bytes for %zu bytes: more than "
			       "%u",
			       n_in, n_out, EK_CODEC_MAX);
	return dec->ops->decode(dec, in, n_in, out, n_out, partial, err);
}

ek_status ek_skip_padding(const uint8_t *in, size_t n_in, size_t max,
			  size_t *skip, struct ek_err *err)
{
	size_t end = n_in < max ? n_in : max;

	for (*skip = 0; *skip < end; ++*skip)
		if (in[*skip])
			return EK_OK;
	return ek_fail(err, EK_CORRUPT,
		       "no stream: the first %zu bytes are zero", end);
}

const struct ek_codec_info *ek_codec_find(const char *name)
{
	for (size_t i = 0; i < EK_ARRAY_SIZE(infos); i++)
		if (!strcmp(infos[i].name, name))
			return &infos[i];
	return NULL;
}

const struct ek_codec_info *ek_codec_list(size_t *n)
{
	*n = EK_ARRAY_SIZE(infos);
	return infos;
}

static bool takes_level(const struct ek_codec_info *info)
{
	return info->min_level <= info->max_level;
}

ek_status ek_encoder_new(const struct ek_codec_info *info,
			 const struct ek_encoder_params *params,
			 struct ek_encoder **enc, struct ek_err *err)
{
	*enc = NULL;
	if (takes_level(info) && (params->level < info->min_level ||
				  params->level > info->max_level))
		return ek_fail(err, EK_INVALID,
			       "%s: level %d is not within %d to %d",
			       info->name, params->level, info->min_level,
			       info->max_level);
	if (params->dict_size > info->max_dict_size)
		return ek_fail(err, EK_INVALID,
			       "%s: a dictionary of %u bytes, at most %u",
			       info->name, (unsigned)params->dict_size,
			       (unsigned)info->max_dict_size);
	if (params->max_out == 0 || params->max_out > EK_CODEC_MAX)
		return ek_fail(err, EK_INVALID, "%s: pclusters of %zu bytes",
			       info->name, params->max_out);
	return encoders[info - infos]->open(params, enc, err);
}

void ek_encoder_free(struct ek_encoder *enc)
{
	if (enc)
		enc->ops->free(enc);
}

ek_status ek_encode_fill(struct ek_encoder *enc, const uint8_t *in,
			 size_t *n_in, uint8_t *out, size_t n_out,
			 size_t *n_used, struct ek_err *err)
{
	size_t most = *n_in < EK_CODEC_MAX ? *n_in : EK_CODEC_MAX;
	size_t taken = most;

	*n_in = *n_used = 0;
	if (most == 0 || n_out == 0)
		return EK_OK;
	if (n_out > EK_CODEC_MAX)
		n_out = EK_CODEC_MAX;
	EK_TRY(enc->ops->fill(enc, in, &taken, out, n_out, n_used, err));
	/*
	 * Readers find the start of a stream by its first byte that is not
	 * zero, and a stream beyond its room would overwrite its neighbour:
	 * whatever the library behind did, this never gets out of here.
	 */
	if (taken == 0 || taken > most || *n_used == 0 || *n_used > n_out ||
	    out[0] == 0) {
		*n_used = 0;
		return EK_OK;
	}
	*n_in = taken;
	return EK_OK;
}
