/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_CODEC_CODEC_H
#define EK_CODEC_CODEC_H

/*
 * One vtable for all codecs, one file a codec. A context belongs to one thread
 * at a time; contexts are made once per worker and used for many streams: no
 * allocation while coding.
 */

#include <erofskit/status.h>
#include "base/bytes.h"

/* Numbers of the algorithms as on disk. */
enum ek_algorithm {
	EK_CODEC_LZ4 = 0,
	EK_CODEC_LZMA = 1,
	EK_CODEC_DEFLATE = 2,
	EK_CODEC_ZSTD = 3,
	EK_CODEC_COUNT
};

/* Largest input or output of one call: liblz4 counts with int. */
#define EK_CODEC_MAX 0x7e000000u

struct ek_decoder;
struct ek_encoder;

struct ek_decoder_params {
	/* Dictionary size of the LZMA config blob, bytes: 4096 to 8 MiB. */
	uint32_t lzma_dict_size;
	/* Largest window (log2) of the ZSTD config blob: 10 to 20. */
	uint8_t zstd_window_log;
};

/*
 * A decoder for streams of @algorithm; @params is only looked at here. Fields
 * of other algorithms are ignored. EK_UNSUPPORTED when this build cannot
 * decode @algorithm, EK_INVALID when a parameter is out of its range.
 */
ek_status ek_decoder_new(enum ek_algorithm algorithm,
			 const struct ek_decoder_params *params,
			 struct ek_decoder **dec, struct ek_err *err);
/* NULL allowed. */
void ek_decoder_free(struct ek_decoder *dec);

/*
 * Decode @n_in bytes (leading zeros already skipped, see
 * ek_skip_padding()) to exactly @n_out bytes. @partial: the stream may hold
 * more than that; otherwise it must end there, and with it the input.
 * EK_CORRUPT else, and when a length is 0. EK_LIMIT above EK_CODEC_MAX bytes,
 * EK_NOMEM. On failure @out holds anything; @dec stays usable.
 */
ek_status ek_decode(struct ek_decoder *dec, const uint8_t *in, size_t n_in,
		    uint8_t *out, size_t n_out, bool partial,
		    struct ek_err *err);

/*
 * Position of the first non-zero byte of @in, looking at @max bytes only;
 * EK_CORRUPT when all of them are zero.
 */
ek_status ek_skip_padding(const uint8_t *in, size_t n_in, size_t max,
			  size_t *skip, struct ek_err *err);

/* Static facts of an encoder by its -z name. */
struct ek_codec_info {
	const char *name; /* "lz4", "lz4hc", ... as -z takes it */
	enum ek_algorithm algorithm;
	int min_level, max_level, default_level; /* min > max: takes none */
	int extreme; /* levels plus this are levels too; 0: none */
	/* Bytes; max 0: takes no dictsize=. */
	uint32_t min_dict_size, max_dict_size;
	bool pow2_dict; /* only powers of two */
	bool props;	/* takes lc=, lp=, pb= */
	/* Library behind it and its version at run time: "lz4", "1.9.4". */
	const char *library;
	const char *(*version)(void);
};

/* Encoder by name; NULL when there is none of that name. */
const struct ek_codec_info *ek_codec_find(const char *name);

/* All encoders, in order of the table; *@n is their number. */
const struct ek_codec_info *ek_codec_list(size_t *n);

/* ek_encoder_params.set: which of lc, lp, pb are not the level's. */
#define EK_PROP_LC 1u
#define EK_PROP_LP 2u
#define EK_PROP_PB 4u

struct ek_encoder_params {
	int level;
	uint32_t dict_size; /* 0: the codec's default for max_out */
	size_t max_out;	    /* largest pcluster in bytes */
	/*
	 * Bytes of the largest input when ek_encode_whole() is all that is
	 * called; 0: clusters are filled, too. Codecs may choose by it what a
	 * level does.
	 */
	size_t max_in;
	uint8_t set, lc, lp, pb;
};

/* Whether @info has @level. */
bool ek_codec_has_level(const struct ek_codec_info *info, int level);

/* EK_INVALID when a parameter is out of the range that @info states. */
ek_status ek_codec_check(const struct ek_codec_info *info,
			 const struct ek_encoder_params *params,
			 struct ek_err *err);

/*
 * Bytes of dictionary that a decoder needs for streams of these parameters,
 * which ek_encoder_new() accepts: for the configuration of the image. 0 when
 * @info has none.
 */
uint32_t ek_codec_dict_size(const struct ek_codec_info *info,
			    const struct ek_encoder_params *params);

/* About how many bytes of memory an encoder takes. */
uint64_t ek_codec_memory(const struct ek_codec_info *info,
			 const struct ek_encoder_params *params);

/*
 * EK_INVALID when a parameter is out of the range that @info (one of the
 * list's) states.
 */
ek_status ek_encoder_new(const struct ek_codec_info *info,
			 const struct ek_encoder_params *params,
			 struct ek_encoder **enc, struct ek_err *err);
/* NULL allowed. */
void ek_encoder_free(struct ek_encoder *enc);

/*
 * The next fill continues data of which @n_in bytes became @n_out: a guess of
 * where to cut, for codecs that have no fixed output. Holds for one fill; part
 * of its input, so the same hint gives the same bytes. @n_in 0: not known.
 */
void ek_encoder_hint(struct ek_encoder *enc, size_t n_in, size_t n_out);

/* Bytes that the codec has read in all, again and again where it had to. */
uint64_t ek_encoder_fed(const struct ek_encoder *enc);

/*
 * Fixed output: encode the longest possible beginning of @in into at most
 * @n_out bytes. On return *@n_in is how much was taken (0: nothing fits) and
 * *@n_used the bytes written at the beginning of @out, the first of them not
 * zero. Codecs without fixed output leave some room, a few parts in a hundred.
 * Input beyond EK_CODEC_MAX is left for the next call. Deterministic: equal
 * input, hint, parameters and library version give equal bytes, whatever was
 * coded before with @enc.
 */
ek_status ek_encode_fill(struct ek_encoder *enc, const uint8_t *in,
			 size_t *n_in, uint8_t *out, size_t n_out,
			 size_t *n_used, struct ek_err *err);

/*
 * Fixed input: encode all of the @n_in bytes in one pass. *@n_used is 0 when
 * they do not fit @room. First byte and determinism as above.
 */
ek_status ek_encode_whole(struct ek_encoder *enc, const uint8_t *in,
			  size_t n_in, uint8_t *out, size_t room,
			  size_t *n_used, struct ek_err *err);

#endif
