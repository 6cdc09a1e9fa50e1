/* SPDX-License-Identifier: Apache-2.0 */
#include "base/try.h"
#include "codec/deflcut.h"

#include "data.h"
#include "unit.h"

#define MOST  (96 * 1024)
#define GUARD 64

struct buffers {
	struct ek_decoder *dec;
	uint8_t *in, *out, *cut, *back;
	size_t size; /* of the stream at out */
};

static void open_buffers(struct buffers *b)
{
	b->dec = new_decoder(EK_CODEC_DEFLATE);
	b->in = malloc(MOST);
	b->out = malloc(2 * MOST);
	b->cut = malloc(2 * MOST + GUARD);
	b->back = malloc(MOST);
	assert_true(b->in && b->out && b->cut && b->back);
}

static void close_buffers(struct buffers *b)
{
	ek_decoder_free(b->dec);
	free(b->in);
	free(b->out);
	free(b->cut);
	free(b->back);
}

static void encode(struct buffers *b, const char *name, int level,
		   enum kind kind, size_t n)
{
	struct ek_encoder *enc = new_encoder(name, level);

	fill_data(b->in, n, kind, n + kind);
	assert_int_equal(ek_encode_whole(enc, b->in, n, b->out, 2 * MOST,
					 &b->size, NULL),
			 EK_OK);
	assert_true(b->size > 0);
	ek_encoder_free(enc);
}

/* Cut to @room what of the stream lies in @n bytes; returns what it holds. */
static size_t one(struct buffers *b, size_t n, size_t room)
{
	size_t taken, used;

	memcpy(b->cut, b->out, n);
	memset(b->cut + n, 0xee, GUARD);
	ek_deflate_cut(b->cut, n, room, &taken, &used);
	assert_true(used <= room && used <= n);
	assert_memory_equal(b->cut + used, b->out + used, n - used);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(b->cut[n + i], 0xee);
	assert_int_equal(taken == 0, used == 0);
	if (taken == 0)
		return 0;
	assert_true(taken <= MOST);
	assert_int_equal(
		ek_decode(b->dec, b->cut, used, b->back, taken, false, NULL),
		EK_OK);
	assert_memory_equal(b->back, b->in, taken);
	return taken;
}

static const struct {
	const char *name;
	int level;
} encoders[] = {
	{"deflate", 0},	   {"deflate", 1},    {"deflate", 9},
	{"libdeflate", 0}, {"libdeflate", 6}, {"libdeflate", 12},
};

/* To each length near the start, and to some all over. */
static void rooms(void **state)
{
	struct buffers b;

	(void)state;
	open_buffers(&b);
	for (size_t e = 0; e < EK_ARRAY_SIZE(encoders); e++)
		for (int kind = 0; kind < KIND_COUNT; kind++) {
			size_t before = 0;

			encode(&b, encoders[e].name, encoders[e].level, kind,
			       MOST);
			for (size_t room = 0; room <= b.size;
			     room += 1 + room / 48) {
				size_t taken = one(&b, b.size, room);

				assert_true(taken >= before);
				before = taken;
			}
			/* All of it is what it was. */
			assert_int_equal(one(&b, b.size, b.size), MOST);
			assert_memory_equal(b.cut, b.out, b.size);
		}
	close_buffers(&b);
}

/* Nearly all of a room is used. */
static void full(void **state)
{
	struct buffers b;

	(void)state;
	open_buffers(&b);
	encode(&b, "libdeflate", 6, KIND_TEXT, MOST);
	for (size_t room = b.size / 2; room < b.size; room += b.size / 9) {
		size_t used, taken;

		memcpy(b.cut, b.out, b.size);
		ek_deflate_cut(b.cut, b.size, room, &taken, &used);
		assert_true(room - used <= 8);
	}
	close_buffers(&b);
}

/* Only the beginning of a stream is there. */
static void beginnings(void **state)
{
	struct buffers b;

	(void)state;
	open_buffers(&b);
	for (size_t e = 0; e < EK_ARRAY_SIZE(encoders); e++) {
		encode(&b, encoders[e].name, encoders[e].level, KIND_MIXED,
		       20000);
		for (size_t n = 0; n < b.size; n += 1 + n / 32)
			one(&b, n, n);
	}
	close_buffers(&b);
}

/* Short streams, with the codes of RFC 1951 3.2.6. */
static void small(void **state)
{
	struct buffers b;

	(void)state;
	open_buffers(&b);
	for (size_t e = 0; e < EK_ARRAY_SIZE(encoders); e++)
		for (size_t n = 1; n < 40; n++) {
			encode(&b, encoders[e].name, encoders[e].level,
			       KIND_TEXT, n);
			for (size_t room = 0; room <= b.size; room++)
				one(&b, b.size, room);
			assert_int_equal(one(&b, b.size, b.size), n);
		}
	close_buffers(&b);
}

/* What is no stream does no harm; what comes of it fits. */
static void noise(void **state)
{
	struct rng rng = {5};
	uint8_t bytes[300];
	size_t taken, used;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t n = rng_next(&rng) % sizeof(bytes);
		size_t room = n ? rng_next(&rng) % (n + 1) : 0;

		for (size_t k = 0; k < n; k++)
			bytes[k] = (uint8_t)rng_next(&rng);
		ek_deflate_cut(bytes, n, room, &taken, &used);
		assert_true(used <= room);
	}
}

const struct CMUnitTest deflcut_tests[] = {
	cmocka_unit_test(rooms),      cmocka_unit_test(full),
	cmocka_unit_test(beginnings), cmocka_unit_test(small),
	cmocka_unit_test(noise),      UNIT_END,
};
