/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/impl.h"

#include "base/try.h"

#include <lzma.h>
#include <stdlib.h>

/* Presets beyond have PRESET_EXTREME. */
#define EXTREME	 100
#define DICT_MAX (8u << 20)
#define DICT_MIN (32u << 10)

struct menc {
	struct ek_encoder base;
	lzma_options_lzma options;
	/* Kept between streams: liblzma then takes its memory over. */
	lzma_stream stream;
};

const char *ek_lzma_version(void)
{
	return lzma_version_string();
}

static uint32_t dict_size(const struct ek_encoder_params *params)
{
	uint64_t size = 4 * (uint64_t)params->max_out;

	return (uint32_t)ek_max(DICT_MIN, ek_min(size, DICT_MAX));
}

static bool options_of(const struct ek_encoder_params *params,
		       lzma_options_lzma *o)
{
	uint32_t preset = (uint32_t)params->level;

	if (params->level >= EXTREME)
		preset = (preset - EXTREME) | LZMA_PRESET_EXTREME;
	if (lzma_lzma_preset(o, preset))
		return false;
	o->dict_size = params->dict_size;
	if (params->set & EK_PROP_LC)
		o->lc = params->lc;
	if (params->set & EK_PROP_LP)
		o->lp = params->lp;
	/* The level's lc leaves no more room. */
	if (o->lc + o->lp > LZMA_LCLP_MAX)
		o->lc = LZMA_LCLP_MAX - o->lp;
	if (params->set & EK_PROP_PB)
		o->pb = params->pb;
	return true;
}

static uint64_t memory(const struct ek_encoder_params *params)
{
	lzma_options_lzma options;
	const lzma_filter chain[] = {{LZMA_FILTER_LZMA1, &options},
				     {LZMA_VLI_UNKNOWN, NULL}};

	if (!options_of(params, &options))
		return UINT64_MAX;
	return lzma_raw_encoder_memusage(chain);
}

static void menc_free(struct ek_encoder *enc)
{
	struct menc *m = (struct menc *)enc;

	lzma_end(&m->stream);
	free(m);
}

static ek_status menc_open(const struct ek_encoder_params *params,
			   struct ek_encoder **enc, struct ek_err *err)
{
	struct menc *m = calloc(1, sizeof(*m));

	if (!m)
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	m->base.ops = &ek_lzma_encoder;
	m->stream = (lzma_stream)LZMA_STREAM_INIT;
	if (!options_of(params, &m->options)) {
		menc_free(&m->base);
		return ek_fail(err, EK_INVALID, "lzma: no preset %d",
			       params->level);
	}
	*enc = &m->base;
	return EK_OK;
}

/*
 * This encoder has a fixed output of its own: it stops when the room is full
 * and tells by total_in what is in there. The first byte is the complement of
 * the properties, never 0.
 */
static ek_status menc_fill(struct ek_encoder *enc, const uint8_t *in,
			   size_t *n_in, uint8_t *out, size_t n_out,
			   size_t *n_used, struct ek_err *err)
{
	struct menc *m = (struct menc *)enc;
	lzma_stream *s = &m->stream;
	size_t n = *n_in;
	lzma_ret ret;

	*n_in = *n_used = 0;
	ret = lzma_microlzma_encoder(s, &m->options);
	if (ret != LZMA_OK)
		return ek_fail(err, EK_NOMEM, "lzma: no encoder (%d)",
			       (int)ret);
	s->next_in = in;
	s->avail_in = n;
	s->next_out = out;
	s->avail_out = n_out;
	ret = lzma_code(s, LZMA_FINISH);
	/* A room that is too small for any stream. */
	if (ret == LZMA_PROG_ERROR || ret == LZMA_BUF_ERROR)
		return EK_OK;
	if (ret != LZMA_STREAM_END)
		return ek_fail(err, EK_NOMEM, "lzma: no encoder (%d)",
			       (int)ret);
	*n_in = (size_t)s->total_in;
	*n_used = n_out - s->avail_out;
	enc->fed += *n_in;
	return EK_OK;
}

const struct ek_encoder_ops ek_lzma_encoder = {
	.dict_size = dict_size,
	.memory = memory,
	.open = menc_open,
	.fill = menc_fill,
	.free = menc_free,
};
