/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/lz4cut.h"

#include "data.h"
#include "unit.h"

#define MOST  (96 * 1024)
#define GUARD 64

struct buffers {
	struct ek_decoder *dec;
	uint8_t *in, *out, *cut, *back;
};

static void open_buffers(struct buffers *b)
{
	b->dec = new_decoder(EK_CODEC_LZ4);
	b->in = malloc(MOST);
	b->out = malloc(MOST + GUARD);
	b->cut = malloc(MOST + GUARD);
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

/* The rules for the end of a stream, by a parser of its own. */
static void check_end(const uint8_t *s, size_t n, size_t len)
{
	size_t pos = 0, at = 0, begins = 0, literals = 0;

	while (pos < n) {
		unsigned int token = s[pos++], k = token >> 4, more = 255;

		for (literals = k; k == 15 && more == 255; literals += more)
			more = s[pos++];
		pos += literals;
		at += literals;
		if (pos >= n)
			break;
		begins = at;
		pos += 2;
		k = token & 15;
		at += k + 4;
		for (more = 255; k == 15 && more == 255; at += more)
			more = s[pos++];
	}
	assert_true(pos == n && at == len);
	if (begins)
		assert_true(literals >= 5 && begins + 12 <= len);
}

/* Shorten to @want with @room; returns the new size. */
static size_t one(struct buffers *b, size_t len, size_t size, size_t room,
		  size_t want)
{
	size_t n;

	memcpy(b->cut, b->out, size);
	memset(b->cut + size, 0xee, GUARD);
	n = ek_lz4_shorten(b->in, len, b->cut, size, room, want);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(b->cut[size + i], 0xee);
	if (n == 0) {
		assert_memory_equal(b->cut, b->out, size);
		return 0;
	}
	assert_true(n <= room && n <= size);
	assert_int_not_equal(b->cut[0], 0);
	check_end(b->cut, n, want);
	assert_int_equal(
		ek_decode(b->dec, b->cut, n, b->back, want, false, NULL),
		EK_OK);
	assert_memory_equal(b->back, b->in, want);
	return n;
}

static size_t encode(struct buffers *b, const char *name, enum kind kind,
		     size_t n, size_t room, size_t *len)
{
	struct ek_encoder *enc = new_encoder(name, 9);
	size_t size;

	fill_data(b->in, n, kind, n + kind);
	*len = n;
	assert_int_equal(
		ek_encode_fill(enc, b->in, len, b->out, room, &size, NULL),
		EK_OK);
	ek_encoder_free(enc);
	return size;
}

/* To each length near the end, and to some all over. */
static void lengths(void **state)
{
	static const char *const names[] = {"lz4", "lz4hc"};
	struct buffers b;
	size_t len, size, done = 0, all = 0;

	(void)state;
	open_buffers(&b);
	for (int kind = 0; kind < KIND_COUNT; kind++)
		for (int i = 0; i < 4; i++) {
			size = encode(&b, names[i % 2], kind, MOST,
				      i < 2 ? 4096 : 20000, &len);
			assert_true(size > 0 && len > 4000);
			for (size_t cut = 1; cut < len; cut += 1 + cut / 64) {
				all++;
				done += one(&b, len, size, size, len - cut) > 0;
			}
		}
	/* It is seldom that a few bytes less need more room. */
	assert_true(done > all - all / 8);
	close_buffers(&b);
}

/* Small ones: each length of each. */
static void small(void **state)
{
	struct buffers b;
	size_t len, size;

	(void)state;
	open_buffers(&b);
	for (int kind = 0; kind < KIND_COUNT; kind++)
		for (size_t n = 2; n < 80; n++) {
			size = encode(&b, "lz4hc", kind, n, 200, &len);
			assert_true(len == n);
			for (size_t want = 1; want < len; want++)
				one(&b, len, size, size, want);
		}
	close_buffers(&b);
}

/* What does not fit is left as it was; what fits uses no more. */
static void rooms(void **state)
{
	struct buffers b;
	size_t len, size, need;

	(void)state;
	open_buffers(&b);
	size = encode(&b, "lz4", KIND_MIXED, MOST, 8192, &len);
	for (size_t want = len - 700; want < len; want += 7) {
		need = one(&b, len, size, size, want);
		for (size_t room = 0; room <= size; room += 1 + room / 9)
			assert_true((one(&b, len, size, room, want) > 0) ==
				    (need > 0 && need <= room));
	}
	close_buffers(&b);
}

const struct CMUnitTest lz4cut_tests[] = {
	cmocka_unit_test(lengths),
	cmocka_unit_test(small),
	cmocka_unit_test(rooms),
	UNIT_END,
};
