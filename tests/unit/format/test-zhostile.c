/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "zmem.h"

#include "base/bytes.h"

extern const struct CMUnitTest zhostile_tests[];

static struct ek_err err;

/* A full index. */
static void put(uint8_t *p, unsigned int lcn, uint16_t advise, uint16_t ofs,
		uint16_t a, uint16_t b)
{
	p += 16 + 8 * (size_t)lcn;
	ek_put_le16(p, advise);
	ek_put_le16(p + 2, ofs);
	ek_put_le16(p + 4, a);
	ek_put_le16(p + 6, b);
}

static ek_status lookup(struct zmem *z, const uint8_t *p, size_t n, uint64_t la)
{
	struct ek_zextent x;
	ek_status st = zmem_bytes(z, p, n, &err);

	if (st == EK_OK)
		st = ek_zmap_lookup(&z->map, &z->cur, la, &x, &err);
	return st;
}

static void test_full(void **state)
{
	uint8_t p[16 + 8 * 4] = {0};
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, 4 * 4096);
	put(p, 0, EK_ZT_HEAD1, 0, 5, 0);
	put(p, 1, EK_ZT_NONHEAD, 0, 1, 3);
	put(p, 2, EK_ZT_NONHEAD, 0, 2, 2);
	put(p, 3, EK_ZT_NONHEAD, 0, 3, 1);
	assert_int_equal(lookup(&z, p, sizeof(p), 16383), EK_OK);
	/* delta0: nothing, beyond the start, a loop back to itself. */
	put(p, 3, EK_ZT_NONHEAD, 0, 0, 1);
	assert_int_equal(lookup(&z, p, sizeof(p), 16383), EK_CORRUPT);
	put(p, 3, EK_ZT_NONHEAD, 0, 4, 1);
	assert_int_equal(lookup(&z, p, sizeof(p), 16383), EK_CORRUPT);
	put(p, 3, EK_ZT_NONHEAD, 0, 1, 1);
	assert_int_equal(lookup(&z, p, sizeof(p), 16383), EK_OK);
	/* delta1 0 of old writers is 1. */
	put(p, 1, EK_ZT_NONHEAD, 0, 1, 0);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_OK);
	/* A count without the BIG bit. */
	put(p, 1, EK_ZT_NONHEAD, 0, 0x802, 3);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	p[4] = EK_ZADV_BIG1;
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_OK);
	put(p, 1, EK_ZT_NONHEAD, 0, 0x800, 3);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	put(p, 1, EK_ZT_NONHEAD, 0, 1, 3); /* the bit without a count */
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	put(p, 1, EK_ZT_NONHEAD, 0, 0x800 | 257, 3);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_UNSUPPORTED);
	put(p, 1, EK_ZT_NONHEAD, 0, 0xffff, 3);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_UNSUPPORTED);
	/* clusterofs. */
	put(p, 1, EK_ZT_NONHEAD, 0, 0x801, 3);
	put(p, 0, EK_ZT_HEAD1, 4096, 5, 0);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	put(p, 0, EK_ZT_HEAD1, 1, 5, 0); /* byte 0 belongs to none */
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	/* Stored, but longer than its pcluster. */
	put(p, 0, EK_ZT_PLAIN, 0, 5, 0);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	zmem_free(&z);
}

/* Entries that hop back over a head, so that extents overlap. */
static void test_lying_delta(void **state)
{
	uint8_t p[16 + 8 * 4] = {0};
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, 4 * 4096);
	put(p, 0, EK_ZT_HEAD1, 0, 5, 0);
	put(p, 1, EK_ZT_HEAD1, 0, 6, 0);
	put(p, 2, EK_ZT_NONHEAD, 0, 2, 2);
	put(p, 3, EK_ZT_NONHEAD, 0, 2, 1);
	assert_int_equal(lookup(&z, p, sizeof(p), 3 * 4096), EK_OK);
	assert_int_equal(lookup(&z, p, sizeof(p), 2 * 4096), EK_CORRUPT);
	zmem_free(&z);
}

