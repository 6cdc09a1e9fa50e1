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
	{
		.name = "lzma",
		.algorithm = EK_CODEC_LZMA,
		.min_level = 0,
		.max_level = 9,
		.default_level = 6,
		.extreme = 100,
		.min_dict_size = 4096,
		.max_dict_size = 8u << 20,
		.props = true,
		.library = "liblzma",
		.version = ek_lzma_version,
	},
	{
		.name = "deflate",
		.algorithm = EK_CODEC_DEFLATE,
		.min_level = 0,
		.max_level = 9,
		.default_level = 1,
		.min_dict_size = 512,
		.max_dict_size = 32u << 10,
		.pow2_dict = true,
		.library = "zlib",
		.version = ek_zlib_version,
	},
	{
		.name = "libdeflate",
		.algorithm = EK_CODEC_DEFLATE,
		.min_level = 0,
		.max_level = 12,
		.default_level = 1,
		.library = "libdeflate",
		.version = ek_libdeflate_version,
	},
	{
		.name = "zstd",
		.algorithm = EK_CODEC_ZSTD,
		.min_level = 0,
		.max_level = 22,
		.default_level = 3,
		.min_dict_size = 1024,
		.max_dict_size = 1u << 20,
		.pow2_dict = true,
		.library = "zstd",
		.version = ek_zstd_version,
	},
};

/* In the order of infos. */
static const struct ek_encoder_ops *const encoders[EK_ARRAY_SIZE(infos)] = {
	&ek_lz4_encoder,  &ek_lz4hc_encoder,	  &ek_lzma_encoder,
	&ek_zlib_encoder, &ek_libdeflate_encoder, &ek_zstd_encoder,
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

bool ek_codec_has_level(const struct ek_codec_info *info, int level)
{
	if (info->extreme && level >= info->extreme)
		level -= info->extreme;
	return level >= info->min_level && level <= info->max_level;
}

static ek_status check_level(const struct ek_codec_info *info, int level,
			     struct ek_err *err)
{
	if (!takes_level(info) || ek_codec_has_level(info, level))
		return EK_OK;
	if (info->extreme)
		return ek_fail(err, EK_INVALID,
			       "%s: level %d is not within %d to %d or %d to "
			       "%d",
			       info->name, level, info->min_level,
			       info->max_level, info->extreme + info->min_level,
			       info->extreme + info->max_level);
	return ek_fail(err, EK_INVALID, "%s: level %d is not within %d to %d",
		       info->name, level, info->min_level, info->max_level);
}

static ek_status check_dict(const struct ek_codec_info *info, uint32_t size,
			    struct ek_err *err)
{
	if (size == 0)
		return EK_OK;
	if (info->max_dict_size == 0)
		return ek_fail(err, EK_INVALID, "%s takes no dictionary size",
			       info->name);
	if (size < info->min_dict_size || size > info->max_dict_size)
		return ek_fail(err, EK_INVALID,
			       "%s: a dictionary of %u bytes is not within %u "
			       "to %u",
			       info->name, (unsigned)size,
			       (unsigned)info->min_dict_size,
			       (unsigned)info->max_dict_size);
	if (info->pow2_dict && !ek_is_pow2(size))
		return ek_fail(err, EK_INVALID,
			       "%s: a dictionary of %u bytes is not a power of "
			       "two",
			       info->name, (unsigned)size);
	return EK_OK;
}

static ek_status check_props(const struct ek_codec_info *info,
			     const struct ek_encoder_params *p,
			     struct ek_err *err)
{
	unsigned lc = p->set & EK_PROP_LC ? p->lc : 3;
	unsigned lp = p->set & EK_PROP_LP ? p->lp : 0;

	if (p->set && !info->props)
		return ek_fail(err, EK_INVALID, "%s takes no lc, lp and pb",
			       info->name);
	if (lc + lp > 4 || (p->set & EK_PROP_PB && p->pb > 4))
		return ek_fail(err, EK_INVALID,
			       "%s: lc + lp and pb are at most 4", info->name);
	return EK_OK;
}

uint32_t ek_codec_dict_size(const struct ek_codec_info *info,
			    const struct ek_encoder_params *params)
{
	const struct ek_encoder_ops *ops = encoders[info - infos];

	if (!ops->dict_size)
		return 0;
	return params->dict_size ? params->dict_size : ops->dict_size(params);
}

/* @params with nothing left to defaults. */
static struct ek_encoder_params complete(const struct ek_codec_info *info,
					 const struct ek_encoder_params *params)
{
	struct ek_encoder_params full = *params;

	full.dict_size = ek_codec_dict_size(info, params);
	return full;
}

uint64_t ek_codec_memory(const struct ek_codec_info *info,
			 const struct ek_encoder_params *params)
{
	struct ek_encoder_params full = complete(info, params);

	return encoders[info - infos]->memory(&full);
}

ek_status ek_codec_check(const struct ek_codec_info *info,
			 const struct ek_encoder_params *params,
			 struct ek_err *err)
{
	EK_TRY(check_level(info, params->level, err));
	EK_TRY(check_dict(info, params->dict_size, err));
	EK_TRY(check_props(info, params, err));
	if (params->max_out == 0 || params->max_out > EK_CODEC_MAX)
		return ek_fail(err, EK_INVALID, "%s: pclusters of %zu bytes",
			       info->name, params->max_out);
	return EK_OK;
}

ek_status ek_encoder_new(const struct ek_codec_info *info,
			 const struct ek_encoder_params *params,
			 struct ek_encoder **enc, struct ek_err *err)
{
	struct ek_encoder_params full;

	*enc = NULL;
	EK_TRY(ek_codec_check(info, params, err));
	full = complete(info, params);
	return encoders[info - infos]->open(&full, enc, err);
}

void ek_encoder_hint(struct ek_encoder *enc, size_t n_in, size_t n_out)
{
	enc->hint_in = n_out ? n_in : 0;
	enc->hint_out = n_out;
}

uint64_t ek_encoder_fed(const struct ek_encoder *enc)
{
	return enc->fed;
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
	ek_status status;

	*n_in = *n_used = 0;
	if (most == 0 || n_out == 0)
		return EK_OK;
	if (n_out > EK_CODEC_MAX)
		n_out = EK_CODEC_MAX;
	status = enc->ops->fill(enc, in, &taken, out, n_out, n_used, err);
	ek_encoder_hint(enc, 0, 0);
	if (status != EK_OK) {
		*n_used = 0;
		return status;
	}
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

ek_status ek_encode_whole(struct ek_encoder *enc, const uint8_t *in,
			  size_t n_in, uint8_t *out, size_t room,
			  size_t *n_used, struct ek_err *err)
{
	size_t taken = n_in;

	*n_used = 0;
	if (n_in == 0 || room == 0 || n_in > EK_CODEC_MAX)
		return EK_OK;
	if (!enc->ops->whole) {
		EK_TRY(ek_encode_fill(enc, in, &taken, out, room, n_used, err));
		if (taken != n_in)
			*n_used = 0;
		return EK_OK;
	}
	enc->fed += n_in;
	EK_TRY(enc->ops->whole(enc, in, n_in, out, room, n_used, err));
	if (*n_used > room || out[0] == 0)
		*n_used = 0;
	return EK_OK;
}
