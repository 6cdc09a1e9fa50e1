/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/impl.h"

#include "base/try.h"

#include <lzma.h>
#include <stdlib.h>

/* Range that Linux accepts in the config blob (reference, 1.5). */
#define DICT_MIN 4096u
#define DICT_MAX (8u << 20)

struct mlzma {
	struct ek_decoder base;
	uint32_t dict_size;
	/* Kept between streams: liblzma then takes its memory over. */
	lzma_stream stream;
};

static void mlzma_free(struct ek_decoder *dec)
{
	struct mlzma *m = (struct mlzma *)dec;

	lzma_end(&m->stream);
	free(m);
}

static ek_status mlzma_open(const struct ek_decoder_params *params,
			    struct ek_decoder **dec, struct ek_err *err)
{
	struct mlzma *m;

	if (params->lzma_dict_size < DICT_MIN ||
	    params->lzma_dict_size > DICT_MAX)
		return ek_fail(err, EK_INVALID,
			       "lzma: a dictionary of %u bytes",
			       (unsigned)params->lzma_dict_size);
	m = calloc(1, sizeof(*m));
	if (!m)
		return ek_fail(err, EK_NOMEM, "no memory for a decoder");
	m->base.ops = &ek_lzma_decoder;
	m->dict_size = params->lzma_dict_size;
	m->stream = (lzma_stream)LZMA_STREAM_INIT;
	*dec = &m->base;
	return EK_OK;
}

static ek_status wrong(lzma_ret ret, size_t n_in, size_t n_out,
		       struct ek_err *err)
{
	if (ret == LZMA_MEM_ERROR)
		return ek_fail(err, EK_NOMEM, "lzma: no memory for a decoder");
	return ek_fail(err, EK_CORRUPT,
		       "lzma: %zu bytes do not decode to exactly %zu", n_in,
		       n_out);
}

static ek_status mlzma_decode(struct ek_decoder *dec, const uint8_t *in,
			      size_t n_in, uint8_t *out, size_t n_out,
			      bool partial, struct ek_err *err)
{
	struct mlzma *m = (struct mlzma *)dec;
	lzma_stream *s = &m->stream;
	lzma_ret ret =
		lzma_microlzma_decoder(s, n_in, n_out, !partial, m->dict_size);

	if (ret != LZMA_OK)
		return wrong(ret, n_in, n_out, err);
	s->next_in = in;
	s->avail_in = n_in;
	s->next_out = out;
	s->avail_out = n_out;
	/* LZMA_BUF_ERROR ends the loop when nothing moves any more. */
	do {
		ret = lzma_code(s, LZMA_FINISH);
	} while (ret == LZMA_OK && !(partial && s->avail_out == 0));
	if (partial && s->avail_out == 0 &&
	    (ret == LZMA_OK || ret == LZMA_STREAM_END))
		return EK_OK;
	if (ret != LZMA_STREAM_END || s->avail_out || s->avail_in)
		return wrong(ret, n_in, n_out, err);
	return EK_OK;
}

const struct ek_decoder_ops ek_lzma_decoder = {
	.open = mlzma_open,
	.decode = mlzma_decode,
	.free = mlzma_free,
};
