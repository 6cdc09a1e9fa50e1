/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/stream.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Of a bomb only the beginning is looked at. */
#define OUT_MAX ((uint64_t)16 << 20)

struct result {
	enum ek_stream_kind kind;
	ek_status status;
	uint64_t bytes, sum;
};

/*
 * The input is a compressed stream: decode it into pieces of @room bytes. A
 * stream that failed or ended gives nothing any more.
 */
static void decode(const uint8_t *data, size_t n, size_t room, struct result *r)
{
	struct ek_tar_input *in = NULL, *out = NULL;
	struct ek_source *src = NULL;
	uint8_t *piece = malloc(room);
	size_t got = 1;

	*r = (struct result){.sum = 1};
	if (!piece)
		abort();
	if (ek_source_from_memory(data, n, &src, NULL) != EK_OK ||
	    ek_tar_input_from_source(src, &in, NULL) != EK_OK)
		abort();
	if (ek_stream_auto(in, "fuzz", &out, &r->kind, NULL) != EK_OK)
		abort();
	while (got && r->bytes < OUT_MAX) {
		r->status = out->read(out, piece, room, &got, NULL);
		if (got > room || (r->status != EK_OK && got))
			abort();
		for (size_t i = 0; i < got; i++)
			r->sum = r->sum * 31 + piece[i];
		r->bytes += got;
	}
	if (!got && (out->read(out, piece, room, &got, NULL) != EK_OK || got))
		abort();
	ek_tar_input_free(out);
	ek_source_free(src);
	free(piece);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct result large, odd;

	decode(data, n, 65536, &large);
	if (large.kind == EK_STREAM_PLAIN &&
	    (large.status != EK_OK || (large.bytes != n && n < OUT_MAX)))
		abort();
	/* The size of the pieces makes no other stream of it. */
	if (large.bytes >= OUT_MAX || large.bytes > 65536)
		return 0;
	decode(data, n, 77, &odd);
	if (odd.status != large.status ||
	    (odd.status == EK_OK &&
	     (odd.bytes != large.bytes || odd.sum != large.sum)))
		abort();
	return 0;
}
