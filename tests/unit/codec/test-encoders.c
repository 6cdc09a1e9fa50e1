/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"
#include "unit.h"

#include "base/try.h"

/* What holds for every encoder of the table. */

#define MOST  (400 * 1024)
#define GUARD 64

struct buffers {
	struct ek_decoder *dec;
	uint8_t *in, *out, *back;
};

static void open_buffers(struct buffers *b, enum ek_algorithm algorithm)
{
	b->dec = new_decoder(algorithm);
	b->in = malloc(MOST);
	b->out = malloc(MOST + GUARD);
	b->back = malloc(MOST);
	assert_true(b->in && b->out && b->back);
}

static void close_buffers(struct buffers *b)
{
	ek_decoder_free(b->dec);
	free(b->in);
	free(b->out);
	free(b->back);
}

static struct ek_encoder *encoder_for(const struct ek_codec_info *info,
				      int level, size_t max_out)
{
	struct ek_encoder_params params = {.level = level, .max_out = max_out};
	struct ek_encoder *enc;

	assert_int_equal(ek_encoder_new(info, &params, &enc, NULL), EK_OK);
	return enc;
}

/* One call with everything that must hold of it; returns what was taken. */
static size_t one(struct buffers *b, struct ek_encoder *enc, const uint8_t *in,
		  size_t n_in, size_t room, size_t *used)
{
	size_t taken = n_in;

	memset(b->out + room, 0xee, GUARD);
	assert_int_equal(
		ek_encode_fill(enc, in, &taken, b->out, room, used, NULL),
		EK_OK);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(b->out[room + i], 0xee);
	if (taken == 0) {
		assert_int_equal(*used, 0);
		return 0;
	}
	assert_true(taken <= n_in && *used > 0 && *used <= room);
	assert_int_not_equal(b->out[0], 0);
	assert_int_equal(
		ek_decode(b->dec, b->out, *used, b->back, taken, false, NULL),
		EK_OK);
	assert_memory_equal(b->back, in, taken);
	assert_int_equal(ek_decode(b->dec, b->out, *used, b->back,
				   taken / 2 + 1, true, NULL),
			 EK_OK);
	assert_memory_equal(b->back, in, taken / 2 + 1);
	return taken;
}

static void round_trips(const struct ek_codec_info *info, int level, int rounds)
{
	struct rng rng = {7 + (uint64_t)level};
	struct buffers b;
	size_t used;

	open_buffers(&b, info->algorithm);
	for (int i = 0; i < rounds; i++) {
		size_t n_in = 1 + rng_next(&rng) % (i % 4 ? 30000 : MOST);
		size_t room = i % 3 ? 512u << rng_next(&rng) % 8
				    : 1 + rng_next(&rng) % 9000;
		struct ek_encoder *enc = encoder_for(info, level, room);

		fill_data(b.in, n_in, (enum kind)(i % KIND_COUNT),
			  (uint64_t)i + 1);
		/* Hints may be wrong in any way. */
		if (i % 5 == 1)
			ek_encoder_hint(enc, 1 + rng_next(&rng) % 90000,
					1 + rng_next(&rng) % 9000);
		one(&b, enc, b.in, n_in, room, &used);
		ek_encoder_free(enc);
	}
	close_buffers(&b);
}

static void all_round_trip(void **state)
{
	size_t n;
	const struct ek_codec_info *list = ek_codec_list(&n);

	(void)state;
	for (size_t i = 2; i < n; i++) {
		round_trips(&list[i], list[i].default_level, 60);
		for (int level = list[i].min_level; level <= list[i].max_level;
		     level += 3)
			round_trips(&list[i], level, 8);
		if (list[i].extreme)
			round_trips(&list[i], list[i].extreme + 1, 8);
	}
}

/* Every room from nothing on: where off-by-one errors live. */
static void every_small_room(void **state)
{
	size_t n, used;
	const struct ek_codec_info *list = ek_codec_list(&n);

	(void)state;
	for (size_t i = 2; i < n; i++) {
		struct ek_encoder *enc = encoder_for(&list[i], 1, 512);
		struct buffers b;

		open_buffers(&b, list[i].algorithm);
		for (int kind = 0; kind < KIND_COUNT; kind++) {
			fill_data(b.in, 700, (enum kind)kind, 3);
			for (size_t room = 0; room < 260; room++)
				one(&b, enc, b.in, 700, room, &used);
			for (size_t k = 0; k < 200; k++)
				one(&b, enc, b.in, k, 100, &used);
		}
		close_buffers(&b);
		ek_encoder_free(enc);
	}
}

