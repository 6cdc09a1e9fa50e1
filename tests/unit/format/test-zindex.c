/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "zmem.h"

#include "base/bytes.h"

extern const struct CMUnitTest zindex_tests[];

static struct ek_err err;

/* The two vectors of section 6.5: 108894 bytes, ebase 0x508. */
#define VECTOR_SIZE 108894u
#define VECTOR_ILOC 0x4e0u

static const uint8_t small_bytes[] = {
	0,
	0,
	0,
	0,
	1,
	0,
	0,
	0,
	/* 4-byte packs at 0x508 */
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	2,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	4,
	0,
	0,
	0,
	/* a 2-byte pack at 0x520 */
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0x84,
	0x4d,
	0x85,
	0x71,
	0x01,
	0xe0,
	0xeb,
	0x44,
	0xb0,
	0x05,
	0x80,
	0x57,
	0xd2,
	0x6a,
	0x16,
	0x00,
	0xf2,
	0x43,
	6,
	0,
	0,
	0,
	/* 4-byte packs at 0x540 */
	0x48,
	0x18,
	0x8d,
	0x1f,
	0x13,
	0,
	0,
	0,
	0x01,
	0x20,
	0xde,
	0x16,
	0x15,
	0,
	0,
	0,
	0x5e,
	0x09,
	0,
	0,
	0x16,
	0,
	0,
	0,
};

static const uint8_t big_bytes[] = {
	0,
	0,
	0,
	0,
	7,
	0,
	0,
	0,
	/* 4-byte packs at 0x508, 0x510 */
	0x00,
	0x10,
	0x04,
	0x28,
	0x01,
	0,
	0,
	0,
	0x02,
	0x20,
	0x01,
	0x20,
	0x05,
	0,
	0,
	0,
	0xa6,
	0x00,
	0xa6,
	0x00,
	0x05,
	0,
	0,
	0,
	0xa6,
	0x80,
	0x29,
	0x60,
	0x0a,
	0x98,
	0x02,
	0xa6,
	0x10,
	0x01,
	0x2a,
	0x00,
	0x0e,
	0x80,
	0xfb,
	0x1f,
	0x01,
	0x2a,
	0x00,
	0x0e,
	0x80,
	0x04,
	0x60,
	0x01,
	0x48,
	0xeb,
	0x11,
	0xa0,
	0x07,
	0,
	0,
	0,
	0x02,
	0x20,
	0x03,
	0x20,
	0x17,
	0,
	0,
	0,
	0x04,
	0x20,
	0x01,
	0x20,
	0x17,
	0,
	0,
	0,
	0x5e,
	0x09,
	0x00,
	0x00,
	0x17,
	0,
	0,
	0,
};

#define P(lcn, ofs, at, n, t)                                                  \
	{                                                                      \
		.la = (lcn)*4096u + (ofs), .blk = (at), .blocks = (n),         \
		.type = (t)                                                    \
	}

static const struct ek_zpiece small_pieces[] = {
	P(0, 0, 1, 1, 0),      P(1, 0, 2, 1, 0),      P(2, 0, 3, 1, 0),
	P(3, 0, 4, 1, 0),      P(4, 0, 5, 1, 0),      P(5, 0, 6, 1, 0),
	P(6, 0, 7, 1, 0),      P(7, 0, 8, 1, 0),      P(8, 0, 9, 1, 0),
	P(9, 0, 10, 1, 0),     P(10, 0, 11, 1, 0),    P(11, 0, 12, 1, 1),
	P(12, 1240, 13, 1, 1), P(13, 3169, 14, 1, 1), P(15, 943, 15, 1, 1),
	P(16, 2820, 16, 1, 1), P(18, 599, 17, 1, 1),  P(19, 2475, 18, 1, 1),
	P(21, 252, 19, 1, 1),  P(22, 2120, 20, 1, 1), P(23, 3981, 21, 1, 1),
	P(25, 1758, 22, 1, 1),
};

