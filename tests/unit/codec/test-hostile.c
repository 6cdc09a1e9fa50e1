/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"
#include "unit.h"

#define SIZE 3000
#define ROOM 8000

/* Damaged streams end with a status, and the decoder goes on working. */
static void damage(enum ek_algorithm a, int kind)
{
	struct ek_decoder *dec = new_decoder(a);
	struct rng rng = {(uint64_t)a * 7 + (uint64_t)kind};
	uint8_t *in = malloc(SIZE), *z = malloc(ROOM), *out = malloc(SIZE);
	size_t n, wrong = 0;

	assert_true(in && z && out);
	fill_data(in, SIZE, (enum kind)kind, 1);
	n = encode_whole(a, in, SIZE, z, ROOM);
	for (int i = 0; i < 1500; i++) {
		size_t cut = i % 5 ? n : 1 + rng_next(&rng) % n;
		uint8_t *bad = malloc(cut);
		ek_status status;

		assert_non_null(bad);
		memcpy(bad, z, cut);
		for (uint32_t k = rng_next(&rng) % 3 + 1; k; k--)
			bad[rng_next(&rng) % cut] ^=
				(uint8_t)(1u << rng_next(&rng) % 8);
		status = ek_decode(dec, bad, cut, out, SIZE, i % 2, NULL);
		assert_true(status == EK_OK || status == EK_CORRUPT);
		wrong += status != EK_OK;
		free(bad);
	}
	/* Literals pass with any value; structure must not. */
	if (kind == KIND_MIXED)
		assert_true(wrong > 100);
	assert_int_equal(ek_decode(dec, z, n, out, SIZE, false, NULL), EK_OK);
	assert_memory_equal(in, out, SIZE);
	ek_decoder_free(dec);
	free(in);
	free(z);
	free(out);
}

static void damaged_streams(void **state)
{
	(void)state;
	for (int a = 0; a < EK_CODEC_COUNT; a++)
		for (int kind = 0; kind < KIND_COUNT; kind++)
			damage((enum ek_algorithm)a, kind);
}

static void noise(void **state)
{
	uint8_t in[300], out[5000];

	(void)state;
	for (int a = 0; a < EK_CODEC_COUNT; a++) {
		struct ek_decoder *dec = new_decoder((enum ek_algorithm)a);

		for (uint64_t i = 0; i < 1000; i++) {
			ek_status status;

			fill_data(in, sizeof(in), KIND_RANDOM, i);
			status =
				ek_decode(dec, in, 1 + i % sizeof(in), out,
					  1 + i * 5 % sizeof(out), i % 2, NULL);
			assert_true(status == EK_OK || status == EK_CORRUPT);
		}
		ek_decoder_free(dec);
	}
}

extern const struct CMUnitTest hostile_tests[];
const struct CMUnitTest hostile_tests[] = {
	cmocka_unit_test(damaged_streams),
	cmocka_unit_test(noise),
	UNIT_END,
};