/* Encode all of the input; lost room and repeated work stay small. */
static void fills_well(const struct ek_codec_info *info, enum kind kind,
		       size_t room)
{
	struct ek_encoder *enc = encoder_for(info, info->default_level, room);
	size_t pos = 0, fills = 0, sum = 0, taken, used;
	struct buffers b;

	open_buffers(&b, info->algorithm);
	fill_data(b.in, MOST, kind, 1);
	while (MOST - pos > 8 * room) {
		taken = one(&b, enc, b.in + pos, MOST - pos, room, &used);
		/* A stretch of noise: stored by whoever asks. */
		if (taken == 0) {
			assert_int_equal(kind, KIND_MIXED);
			pos += room;
			continue;
		}
		ek_encoder_hint(enc, taken, used);
		pos += taken;
		sum += used;
		fills++;
	}
	assert_true(fills > 3);
	assert_true(sum > fills * room * 93 / 100);
	assert_true(ek_encoder_fed(enc) >= pos);
	assert_true(ek_encoder_fed(enc) <= pos * (kind == KIND_MIXED ? 4 : 2));
	close_buffers(&b);
	ek_encoder_free(enc);
}

static void rooms_are_filled(void **state)
{
	size_t n;
	const struct ek_codec_info *list = ek_codec_list(&n);

	(void)state;
	for (size_t i = 2; i < n; i++) {
		fills_well(&list[i], KIND_TEXT, 4096);
		fills_well(&list[i], KIND_TEXT, 16384);
		fills_well(&list[i], KIND_MIXED, 4096);
		fills_well(&list[i], KIND_MIXED, 16384);
	}
}

static void noise_is_left_alone(void **state)
{
	size_t n, used, taken;
	const struct ek_codec_info *list = ek_codec_list(&n);

	(void)state;
	for (size_t i = 2; i < n; i++) {
		struct ek_encoder *enc = encoder_for(&list[i], 6, 4096);
		struct buffers b;

		open_buffers(&b, list[i].algorithm);
		fill_data(b.in, MOST, KIND_RANDOM, 1);
		ek_encoder_hint(enc, 40960, 4096);
		taken = one(&b, enc, b.in, MOST, 4096, &used);
		assert_true(taken <= 4096);
		close_buffers(&b);
		ek_encoder_free(enc);
	}
}

/* A run, then noise: what the run cost says nothing of the noise. */
static void rates_change(void **state)
{
	static const size_t runs[] = {3000, 8192, 20000, 100000};
	size_t n, used;
	const struct ek_codec_info *list = ek_codec_list(&n);

	(void)state;
	for (size_t k = 0; k < n; k++) {
		struct buffers b;

		open_buffers(&b, list[k].algorithm);
		for (size_t i = 0; i < EK_ARRAY_SIZE(runs); i++) {
			struct ek_encoder *enc = encoder_for(&list[k], 3, 4096);

			fill_data(b.in, runs[i], KIND_ZERO, i);
			fill_data(b.in + runs[i], MOST - runs[i], KIND_RANDOM,
				  i);
			/* Twice: as the first, and after a failure. */
			for (int j = 0; j < 2; j++) {
				size_t taken =
					one(&b, enc, b.in, MOST, 4096, &used);

				assert_in_range(taken, runs[i] + 2500,
						runs[i] + 4096);
				ek_encoder_hint(enc, 1, 1);
			}
			ek_encoder_free(enc);
		}
		close_buffers(&b);
	}
}

/* What was coded before must not show in what comes after. */
static void history_does_not_matter(void **state)
{
	size_t n;
	const struct ek_codec_info *list = ek_codec_list(&n);
	uint8_t *first = malloc(MOST);

	(void)state;
	assert_non_null(first);
	for (size_t k = 2; k < n; k++) {
		struct ek_encoder *used = encoder_for(&list[k], 5, 4096);
		struct buffers b;

		open_buffers(&b, list[k].algorithm);
		for (uint64_t i = 0; i < 12; i++) {
			struct ek_encoder *fresh =
				encoder_for(&list[k], 5, 4096);
			size_t taken = 30000, again = 30000, n1, n2;

			fill_data(b.in, 30000, KIND_MIXED, i);
			assert_int_equal(ek_encode_fill(fresh, b.in, &taken,
							first, 4096, &n1, NULL),
					 EK_OK);
			assert_int_equal(ek_encode_fill(used, b.in, &again,
							b.out, 4096, &n2, NULL),
					 EK_OK);
			assert_int_equal(taken, again);
			assert_int_equal(n1, n2);
			assert_memory_equal(first, b.out, n1);
			ek_encoder_free(fresh);
		}
		close_buffers(&b);
		ek_encoder_free(used);
	}
	free(first);
}

