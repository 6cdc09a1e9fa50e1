/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include <stdlib.h>

/*
 * Byte 0: algorithm (bits 0, 1), partial (bit 2); bytes 1 to 3: length of the
 * output; the rest is the stream. Memory is of exact size, so that a byte
 * read or written outside is seen.
 */
#define HEAD	4
#define OUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ek_decoder_params params = {.lzma_dict_size = 1u << 16,
					   .zstd_window_log = 17};
	struct ek_decoder *dec;
	struct ek_err err;
	size_t n_out, skip;
	uint8_t *out;

	if (size <= HEAD)
		return 0;
	n_out = (data[1] | data[2] << 8 | (uint32_t)data[3] << 16) % OUT_MAX;
	data += HEAD;
	size -= HEAD;
	if (ek_skip_padding(data, size, 4096, &skip, &err) != EK_OK)
		return 0;
	out = malloc(n_out ? n_out : 1);
	if (!out)
		return 0;
	if (ek_decoder_new((enum ek_algorithm)(data[-HEAD] & 3), &params, &dec,
			   &err) != EK_OK)
		abort();
	/* Twice: a failure must leave a decoder that works as before. */
	for (int i = 0; i < 2; i++)
		ek_decode(dec, data + skip, size - skip, out, n_out,
			  data[-HEAD] >> 2 & 1, &err);
	ek_decoder_free(dec);
	free(out);
	return 0;
}