static const struct ek_zpiece big_pieces[] = {
	P(0, 0, 1, 4, 1),      P(4, 166, 5, 1, 0),   P(5, 166, 6, 1, 0),
	P(6, 166, 7, 1, 0),    P(7, 166, 8, 1, 0),   P(8, 166, 9, 1, 0),
	P(9, 166, 10, 1, 0),   P(10, 166, 11, 4, 1), P(14, 4091, 15, 4, 1),
	P(20, 3764, 19, 4, 1),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Every piece is found from each of its ends. */
static void check_lookup(struct zmem *z, const struct ek_zpiece *p, size_t n)
{
	struct ek_zextent x;

	for (size_t i = 0; i < n; i++) {
		uint64_t end = i + 1 < n ? p[i + 1].la : z->in.size;
		uint64_t probes[3] = {p[i].la, (p[i].la + end) / 2, end - 1};

		for (int k = 0; k < 3; k++) {
			assert_int_equal(ek_zmap_lookup(&z->map, &z->cur,
							probes[k], &x, &err),
					 EK_OK);
			assert_int_equal(x.la, p[i].la);
			assert_int_equal(x.llen, end - p[i].la);
			assert_int_equal(x.pa, p[i].blk * 4096);
			assert_int_equal(x.plen, p[i].blocks * 4096);
			assert_int_equal(x.kind, p[i].type == EK_ZT_PLAIN
							 ? EK_Z_PLAIN
							 : EK_Z_CODED);
			assert_int_equal(x.alg, EK_ALG_LZ4);
			assert_false(x.partial || x.inline_);
		}
	}
	assert_int_equal(ek_zmap_lookup(&z->map, &z->cur, z->in.size, &x, &err),
			 EK_INVALID);
}

static void test_small_vector(void **state)
{
	struct ek_zhead h = {.advise = 1, .lclusterbits = 12};
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, VECTOR_ILOC, VECTOR_SIZE);
	assert_int_equal(zmem_bytes(&z, small_bytes, sizeof(small_bytes), &err),
			 EK_OK);
	check_lookup(&z, small_pieces, COUNT(small_pieces));
	assert_true(ek_zindex_compact_ok(small_pieces, COUNT(small_pieces)));
	assert_int_equal(
		zmem_pieces(&z, &h, small_pieces, COUNT(small_pieces), &err),
		EK_OK);
	assert_int_equal(z.n, sizeof(small_bytes));
	assert_memory_equal(z.bytes, small_bytes, sizeof(small_bytes));
	zmem_free(&z);
}

static void test_big_vector(void **state)
{
	struct ek_zhead h = {.advise = 7, .lclusterbits = 12};
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, VECTOR_ILOC, VECTOR_SIZE);
	assert_int_equal(zmem_bytes(&z, big_bytes, sizeof(big_bytes), &err),
			 EK_OK);
	check_lookup(&z, big_pieces, COUNT(big_pieces));
	assert_int_equal(
		zmem_pieces(&z, &h, big_pieces, COUNT(big_pieces), &err),
		EK_OK);
	assert_int_equal(z.n, sizeof(big_bytes));
	assert_memory_equal(z.bytes, big_bytes, sizeof(big_bytes));
	zmem_free(&z);
}

/* Entries of the second vector, as section 6.5 lists them. */
static void test_big_entries(void **state)
{
	static const struct {
		uint8_t lcn, type;
		uint16_t ofs, blk, cblks, delta0, delta1;
	} want[] = {
		{0, 1, 0, 1, 0, 0, 0},	    {1, 2, 0, 0, 4, 1, 1},
		{2, 2, 0, 0, 0, 2, 2},	    {3, 2, 0, 0, 0, 3, 1},
		{4, 0, 166, 5, 0, 0, 0},    {10, 1, 166, 11, 0, 0, 0},
		{11, 2, 0, 0, 4, 1, 3},	    {13, 2, 0, 0, 0, 3, 1},
		{14, 1, 4091, 15, 0, 0, 0}, {20, 1, 3764, 19, 0, 0, 0},
		{21, 2, 0, 0, 4, 1, 1},	    {22, 2, 0, 0, 0, 2, 4},
		{25, 2, 0, 0, 0, 5, 1},	    {26, 0, 2398, 23, 0, 0, 0},
	};
	struct ek_zentry e;
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, VECTOR_ILOC, VECTOR_SIZE);
	assert_int_equal(zmem_bytes(&z, big_bytes, sizeof(big_bytes), &err),
			 EK_OK);
	for (size_t i = 0; i < COUNT(want); i++) {
		assert_int_equal(
			ek_zentry_load(&z.map, &z.cur, want[i].lcn, &e, &err),
			EK_OK);
		assert_int_equal(e.type, want[i].type);
		assert_int_equal(e.clusterofs, want[i].ofs);
		assert_int_equal(e.blk, want[i].blk);
		assert_int_equal(e.cblks, want[i].cblks);
		assert_int_equal(e.delta0, want[i].delta0);
		assert_int_equal(e.delta1, want[i].delta1);
	}
	assert_int_equal(ek_zentry_load(&z.map, &z.cur, 27, &e, &err),
			 EK_CORRUPT);
	zmem_free(&z);
}

/* Full indexes of a file of 2.5 lclusters, byte for byte. */
static void test_full_bytes(void **state)
{
	static const struct ek_zpiece p[] = {
		{.la = 0, .blk = 7, .blocks = 2, .type = 1, .partial = true}};
	static const uint8_t want[] = {
		0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0, 0,
		7, 0, 0, 0, 2, 0, 0, 0, 2, 8, 1, 0, 0, 0, 0, 8, 0, 0,	 0, 0};
	struct ek_zhead h = {.advise = EK_ZADV_BIG1, .lclusterbits = 12};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, 2 * 4096 + 2048);
	assert_int_equal(zmem_pieces(&z, &h, p, 1, &err), EK_OK);
	assert_int_equal(z.n, sizeof(want));
	assert_memory_equal(z.bytes, want, sizeof(want));
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 9000, &x, &err), EK_OK);
	assert_true(x.partial);
	assert_int_equal(x.llen, 10240);
	assert_int_equal(x.plen, 8192);
	zmem_free(&z);
}

