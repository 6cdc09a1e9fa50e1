/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/impl.h"

#include "base/try.h"

#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>

struct hc {
	struct ek_encoder base;
	int level;
	LZ4_streamHC_t *state;
};

static void hc_free(struct ek_encoder *enc)
{
	struct hc *hc = (struct hc *)enc;

	free(hc->state);
	free(hc);
}

static ek_status hc_open(const struct ek_encoder_params *params,
			 struct ek_encoder **enc, struct ek_err *err)
{
	struct hc *hc = calloc(1, sizeof(*hc));

	if (!hc)
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	hc->base.ops = &ek_lz4hc_encoder;
	hc->level = params->level;
	hc->state = malloc((size_t)LZ4_sizeofStateHC());
	if (!hc->state) {
		hc_free(&hc->base);
		return ek_fail(err, EK_NOMEM, "no memory for an encoder");
	}
	*enc = &hc->base;
	return EK_OK;
}

/* The call initialises the whole state, so that nothing old can show. */
static ek_status hc_fill(struct ek_encoder *enc, const uint8_t *in,
			 size_t *n_in, uint8_t *out, size_t n_out,
			 size_t *n_used, struct ek_err *err)
{
	struct hc *hc = (struct hc *)enc;
	int taken = (int)*n_in;
	int used = LZ4_compress_HC_destSize(hc->state, (const char *)in,
					    (char *)out, &taken, (int)n_out,
					    hc->level);

	(void)err;
	*n_in = used > 0 && taken > 0 ? (size_t)taken : 0;
	enc->fed += *n_in;
	*n_used = used > 0 ? (size_t)used : 0;
	return EK_OK;
}

static uint64_t hc_memory(const struct ek_encoder_params *params)
{
	(void)params;
	return (uint64_t)LZ4_sizeofStateHC();
}

const struct ek_encoder_ops ek_lz4hc_encoder = {
	.memory = hc_memory,
	.open = hc_open,
	.fill = hc_fill,
	.free = hc_free,
};