/* A whole stream, between others and after a room that was too small. */
static void whole_again(struct buffers *b, const struct ek_codec_info *info,
			size_t size, uint8_t *first)
{
	struct ek_encoder *fresh = encoder_for(info, 3, 65536);
	struct ek_encoder *used = encoder_for(info, 3, 65536);
	size_t n, again, taken = size;

	assert_int_equal(
		ek_encode_whole(fresh, b->in, size, first, size, &n, NULL),
		EK_OK);
	assert_in_range(n, 1, size - 1);
	assert_int_equal(
		ek_decode(b->dec, first, n, b->back, size, false, NULL), EK_OK);
	assert_memory_equal(b->back, b->in, size);
	memset(b->out + n / 2, 0xee, GUARD);
	assert_int_equal(
		ek_encode_whole(used, b->in, size, b->out, n / 2, &again, NULL),
		EK_OK);
	assert_int_equal(again, 0);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(b->out[n / 2 + i], 0xee);
	assert_int_equal(ek_encode_fill(used, b->in, &taken, b->out, n / 2,
					&again, NULL),
			 EK_OK);
	assert_int_equal(
		ek_encode_whole(used, b->in, size, b->out, size, &again, NULL),
		EK_OK);
	assert_int_equal(again, n);
	assert_memory_equal(b->out, first, n);
	ek_encoder_free(fresh);
	ek_encoder_free(used);
}

static void whole_streams(void **state)
{
	static const size_t sizes[] = {4096, 65536, MOST};
	size_t n;
	const struct ek_codec_info *list = ek_codec_list(&n);
	uint8_t *first = malloc(MOST);

	(void)state;
	assert_non_null(first);
	for (size_t k = 0; k < n; k++) {
		struct buffers b;

		open_buffers(&b, list[k].algorithm);
		for (size_t i = 0; i < EK_ARRAY_SIZE(sizes); i++) {
			fill_data(b.in, sizes[i], KIND_TEXT, i);
			whole_again(&b, &list[k], sizes[i], first);
		}
		close_buffers(&b);
	}
	free(first);
}

static ek_status try_params(const char *name, struct ek_encoder_params params)
{
	struct ek_encoder *enc;
	ek_status status;

	if (!params.max_out)
		params.max_out = 65536;
	status = ek_encoder_new(ek_codec_find(name), &params, &enc, NULL);
	assert_true((status == EK_OK) == (enc != NULL));
	ek_encoder_free(enc);
	return status;
}

#define TRY(name, ...) try_params(name, (struct ek_encoder_params){__VA_ARGS__})

static void parameters(void **state)
{
	(void)state;
	assert_int_equal(TRY("lzma", .level = 9), EK_OK);
	assert_int_equal(TRY("lzma", .level = 10), EK_INVALID);
	assert_int_equal(TRY("lzma", .level = 99), EK_INVALID);
	assert_int_equal(TRY("lzma", .level = 109), EK_OK);
	assert_int_equal(TRY("lzma", .level = 110), EK_INVALID);
	assert_int_equal(TRY("lzma", .dict_size = 4095), EK_INVALID);
	assert_int_equal(TRY("lzma", .dict_size = 5000), EK_OK);
	assert_int_equal(TRY("lzma", .dict_size = 8 << 20), EK_OK);
	assert_int_equal(TRY("lzma", .dict_size = (8 << 20) + 1), EK_INVALID);
	assert_int_equal(TRY("lzma", .set = EK_PROP_LC, .lc = 4), EK_OK);
	assert_int_equal(TRY("lzma", .set = EK_PROP_LC, .lc = 5), EK_INVALID);
	assert_int_equal(
		TRY("lzma", .set = EK_PROP_LC | EK_PROP_LP, .lc = 1, .lp = 3),
		EK_OK);
	assert_int_equal(
		TRY("lzma", .set = EK_PROP_LC | EK_PROP_LP, .lc = 2, .lp = 3),
		EK_INVALID);
	assert_int_equal(TRY("lzma", .set = EK_PROP_PB, .pb = 5), EK_INVALID);
	assert_int_equal(TRY("zstd", .level = 22), EK_OK);
	assert_int_equal(TRY("zstd", .level = 23), EK_INVALID);
	assert_int_equal(TRY("zstd", .dict_size = 1 << 20), EK_OK);
	assert_int_equal(TRY("zstd", .dict_size = 2 << 20), EK_INVALID);
	assert_int_equal(TRY("zstd", .dict_size = 3 << 12), EK_INVALID);
	assert_int_equal(TRY("zstd", .set = EK_PROP_LC), EK_INVALID);
	assert_int_equal(TRY("deflate", .level = 9), EK_OK);
	assert_int_equal(TRY("deflate", .level = 10), EK_INVALID);
	assert_int_equal(TRY("deflate", .dict_size = 32768), EK_OK);
	assert_int_equal(TRY("deflate", .dict_size = 512), EK_OK);
	assert_int_equal(TRY("deflate", .dict_size = 256), EK_INVALID);
	assert_int_equal(TRY("deflate", .dict_size = 65536), EK_INVALID);
	assert_int_equal(TRY("deflate", .dict_size = 20000), EK_INVALID);
	assert_int_equal(TRY("libdeflate", .dict_size = 32768), EK_INVALID);
	assert_int_equal(TRY("libdeflate", .level = 12), EK_OK);
	assert_int_equal(TRY("libdeflate", .level = 13), EK_INVALID);
}