static void encode_refused(uint8_t layout, uint16_t advise,
			   const struct ek_zpiece *p, size_t n)
{
	struct ek_zhead h = {.advise = advise, .lclusterbits = 12};
	struct zmem z;

	zmem_init(&z, layout, 12, 0, 20000);
	assert_int_equal(zmem_pieces(&z, &h, p, n, &err), EK_INVALID);
	zmem_free(&z);
}

static void test_encode_refuses(void **state)
{
	struct ek_zpiece p[3] = {P(0, 0, 1, 1, 1), P(2, 0, 2, 1, 1),
				 P(4, 0, 3, 1, 1)};
	struct ek_zhead h = {.lclusterbits = 12};
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, 0, 20000);
	assert_int_equal(zmem_pieces(&z, &h, p, 3, &err), EK_OK);
	zmem_free(&z);
	encode_refused(1, 0, p, 0);
	encode_refused(1, 0, p + 1, 2); /* not from byte 0 */
	p[1].la = 4 * 4096 + 1;		/* not in order */
	encode_refused(1, 0, p, 3);
	p[1].la = 4 * 4096 - 1;
	p[2].la = 4 * 4096 - 1; /* two in one lcluster */
	encode_refused(1, 0, p, 3);
	p[1].la = 2 * 4096;
	p[2].la = 20000; /* beyond the end */
	encode_refused(1, 0, p, 3);
	p[2].la = 4 * 4096;
	p[2].blk = 4; /* a gap */
	encode_refused(3, 0, p, 3);
	assert_false(ek_zindex_compact_ok(p, 3));
	p[2].blk = 3;
	assert_true(ek_zindex_compact_ok(p, 3));
	p[0].partial = true;
	encode_refused(3, 0, p, 3);
	assert_false(ek_zindex_compact_ok(p, 3));
	p[0].partial = false;
	p[0].blocks = 2; /* without the bit of its type */
	encode_refused(1, EK_ZADV_BIG2, p, 3);
	p[0].blocks = 1;
	p[2].blocks = 2; /* in the last lcluster */
	encode_refused(1, EK_ZADV_BIG1, p, 3);
	p[2].blocks = 0;
	encode_refused(1, EK_ZADV_BIG1, p, 3);
	p[2].nodata = true; /* no lcluster for a count of 0 */
	encode_refused(1, EK_ZADV_BIG1, p, 3);
	p[2].nodata = false;
	p[2].blocks = 1;
	p[0].blocks = 0x800; /* would be no count */
	encode_refused(1, EK_ZADV_BIG1, p, 3);
	p[0].blocks = 1;
	p[2].blk = UINT64_C(1) << 32;
	encode_refused(1, 0, p, 3);
	p[2].blk = 3;
	p[1].type = EK_ZT_NONHEAD;
	encode_refused(1, 0, p, 3);
}

/* Addresses wrap on the disk: block 0 has base -1. */
static void test_block_zero(void **state)
{
	static const struct ek_zpiece p[] = {P(0, 0, 0, 1, 1)};
	struct ek_zhead h = {.lclusterbits = 12};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, 0, 4096);
	assert_int_equal(zmem_pieces(&z, &h, p, 1, &err), EK_OK);
	assert_memory_equal(z.bytes + 12, "\xff\xff\xff\xff", 4);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 0, &x, &err), EK_OK);
	assert_int_equal(x.pa, 0);
	zmem_free(&z);
}

static void test_kinds(void **state)
{
	static const struct ek_zpiece p[] = {P(0, 0, 5, 1, 0), P(1, 0, 6, 1, 3),
					     P(2, 0, 7, 1, 1)};
	struct ek_zhead h = {.lclusterbits = 12,
			     .advise = EK_ZADV_INTERLACED,
			     .alg = {EK_ALG_LZMA, EK_ALG_ZSTD}};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, 12288);
	assert_int_equal(zmem_pieces(&z, &h, p, 3, &err), EK_OK);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 1, &x, &err), EK_OK);
	assert_int_equal(x.kind, EK_Z_INTERLACED);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 4096, &x, &err), EK_OK);
	assert_int_equal(x.kind, EK_Z_CODED);
	assert_int_equal(x.alg, EK_ALG_ZSTD);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 8192, &x, &err), EK_OK);
	assert_int_equal(x.alg, EK_ALG_LZMA);
	z.map.algs = 1;
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 8192, &x, &err),
			 EK_CORRUPT);
	/* A hole head, as Linux 7.2 writes it. */
	z.bytes[16 + 8 + 1] |= EK_ZDI_HOLE >> 8;
	z.cur.win_len = 0;
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 4096, &x, &err), EK_OK);
	assert_int_equal(x.kind, EK_Z_HOLE);
	assert_int_equal(x.llen, 4096);
	assert_int_equal(x.plen, 0);
	zmem_free(&z);
}

const struct CMUnitTest zindex_tests[] = {
	cmocka_unit_test(test_small_vector),
	cmocka_unit_test(test_big_vector),
	cmocka_unit_test(test_big_entries),
	cmocka_unit_test(test_full_bytes),
	cmocka_unit_test(test_encode_refuses),
	cmocka_unit_test(test_block_zero),
	cmocka_unit_test(test_kinds),
	UNIT_END,
};