/* 64 MiB of lclusters that each say "one back": bounded, not walked. */
static void test_bounded(void **state)
{
	enum { N = 1 << 14 };
	uint8_t *p = calloc(1, 16 + 8 * N);
	struct zmem z;

	(void)state;
	assert_non_null(p);
	put(p, 0, EK_ZT_HEAD1, 0, 5, 0);
	for (unsigned int i = 1; i < N; i++)
		put(p, i, EK_ZT_NONHEAD, 0, 1, 1);
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, (uint64_t)N * 4096);
	z.reads = 0;
	assert_int_equal(lookup(&z, p, 16 + 8 * N, (uint64_t)N * 4096 - 1),
			 EK_UNSUPPORTED);
	assert_in_range(z.reads, 1, 200);
	assert_int_equal(lookup(&z, p, 16 + 8 * N, 0), EK_UNSUPPORTED);
	zmem_free(&z);
	free(p);
}

/* Extents of just 12 MiB and one byte more. */
static void test_extent_limit(void **state)
{
	struct ek_zpiece p = {.blk = 1, .blocks = 1, .type = EK_ZT_HEAD1};
	struct ek_zhead h = {.lclusterbits = 12};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, 0, 12 << 20);
	assert_int_equal(zmem_pieces(&z, &h, &p, 1, &err), EK_OK);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 1, &x, &err), EK_OK);
	zmem_free(&z);
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, 0, (12 << 20) + 1);
	assert_int_equal(zmem_pieces(&z, &h, &p, 1, &err), EK_OK);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 1, &x, &err),
			 EK_UNSUPPORTED);
	zmem_free(&z);
}

/* A 4-byte pack of two entries. */
static void put_pack(uint8_t *p, uint16_t a, uint16_t b, uint32_t base)
{
	ek_put_le16(p, a);
	ek_put_le16(p + 2, b);
	ek_put_le32(p + 4, base);
}

#define HEAD(ofs)   ((uint16_t)(EK_ZT_HEAD1 << 12 | (ofs)))
#define NONHEAD(lo) ((uint16_t)(EK_ZT_NONHEAD << 12 | (lo)))

static void test_compact(void **state)
{
	uint8_t p[8 + 8 * 2] = {0, 0, 0, 0, 6};
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, 0, 4 * 4096);
	put_pack(p + 8, HEAD(0), NONHEAD(0x802), 5);
	put_pack(p + 16, NONHEAD(2), HEAD(9), 7);
	assert_int_equal(lookup(&z, p, sizeof(p), 16383), EK_OK);
	/* Big: a distance of 0 or 1 behind a head that is not a count. */
	put_pack(p + 16, NONHEAD(1), HEAD(9), 7);
	assert_int_equal(lookup(&z, p, sizeof(p), 16383), EK_CORRUPT);
	put_pack(p + 16, NONHEAD(0), HEAD(9), 7);
	assert_int_equal(lookup(&z, p, sizeof(p), 16383), EK_CORRUPT);
	put_pack(p + 16, NONHEAD(2), HEAD(9), 7);
	put_pack(p + 8, HEAD(0), NONHEAD(0x800), 5);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	put_pack(p + 8, HEAD(0), NONHEAD(1), 5); /* no count */
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	/* Small: a count is none. */
	p[4] = 0;
	put_pack(p + 8, HEAD(0), NONHEAD(0x802), 5);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	/* Small: odd distances do not leave the pack, nor loop. */
	put_pack(p + 8, HEAD(0), NONHEAD(2), 5);
	put_pack(p + 16, NONHEAD(0xfff & ~0x800), HEAD(9), 7);
	assert_int_equal(lookup(&z, p, sizeof(p), 16383), EK_OK);
	put_pack(p + 16, NONHEAD(0), HEAD(9), 7);
	assert_int_equal(lookup(&z, p, sizeof(p), 16383), EK_OK);
	assert_int_equal(lookup(&z, p, sizeof(p), 8192), EK_CORRUPT);
	/* The first lcluster is no head. */
	put_pack(p + 8, NONHEAD(1), NONHEAD(1), 5);
	assert_int_equal(lookup(&z, p, sizeof(p), 0), EK_CORRUPT);
	assert_int_equal(lookup(&z, p, sizeof(p), 4096), EK_CORRUPT);
	zmem_free(&z);
}

