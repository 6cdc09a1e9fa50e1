/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"
#include "unit.h"

/*
 * The fixed-output encoders of liblz4 have had bugs that only rare inputs
 * show: bytes past the room, streams that do not decode. So these tests run
 * over many inputs and rooms, with guard bytes, and decode everything.
 */

#define MOST  (160 * 1024)
#define GUARD 64

struct buffers {
	struct ek_decoder *dec;
	uint8_t *in, *out, *back;
};

static void open_buffers(struct buffers *b)
{
	b->dec = new_decoder(EK_CODEC_LZ4);
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

/* One call with everything that must hold of it; returns what was taken. */
static size_t one(struct buffers *b, struct ek_encoder *enc, size_t n_in,
		  size_t room)
{
	size_t taken = n_in, used = 99;

	memset(b->out, 0xee, room + GUARD);
	assert_int_equal(
		ek_encode_fill(enc, b->in, &taken, b->out, room, &used, NULL),
		EK_OK);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(b->out[room + i], 0xee);
	if (taken == 0) {
		assert_int_equal(used, 0);
		return 0;
	}
	assert_true(taken <= n_in && used > 0 && used <= room);
	assert_int_not_equal(b->out[0], 0);
	assert_int_equal(
		ek_decode(b->dec, b->out, used, b->back, taken, false, NULL),
		EK_OK);
	assert_memory_equal(b->back, b->in, taken);
	assert_int_equal(ek_decode(b->dec, b->out, used, b->back, taken / 2 + 1,
				   true, NULL),
			 EK_OK);
	assert_memory_equal(b->back, b->in, taken / 2 + 1);
	return taken;
}

static void round_trips(const char *name, int level, int rounds)
{
	struct ek_encoder *enc = new_encoder(name, level);
	struct rng rng = {42 + (uint64_t)level};
	struct buffers b;

	open_buffers(&b);
	for (int i = 0; i < rounds; i++) {
		size_t n_in = 1 + rng_next(&rng) % (i % 8 ? 20000 : MOST);
		size_t room = i % 3 ? 512u << rng_next(&rng) % 6
				    : 1 + rng_next(&rng) % 9000;

		fill_data(b.in, n_in, (enum kind)(i % KIND_COUNT),
			  (uint64_t)i + 1);
		one(&b, enc, n_in, room);
	}
	close_buffers(&b);
	ek_encoder_free(enc);
}

static void lz4_round_trips(void **state)
{
	(void)state;
	round_trips("lz4", 0, 2000);
}

static void lz4hc_round_trips(void **state)
{
	(void)state;
	round_trips("lz4hc", 9, 300);
	for (int level = 0; level <= 12; level++)
		round_trips("lz4hc", level, 40);
}

/* Every room from nothing on: where off-by-one errors live. */
static void every_small_room(void **state)
{
	static const int levels[] = {3, 9, 12};
	struct buffers b;

	(void)state;
	open_buffers(&b);
	for (int k = 0; k < 4; k++) {
		struct ek_encoder *enc = k ? new_encoder("lz4hc", levels[k - 1])
					   : new_encoder("lz4", 0);

		for (int kind = 0; kind < KIND_COUNT; kind++) {
			fill_data(b.in, 600, (enum kind)kind, 3);
			for (size_t room = 0; room < 300; room++)
				one(&b, enc, 600, room);
			for (size_t n = 0; n < 300; n++)
				one(&b, enc, n, 64);
		}
		ek_encoder_free(enc);
	}
	close_buffers(&b);
}

static void the_room_is_filled(void **state)
{
	struct ek_encoder *enc = new_encoder("lz4", 0);
	struct buffers b;
	size_t taken;

	(void)state;
	open_buffers(&b);
	fill_data(b.in, MOST, KIND_TEXT, 1);
	taken = one(&b, enc, MOST, 4096);
	assert_true(taken > 6000 && taken < MOST);
	fill_data(b.in, MOST, KIND_ZERO, 1);
	/* A match's length costs a byte for each 255: about 1 MiB in 4096. */
	assert_int_equal(one(&b, enc, MOST, 4096), MOST);
	close_buffers(&b);
	ek_encoder_free(enc);
}

/* What was coded before must not show in what comes after. */
static void history_does_not_matter(const char *name, int level)
{
	struct ek_encoder *used = new_encoder(name, level);
	uint8_t *first = malloc(MOST);
	struct buffers b;

	assert_non_null(first);
	open_buffers(&b);
	for (uint64_t i = 0; i < 20; i++) {
		struct ek_encoder *fresh = new_encoder(name, level);
		size_t taken = 30000, again = 30000, n, n2;

		fill_data(b.in, 30000, KIND_MIXED, i);
		assert_int_equal(ek_encode_fill(fresh, b.in, &taken, first,
						4096, &n, NULL),
				 EK_OK);
		assert_int_equal(ek_encode_fill(used, b.in, &again, b.out, 4096,
						&n2, NULL),
				 EK_OK);
		assert_int_equal(taken, again);
		assert_int_equal(n, n2);
		assert_memory_equal(first, b.out, n);
		ek_encoder_free(fresh);
	}
	close_buffers(&b);
	free(first);
	ek_encoder_free(used);
}

static void coding_is_deterministic(void **state)
{
	(void)state;
	history_does_not_matter("lz4", 0);
	history_does_not_matter("lz4hc", 9);
	history_does_not_matter("lz4hc", 12);
}

extern const struct CMUnitTest lz4_tests[];
const struct CMUnitTest lz4_tests[] = {
	cmocka_unit_test(lz4_round_trips),
	cmocka_unit_test(lz4hc_round_trips),
	cmocka_unit_test(every_small_room),
	cmocka_unit_test(the_room_is_filled),
	cmocka_unit_test(coding_is_deterministic),
	UNIT_END,
};
