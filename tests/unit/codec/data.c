/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"

#include "unit.h"

#include <libdeflate.h>
#include <lz4.h>
#include <lzma.h>
#include <zstd.h>

uint32_t rng_next(struct rng *rng)
{
	rng->state = rng->state * UINT64_C(6364136223846793005) +
		     UINT64_C(1442695040888963407);
	return (uint32_t)(rng->state >> 33);
}

static void fill_random(uint8_t *to, size_t n, struct rng *rng)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)rng_next(rng);
}

static void fill_text(uint8_t *to, size_t n, struct rng *rng)
{
	static const char *const words[] = {"the ",   "image ", "of a ",
					    "tree\n", "block",	"0x",
					    "};\n\t", "int "};

	for (size_t i = 0; i < n;) {
		const char *w = words[rng_next(rng) % 8];

		while (*w && i < n)
			to[i++] = (uint8_t)*w++;
		if (i < n && rng_next(rng) % 4 == 0)
			to[i++] = (uint8_t)('0' + rng_next(rng) % 10);
	}
}

static void fill_mixed(uint8_t *to, size_t n, struct rng *rng)
{
	for (size_t i = 0; i < n;) {
		size_t run = 1 + rng_next(rng) % 700;
		uint32_t what = rng_next(rng) % 5;

		if (run > n - i)
			run = n - i;
		if (what == 0) {
			fill_random(to + i, run, rng);
		} else if (what == 1) {
			memset(to + i, (int)(rng_next(rng) % 3), run);
		} else if (what == 2 || i == 0) {
			fill_text(to + i, run, rng);
		} else {
			size_t back = 1 + rng_next(rng) % i;

			/* Overlapping copies are what LZ codes best. */
			for (size_t k = 0; k < run; k++)
				to[i + k] = to[i + k - back];
		}
		i += run;
	}
}

void fill_data(uint8_t *to, size_t n, enum kind kind, uint64_t seed)
{
	struct rng rng = {seed * 977 + 5};

	switch (kind) {
	case KIND_RANDOM:
		fill_random(to, n, &rng);
		break;
	case KIND_TEXT:
		fill_text(to, n, &rng);
		break;
	case KIND_ZERO:
		memset(to, 0, n);
		break;
	default:
		fill_mixed(to, n, &rng);
	}
}

struct ek_decoder *new_decoder(enum ek_algorithm algorithm)
{
	struct ek_decoder_params params = {.lzma_dict_size = 1u << 20,
					   .zstd_window_log = 20};
	struct ek_decoder *dec;

	assert_int_equal(ek_decoder_new(algorithm, &params, &dec, NULL), EK_OK);
	return dec;
}

struct ek_encoder *new_encoder(const char *name, int level)
{
	struct ek_encoder_params params = {.level = level, .max_out = 1 << 20};
	const struct ek_codec_info *info = ek_codec_find(name);
	struct ek_encoder *enc;

	assert_non_null(info);
	assert_int_equal(ek_encoder_new(info, &params, &enc, NULL), EK_OK);
	return enc;
}

static size_t whole_lzma(const uint8_t *in, size_t n_in, uint8_t *out,
			 size_t room)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma opt;
	size_t n;

	assert_false(lzma_lzma_preset(&opt, 1));
	opt.dict_size = 1u << 20;
	assert_int_equal(lzma_microlzma_encoder(&s, &opt), LZMA_OK);
	s.next_in = in;
	s.avail_in = n_in;
	s.next_out = out;
	s.avail_out = room;
	assert_int_equal(lzma_code(&s, LZMA_FINISH), LZMA_STREAM_END);
	/* It tells by total_in how much was taken into the room. */
	assert_int_equal(s.total_in, n_in);
	n = room - s.avail_out;
	lzma_end(&s);
	return n;
}

size_t encode_whole(enum ek_algorithm algorithm, const uint8_t *in, size_t n_in,
		    uint8_t *out, size_t room)
{
	struct libdeflate_compressor *c;
	size_t n;
	int got;

	switch (algorithm) {
	case EK_CODEC_LZ4:
		got = LZ4_compress_default((const char *)in, (char *)out,
					   (int)n_in, (int)room);
		assert_true(got > 0);
		return (size_t)got;
	case EK_CODEC_LZMA:
		return whole_lzma(in, n_in, out, room);
	case EK_CODEC_DEFLATE:
		c = libdeflate_alloc_compressor(6);
		assert_non_null(c);
		n = libdeflate_deflate_compress(c, in, n_in, out, room);
		libdeflate_free_compressor(c);
		assert_true(n > 0);
		return n;
	default:
		n = ZSTD_compress(out, room, in, n_in, 3);
		assert_false(ZSTD_isError(n));
		return n;
	}
}
