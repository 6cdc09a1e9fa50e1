/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"
#include "unit.h"

#include <zstd.h>

#define MOST (200 * 1024)
#define ROOM (MOST + MOST / 2)

/* Memory of exact size: a read or write past it is seen by sanitizers. */
static uint8_t *copy(const uint8_t *from, size_t n)
{
	uint8_t *p = malloc(n);

	assert_non_null(p);
	memcpy(p, from, n);
	return p;
}

static ek_status decode(struct ek_decoder *dec, const uint8_t *in, size_t n_in,
			size_t n_out, bool partial, const uint8_t *want)
{
	uint8_t *exact = copy(in, n_in), *out = malloc(n_out);
	ek_status status;
	struct ek_err err;

	assert_non_null(out);
	status = ek_decode(dec, exact, n_in, out, n_out, partial, &err);
	if (status == EK_OK && want)
		assert_memory_equal(out, want, n_out);
	if (status != EK_OK)
		assert_true(strlen(err.text) > 10);
	free(exact);
	free(out);
	return status;
}

struct stream {
	uint8_t *in, *z;
	size_t n, n_z;
};

static void make(struct stream *s, enum ek_algorithm a, size_t n,
		 enum kind kind)
{
	s->n = n;
	s->in = malloc(n);
	s->z = malloc(ROOM);
	assert_true(s->in && s->z);
	fill_data(s->in, n, kind, n);
	s->n_z = encode_whole(a, s->in, n, s->z, ROOM);
}

static void drop(struct stream *s)
{
	free(s->in);
	free(s->z);
}

static void whole_streams(void **state)
{
	static const size_t sizes[] = {1, 2, 13, 255, 256, 4095, 4096, MOST};

	(void)state;
	for (int a = 0; a < EK_CODEC_COUNT; a++) {
		struct ek_decoder *dec = new_decoder((enum ek_algorithm)a);

		for (int i = 0; i < 8 * KIND_COUNT; i++) {
			struct stream s;

			make(&s, (enum ek_algorithm)a, sizes[i / KIND_COUNT],
			     (enum kind)(i % KIND_COUNT));
			assert_int_equal(
				decode(dec, s.z, s.n_z, s.n, false, s.in),
				EK_OK);
			assert_int_equal(
				decode(dec, s.z, s.n_z, s.n, true, s.in),
				EK_OK);
			drop(&s);
		}
		ek_decoder_free(dec);
	}
}

static void lengths_must_be_exact(void **state)
{
	(void)state;
	for (int a = 0; a < EK_CODEC_COUNT; a++) {
		struct ek_decoder *dec = new_decoder((enum ek_algorithm)a);

		for (int kind = 0; kind < KIND_COUNT; kind++) {
			struct stream s;

			make(&s, (enum ek_algorithm)a, 9000, (enum kind)kind);
			assert_int_equal(
				decode(dec, s.z, s.n_z, s.n - 1, false, NULL),
				EK_CORRUPT);
			assert_int_equal(
				decode(dec, s.z, s.n_z, s.n + 1, false, NULL),
				EK_CORRUPT);
			assert_int_equal(
				decode(dec, s.z, s.n_z, s.n + 1, true, NULL),
				EK_CORRUPT);
			/* The decoder is as good as new after a failure. */
			assert_int_equal(
				decode(dec, s.z, s.n_z, s.n, false, s.in),
				EK_OK);
			drop(&s);
		}
		ek_decoder_free(dec);
	}
}

static void input_must_be_used_up(void **state)
{
	(void)state;
	for (int a = 0; a < EK_CODEC_COUNT; a++) {
		struct ek_decoder *dec = new_decoder((enum ek_algorithm)a);
		struct stream s;

		make(&s, (enum ek_algorithm)a, 9000, KIND_MIXED);
		assert_int_equal(decode(dec, s.z, s.n_z - 1, s.n, false, NULL),
				 EK_CORRUPT);
		s.z[s.n_z] = 0;
		assert_int_equal(decode(dec, s.z, s.n_z + 1, s.n, false, NULL),
				 EK_CORRUPT);
		s.z[s.n_z] = 0x5a;
		assert_int_equal(decode(dec, s.z, s.n_z + 1, s.n, false, NULL),
				 EK_CORRUPT);
		drop(&s);
		ek_decoder_free(dec);
	}
}

static void parts(void **state)
{
	(void)state;
	for (int a = 0; a < EK_CODEC_COUNT; a++) {
		struct ek_decoder *dec = new_decoder((enum ek_algorithm)a);
		struct stream s;

		make(&s, (enum ek_algorithm)a, 50000, KIND_MIXED);
		for (size_t n = 1; n <= s.n; n += n < 40 ? 1 : 733) {
			assert_int_equal(decode(dec, s.z, s.n_z, n, true, s.in),
					 EK_OK);
			if (n % 3 == 0 && n < s.n)
				assert_int_equal(
					decode(dec, s.z, s.n_z, n, false, NULL),
					EK_CORRUPT);
		}
		drop(&s);
		ek_decoder_free(dec);
	}
}

