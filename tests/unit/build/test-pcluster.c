/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "build/compress.h"
#include "codec/codec.h"
#include "fake.h"

#define MIB (1u << 20)

struct run {
	struct ek_compress c;
	uint8_t *in;
	size_t n;
};

static void run_make(struct run *r, const char *codec, uint32_t bs,
		     uint32_t blocks, enum fill fill, size_t n)
{
	struct fake_data data = {.fill = fill, .seed = (uint32_t)n};
	struct ek_encoder_params p = {.level = 3, .max_out = bs * blocks};
	struct ek_err err;

	memset(r, 0, sizeof(*r));
	r->n = n;
	r->in = malloc(n);
	r->c.bs = bs;
	r->c.max_blocks = blocks;
	r->c.lz4_margin = true;
	r->c.out_cap = ek_compress_room(n, bs, blocks);
	r->c.out = malloc(r->c.out_cap);
	r->c.cap_pieces = n / bs + 4;
	r->c.pieces = calloc(r->c.cap_pieces, sizeof(ek_piece));
	assert_non_null(r->in);
	assert_non_null(r->c.out);
	assert_non_null(r->c.pieces);
	fake_bytes(&data, 0, r->in, n);
	assert_int_equal(
		ek_encoder_new(ek_codec_find(codec), &p, &r->c.enc, &err),
		EK_OK);
	ek_compress_begin(&r->c);
}

static void run_free(struct run *r)
{
	ek_encoder_free(r->c.enc);
	free(r->in);
	free(r->c.out);
	free(r->c.pieces);
}

static void all(struct run *r, size_t limit)
{
	struct ek_err err;
	size_t taken;

	assert_int_equal(
		ek_compress_feed(&r->c, r->in, r->n, true, limit, &taken, &err),
		EK_OK);
	if (!r->c.full)
		assert_true(taken == r->n);
}

/* Decode an extent and compare; returns the size of the stream. */
static size_t check_coded(struct ek_decoder *dec, const struct run *r,
			  size_t la, uint32_t len, const uint8_t *at,
			  size_t size)
{
	uint8_t *got = malloc(len);
	struct ek_err err;
	size_t skip;

	assert_non_null(got);
	assert_int_equal(ek_skip_padding(at, size, r->c.bs, &skip, &err),
			 EK_OK);
	assert_true(skip < r->c.bs);
	assert_int_equal(
		ek_decode(dec, at + skip, size - skip, got, len, false, &err),
		EK_OK);
	assert_memory_equal(got, r->in + la, len);
	free(got);
	return size - skip;
}

/*
 * The margin of 6.11 on each pcluster that may end elsewhere and for which a
 * page has room for it.
 */
static void check_margin(size_t end, size_t csize)
{
	size_t room = (EK_LZ4_PAGE - end % EK_LZ4_PAGE) % EK_LZ4_PAGE;

	if (ek_lz4_margin(csize) < EK_LZ4_PAGE)
		assert_true(room >= ek_lz4_margin(csize));
}

/* Every rule for extents (6.1, 6.3, 6.11); returns the coded ones. */
static size_t check_run(const struct run *r)
{
	struct ek_decoder_params p = {.lzma_dict_size = 4096,
				      .zstd_window_log = 10};
	struct ek_decoder *dec;
	struct ek_err err;
	size_t la = 0, coded = 0, at = 0;
	uint32_t bs = r->c.bs;

	assert_int_equal(ek_decoder_new(EK_CODEC_LZ4, &p, &dec, &err), EK_OK);
	for (size_t i = 0; i < r->c.n_pieces; i++) {
		uint32_t len = ek_piece_len(r->c.pieces[i]);
		uint32_t blocks = ek_piece_blocks(r->c.pieces[i]);
		size_t size = (size_t)blocks * bs, next = la + len, csize;

		assert_true(blocks <= r->c.max_blocks);
		if (ek_piece_size(r->c.pieces[i])) {
			coded++;
			csize = check_coded(dec, r, la, len, r->c.out + at,
					    size);
			check_margin(next, csize);
		} else {
			assert_int_equal(blocks, 1);
			assert_memory_equal(r->c.out + at, r->in + la, len);
		}
		/* Only the last may end in the block where it begins. */
		if (i + 1 < r->c.n_pieces)
			assert_true(next / bs > la / bs);
		if (blocks > 1)
			assert_true(next / bs >= la / bs + 2);
		la = next;
		at += size;
	}
	assert_true(la == r->n);
	assert_true(at == r->c.used);
	ek_decoder_free(dec);
	return coded;
}

