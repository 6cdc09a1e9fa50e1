/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "build/zone.h"

static uint64_t get(struct ek_zone *z, uint64_t n, bool cross)
{
	struct ek_err err;
	uint64_t pos;

	assert_int_equal(ek_zone_alloc(z, n, cross, &pos, &err), EK_OK);
	assert_int_equal(pos % 32, 0);
	return pos;
}

static void best_fit(void **state)
{
	struct ek_zone z;
	uint32_t blk;
	struct ek_err err;

	(void)state;
	ek_zone_init(&z, 512);
	assert_int_equal(get(&z, 400, false), 0);    /* 96 left */
	assert_int_equal(get(&z, 200, false), 512);  /* 288 left */
	assert_int_equal(get(&z, 65, false), 416);   /* the smaller gap */
	assert_int_equal(get(&z, 300, false), 1024); /* fits in no gap */
	assert_int_equal(get(&z, 288, false), 512 + 224);
	assert_int_equal(get(&z, 512, false), 1536);
	/* 1024 has 192 left; crossing begins at the end of the last. */
	assert_int_equal(get(&z, 500, true), 2048);
	assert_int_equal(get(&z, 32, true), 1024 + 320);
	assert_int_equal(get(&z, 160, false), 1024 + 352);
	assert_int_equal(get(&z, 100, false), 2560);
	assert_int_equal(get(&z, 500, true), 2688);
	assert_int_equal(get(&z, 1025, false), 3200);
	assert_int_equal(ek_zone_alloc_blocks(&z, 3, &blk, &err), EK_OK);
	assert_int_equal(blk, 9);
	ek_zone_free(&z);
}

static void small_stays_in_a_block(void **state)
{
	struct ek_zone z;

	(void)state;
	ek_zone_init(&z, 4096);
	for (uint32_t i = 1; i < 3000; i++) {
		uint32_t n = i * 2654435761u % 4096 + 1;
		uint64_t pos = get(&z, n, false);

		assert_true(pos / 4096 == (pos + n - 1) / 4096);
	}
	ek_zone_free(&z);
}

/* Random requests do not overlap, and all other bytes stay zero. */
static void no_overlap(void **state)
{
	struct ek_zone z;
	uint64_t sum = 0, found = 0;
	uint8_t ones[5000];
	const uint8_t *p;
	size_t n;

	(void)state;
	memset(ones, 1, sizeof(ones));
	ek_zone_init(&z, 1024);
	for (uint32_t i = 1; i < 2000; i++) {
		uint32_t len = i * 2654435761u % 5000 + 1;

		ek_zone_write(&z, get(&z, len, i % 3 == 0), ones, len);
		sum += len;
	}
	for (size_t i = 0; (p = ek_zone_chunk(&z, i, &n)); i++)
		for (size_t k = 0; k < n; k++)
			found += p[k];
	assert_true(sum == found);
	assert_true(sum > 2u << 20);
	ek_zone_free(&z);
}

static void limit(void **state)
{
	struct ek_zone z;
	struct ek_err err;
	uint32_t blk;

	(void)state;
	ek_zone_init(&z, 512);
	assert_int_equal(ek_zone_alloc_blocks(&z, (1u << 24) + 1, &blk, &err),
			 EK_LIMIT);
	assert_int_equal(ek_zone_alloc_blocks(&z, UINT64_MAX, &blk, &err),
			 EK_LIMIT);
	ek_zone_free(&z);
}

const struct CMUnitTest zone_tests[] = {
	cmocka_unit_test(best_fit),
	cmocka_unit_test(small_stays_in_a_block),
	cmocka_unit_test(no_overlap),
	cmocka_unit_test(limit),
	UNIT_END,
};