static void empty_lengths(void **state)
{
	uint8_t b[4] = {1};

	(void)state;
	for (int a = 0; a < EK_CODEC_COUNT; a++) {
		struct ek_decoder *dec = new_decoder((enum ek_algorithm)a);

		assert_int_equal(ek_decode(dec, b, 0, b, 4, false, NULL),
				 EK_CORRUPT);
		assert_int_equal(ek_decode(dec, b, 4, b, 0, true, NULL),
				 EK_CORRUPT);
		if (SIZE_MAX > EK_CODEC_MAX)
			assert_int_equal(ek_decode(dec, b,
						   (size_t)EK_CODEC_MAX + 1, b,
						   4, false, NULL),
					 EK_LIMIT);
		ek_decoder_free(dec);
	}
}

/* A stored block whose padding bits hold the mark of reference 6.11. */
static void deflate_padding_bits(void **state)
{
	static const uint8_t z[] = {0x08, 3, 0, 0xfc, 0xff, 'a',  'b',
				    'c',  1, 1, 0,    0xfe, 0xff, 'd'};
	struct ek_decoder *dec = new_decoder(EK_CODEC_DEFLATE);

	(void)state;
	assert_int_equal(
		decode(dec, z, sizeof(z), 4, false, (const uint8_t *)"abcd"),
		EK_OK);
	assert_int_equal(
		decode(dec, z, sizeof(z), 4, true, (const uint8_t *)"abcd"),
		EK_OK);
	/* Without a final block only a part may be read. */
	assert_int_equal(decode(dec, z, 8, 3, false, NULL), EK_CORRUPT);
	assert_int_equal(decode(dec, z, 8, 3, true, (const uint8_t *)"abc"),
			 EK_OK);
	ek_decoder_free(dec);
}

static size_t zstd_with(uint8_t *z, const struct stream *s, int window_log,
			int checksum, int content_size)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_inBuffer in = {s->in, s->n, 0};
	ZSTD_outBuffer out = {z, ROOM, 0};

	assert_non_null(c);
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, content_size);
	if (content_size)
		ZSTD_CCtx_setPledgedSrcSize(c, s->n);
	while (ZSTD_compressStream2(c, &out, &in, ZSTD_e_end))
		;
	ZSTD_freeCCtx(c);
	return out.pos;
}

static void zstd_frames(void **state)
{
	struct ek_decoder_params params = {.zstd_window_log = 15};
	struct ek_decoder *dec;
	struct stream s;
	size_t n;

	(void)state;
	assert_int_equal(ek_decoder_new(EK_CODEC_ZSTD, &params, &dec, NULL),
			 EK_OK);
	make(&s, EK_CODEC_ZSTD, 100000, KIND_MIXED);
	for (int f = 0; f < 4; f++) {
		n = zstd_with(s.z, &s, 15, f & 1, f >> 1);
		assert_int_equal(decode(dec, s.z, n, s.n, false, s.in), EK_OK);
		assert_int_equal(decode(dec, s.z, n, 777, true, s.in), EK_OK);
		if (f & 1) {
			s.z[n - 1] ^= 1;
			assert_int_equal(decode(dec, s.z, n, s.n, false, NULL),
					 EK_CORRUPT);
		}
		/* A larger window than stated, even if all would fit. */
		n = zstd_with(s.z, &s, 16, f & 1, f >> 1);
		assert_int_equal(decode(dec, s.z, n, s.n, false, NULL),
				 EK_CORRUPT);
	}
	/* A single segment of 100,000 bytes needs a window of as many. */
	n = ZSTD_compress(s.z, ROOM, s.in, s.n, 19);
	assert_int_equal(s.z[4] & 0x20, 0x20);
	assert_int_equal(decode(dec, s.z, n, s.n, false, NULL), EK_CORRUPT);
	drop(&s);
	ek_decoder_free(dec);
}

static void zstd_other_frames(void **state)
{
	struct ek_decoder *dec = new_decoder(EK_CODEC_ZSTD);
	struct stream s;
	size_t n;

	(void)state;
	make(&s, EK_CODEC_ZSTD, 5000, KIND_TEXT);
	/* A second frame after the first is no part of the format. */
	memcpy(s.z + s.n_z, s.z, s.n_z);
	assert_int_equal(decode(dec, s.z, 2 * s.n_z, s.n, false, NULL),
			 EK_CORRUPT);
	/* Nor is a skippable frame in front. */
	memmove(s.z + 8, s.z, s.n_z);
	memcpy(s.z, "\x50\x2a\x4d\x18\0\0\0\0", 8);
	assert_int_equal(decode(dec, s.z, s.n_z + 8, s.n, false, NULL),
			 EK_CORRUPT);
	/* A dictionary. */
	n = zstd_with(s.z, &s, 15, 0, 0);
	s.z[4] |= 1;
	assert_int_equal(decode(dec, s.z, n, s.n, false, NULL), EK_CORRUPT);
	drop(&s);
	ek_decoder_free(dec);
}

extern const struct CMUnitTest decoders_tests[];
const struct CMUnitTest decoders_tests[] = {
	cmocka_unit_test(whole_streams),
	cmocka_unit_test(lengths_must_be_exact),
	cmocka_unit_test(input_must_be_used_up),
	cmocka_unit_test(parts),
	cmocka_unit_test(empty_lengths),
	cmocka_unit_test(deflate_padding_bits),
	cmocka_unit_test(zstd_frames),
	cmocka_unit_test(zstd_other_frames),
	UNIT_END,
};