static void extents(void **state)
{
	static const size_t sizes[] = {513,  4097,   8192,    65536,
				       5000, 300000, 2 * MIB, 2 * MIB - 20};
	static const enum fill fills[] = {TEXT, MIXED, RANDOM, ZEROS};
	static const uint32_t bss[] = {512, 4096};
	static const uint32_t blocks[] = {1, 4, 256};
	struct run r;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t f = 0; f < 4; f++)
			for (size_t k = 0; k < 6; k++) {
				run_make(&r, k % 2 || i > 5 ? "lz4" : "lz4hc",
					 bss[k % 2], blocks[k / 2], fills[f],
					 sizes[i]);
				all(&r, SIZE_MAX);
				check_run(&r);
				run_free(&r);
			}
}

/* Random parts cost nothing of the text around them. */
static void mixed(void **state)
{
	struct run r;
	size_t plain = 0, blocks = 0;

	(void)state;
	run_make(&r, "lz4", 4096, 1, MIXED, 3 * MIB);
	all(&r, SIZE_MAX);
	assert_true(check_run(&r) > 100);
	for (size_t i = 0; i < r.c.n_pieces; i++) {
		blocks += ek_piece_blocks(r.c.pieces[i]);
		plain += !ek_piece_size(r.c.pieces[i]);
	}
	/* Half of 768 blocks is random: 32 parts of 12 blocks. */
	assert_in_range(plain, 360, 480);
	assert_true(blocks < 620);
	run_free(&r);
}

/* What does not compress is read once or so, and hides nothing behind it. */
static void noise(void **state)
{
	static const char *const codecs[] = {"lz4", "lz4hc", "zstd", "deflate",
					     "libdeflate"};
	struct run r;
	size_t done, at;

	(void)state;
	for (size_t i = 0; i < sizeof(codecs) / sizeof(*codecs); i++) {
		struct fake_data text = {.fill = TEXT, .seed = 3};

		run_make(&r, codecs[i], 4096, 16, RANDOM, 2 * MIB);
		all(&r, SIZE_MAX);
		assert_false(r.c.coded);
		assert_true(r.c.bytes_in <= r.n + r.n / 4);
		run_free(&r);
		run_make(&r, codecs[i], 4096, 16, RANDOM, 2 * MIB);
		r.c.lz4_margin = i < 2;
		fake_bytes(&text, 0, r.in + MIB + 5000, MIB - 5000);
		all(&r, SIZE_MAX);
		for (at = done = 0; at < r.c.n_pieces; at++) {
			if (ek_piece_size(r.c.pieces[at]))
				break;
			done += ek_piece_len(r.c.pieces[at]);
		}
		/* It is asked for in steps of a quarter of a cluster. */
		assert_true(at < r.c.n_pieces && done <= MIB + 5000 + 16384);
		run_free(&r);
	}
}

/* Going through a window gives the rules, too, and the same twice. */
static void window(void **state)
{
	struct run r, again;
	size_t got = 0, have = 0, taken;
	struct ek_err err;

	(void)state;
	run_make(&r, "lz4", 4096, 16, TEXT, 5 * MIB + 100);
	run_make(&again, "lz4", 4096, 16, TEXT, 5 * MIB + 100);
	all(&again, SIZE_MAX);
	while (got < r.n) {
		have = r.n - got < 2 * MIB ? r.n - got : 2 * MIB;
		assert_int_equal(ek_compress_feed(&r.c, r.in + got, have,
						  got + have == r.n, SIZE_MAX,
						  &taken, &err),
				 EK_OK);
		assert_true(taken > 0);
		got += taken;
	}
	assert_true(check_run(&r) > 0);
	/* Extents are far shorter than what is kept: nothing is lost. */
	assert_true(r.c.used == again.c.used);
	assert_memory_equal(r.c.out, again.c.out, r.c.used);
	run_free(&r);
	run_free(&again);
}

static void limit(void **state)
{
	struct run r;

	(void)state;
	run_make(&r, "lz4", 4096, 1, RANDOM, MIB);
	all(&r, 10 * 4096);
	assert_true(r.c.full);
	assert_true(r.c.used <= 40 * 4096);
	run_free(&r);
	run_make(&r, "lz4", 4096, 1, TEXT, MIB);
	all(&r, MIB);
	assert_false(r.c.full);
	assert_true(r.c.coded);
	run_free(&r);
}

const struct CMUnitTest pcluster_tests[] = {
	cmocka_unit_test(extents), cmocka_unit_test(mixed),
	cmocka_unit_test(noise),   cmocka_unit_test(window),
	cmocka_unit_test(limit),   UNIT_END,
};