/*
 * Any bytes: every look-up ends, and a good one is within its contract. Sizes
 * and places are such that all runs and records occur.
 */
static void test_noise(void **state)
{
	static const uint64_t sizes[] = {1, 4096, 100000, 700000};
	uint32_t seed = 99;
	uint8_t p[2048];
	struct zmem z;

	(void)state;
	for (int round = 0; round < 4000; round++) {
		uint64_t size = sizes[round % 4];
		struct ek_zextent x;

		for (size_t i = 0; i < sizeof(p); i++) {
			seed = seed * 1664525u + 1013904223u;
			p[i] = (uint8_t)(seed >> 24);
			if (round & 1 && i % 3)
				p[i] &= 3;
		}
		p[5] = 0;
		p[6] &= 0x33;
		p[7] = round & 16 ? p[7] & 1 : 0;
		zmem_init(&z, round & 8 ? 1 : 3, 12, 32 * (seed & 7), size);
		if (zmem_bytes(&z, p, sizeof(p), &err) != EK_OK) {
			zmem_free(&z);
			continue;
		}
		for (int k = 0; k < 8; k++) {
			uint64_t la = size * (unsigned int)k / 8;

			if (ek_zmap_lookup(&z.map, &z.cur, la, &x, &err) !=
			    EK_OK)
				continue;
			assert_true(x.la <= la && la - x.la < x.llen);
			assert_true(x.llen <= size - x.la);
			assert_true(x.plen <= EK_PCLUSTER_MAX);
		}
		assert_true(z.reads <= 10000);
		zmem_free(&z);
	}
}

/* Every byte of a good map, each bit flipped: no look-up goes astray. */
static void test_flips(void **state)
{
	struct ek_zpiece p[40];
	struct ek_zhead h = {.advise = 7, .lclusterbits = 12};
	struct zmem z;
	uint8_t good[512];
	size_t n;

	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		struct ek_zpiece q = {.la = i * 9000u,
				      .blk = 3 + 2 * i,
				      .blocks = 2,
				      .type = EK_ZT_HEAD1};

		p[i] = q;
	}
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, 0, 40 * 9000);
	for (unsigned int i = 0; i < 40; i++) {
		uint64_t lcn = p[i].la / 4096;
		uint64_t after = i < 39 ? p[i + 1].la / 4096 : 87;

		if (after == lcn + 1)
			p[i].blocks = 1;
		if (i)
			p[i].blk = p[i - 1].blk + p[i - 1].blocks;
	}
	assert_int_equal(zmem_pieces(&z, &h, p, 40, &err), EK_OK);
	n = z.n;
	assert_in_range(n, 100, sizeof(good));
	memcpy(good, z.bytes, n);
	for (size_t bit = 0; bit < 8 * n; bit++) {
		struct ek_zextent x;

		good[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (zmem_bytes(&z, good, n, &err) == EK_OK)
			for (uint64_t la = 0; la < 360000; la += 4001)
				if (ek_zmap_lookup(&z.map, &z.cur, la, &x,
						   &err) == EK_OK)
					assert_true(x.la <= la &&
						    la - x.la < x.llen);
		good[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	zmem_free(&z);
}

const struct CMUnitTest zhostile_tests[] = {
	cmocka_unit_test(test_full),	cmocka_unit_test(test_lying_delta),
	cmocka_unit_test(test_bounded), cmocka_unit_test(test_extent_limit),
	cmocka_unit_test(test_compact), cmocka_unit_test(test_noise),
	cmocka_unit_test(test_flips),	UNIT_END,
};