static void dictionaries_and_memory(void **state)
{
	struct ek_encoder_params params = {.level = 6, .max_out = 65536};
	const struct ek_codec_info *lzma = ek_codec_find("lzma");
	const struct ek_codec_info *zstd = ek_codec_find("zstd");

	(void)state;
	assert_int_equal(ek_codec_dict_size(lzma, &params), 262144);
	assert_int_equal(ek_codec_dict_size(zstd, &params), 524288);
	params.max_out = 4096;
	assert_int_equal(ek_codec_dict_size(lzma, &params), 32768);
	assert_int_equal(ek_codec_dict_size(zstd, &params), 32768);
	params.max_out = 1 << 20;
	assert_int_equal(ek_codec_dict_size(lzma, &params), 4 << 20);
	assert_int_equal(ek_codec_dict_size(zstd, &params), 1 << 20);
	assert_int_equal(ek_codec_dict_size(ek_codec_find("deflate"), &params),
			 32768);
	assert_int_equal(
		ek_codec_dict_size(ek_codec_find("libdeflate"), &params), 0);
	assert_int_equal(ek_codec_dict_size(ek_codec_find("lz4"), &params), 0);
	params.dict_size = 8 << 20;
	assert_int_equal(ek_codec_dict_size(lzma, &params), 8 << 20);
	/* Tables of the match finder: a multiple of the dictionary. */
	assert_true(ek_codec_memory(lzma, &params) > 80u << 20);
	assert_true(ek_codec_memory(lzma, &params) < 120u << 20);
}

/* A level of zstd is what it is for a piece of that size. */
static void pieces_have_their_tables(void **state)
{
	struct ek_encoder_params params = {.level = 19, .max_out = 65536};
	const struct ek_codec_info *zstd = ek_codec_find("zstd");
	uint64_t filled = ek_codec_memory(zstd, &params);
	uint32_t dict = ek_codec_dict_size(zstd, &params);
	struct ek_encoder *enc;
	struct buffers b;
	size_t n;

	(void)state;
	params.max_in = 65536;
	assert_true(ek_codec_memory(zstd, &params) < filled);
	/* Readers are told of the same window. */
	assert_int_equal(ek_codec_dict_size(zstd, &params), dict);
	assert_int_equal(ek_encoder_new(zstd, &params, &enc, NULL), EK_OK);
	open_buffers(&b, zstd->algorithm);
	fill_data(b.in, 65536, KIND_TEXT, 0);
	assert_int_equal(
		ek_encode_whole(enc, b.in, 65536, b.out, 65535, &n, NULL),
		EK_OK);
	assert_in_range(n, 1, 65535);
	assert_int_equal(ek_decode(b.dec, b.out, n, b.back, 65536, false, NULL),
			 EK_OK);
	assert_memory_equal(b.back, b.in, 65536);
	close_buffers(&b);
	ek_encoder_free(enc);
}

extern const struct CMUnitTest encoders_tests[];
const struct CMUnitTest encoders_tests[] = {
	cmocka_unit_test(all_round_trip),
	cmocka_unit_test(every_small_room),
	cmocka_unit_test(rooms_are_filled),
	cmocka_unit_test(noise_is_left_alone),
	cmocka_unit_test(rates_change),
	cmocka_unit_test(history_does_not_matter),
	cmocka_unit_test(whole_streams),
	cmocka_unit_test(parameters),
	cmocka_unit_test(dictionaries_and_memory),
	cmocka_unit_test(pieces_have_their_tables),
	UNIT_END,
};
