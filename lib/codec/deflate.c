/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/impl.h"

#include "base/try.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
/* Input is const for us and for zlib alike. */
#define ZLIB_CONST
#include <zlib.h>

/* Raw streams with the largest window, whatever the config blob says. */
#define RAW_WINDOW (-15)

/* libdeflate is the faster, but only zlib stops in the middle of a stream. */
struct inflater {
	struct ek_decoder base;
	struct libdeflate_decompressor *whole;
	z_stream part;
	bool part_ready;
};

static void inflater_free(struct ek_decoder *dec)
{
	struct inflater *d = (struct inflater *)dec;

	if (d->whole)
		libdeflate_free_decompressor(d->whole);
	if (d->part_ready)
		inflateEnd(&d->part);
	free(d);
}

static ek_status inflater_open(const struct ek_decoder_params *params,
			       struct ek_decoder **dec, struct ek_err *err)
{
	struct inflater *d = calloc(1, sizeof(*d));

	(void)params;
	if (!d)
		return ek_fail(err, EK_NOMEM, "no memory for a decoder");
	d->base.ops = &ek_deflate_decoder;
	d->whole = libdeflate_alloc_decompressor();
	d->part_ready = d->whole && inflateInit2(&d->part, RAW_WINDOW) == Z_OK;
	if (!d->part_ready) {
		inflater_free(&d->base);
		return ek_fail(err, EK_NOMEM, "no memory for a decoder");
	}
	*dec = &d->base;
	return EK_OK;
}

static ek_status decode_part(struct inflater *d, const uint8_t *in, size_t n_in,
			     uint8_t *out, size_t n_out, struct ek_err *err)
{
	z_stream *z = &d->part;
	int ret;

	if (inflateReset(z) != Z_OK)
		return ek_fail(err, EK_NOMEM, "deflate: no decoder");
	z->next_in = in;
	z->avail_in = (uInt)n_in;
	z->next_out = out;
	z->avail_out = (uInt)n_out;
	ret = inflate(z, Z_SYNC_FLUSH);
	if (ret == Z_MEM_ERROR)
		return ek_fail(err, EK_NOMEM, "deflate: no memory");
	if ((ret != Z_OK && ret != Z_STREAM_END) || z->avail_out)
		return ek_fail(err, EK_CORRUPT,
			       "deflate: %zu bytes do not begin with %zu "
			       "decoded ones",
			       n_in, n_out);
	return EK_OK;
}

static ek_status inflater_decode(struct ek_decoder *dec, const uint8_t *in,
				 size_t n_in, uint8_t *out, size_t n_out,
				 bool partial, struct ek_err *err)
{
	struct inflater *d = (struct inflater *)dec;
	enum libdeflate_result result;
	size_t used = 0, got = 0;

	if (partial)
		return decode_part(d, in, n_in, out, n_out, err);
	result = libdeflate_deflate_decompress_ex(d->whole, in, n_in, out,
						  n_out, &used, &got);
	if (result == LIBDEFLATE_SUCCESS && used == n_in && got == n_out)
		return EK_OK;
	return ek_fail(err, EK_CORRUPT,
		       "deflate: %zu bytes do not decode to exactly %zu", n_in,
		       n_out);
}

const struct ek_decoder_ops ek_deflate_decoder = {
	.open = inflater_open,
	.decode = inflater_decode,
	.free = inflater_free,
};
