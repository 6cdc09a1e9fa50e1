/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "zmem.h"

#include "base/bytes.h"

extern const struct CMUnitTest zextent_tests[];

static struct ek_err err;

static void expect(struct zmem *z, uint64_t at, uint64_t la, uint64_t llen,
		   uint64_t pa, uint32_t plen, uint8_t kind)
{
	struct ek_zextent x;

	assert_int_equal(ek_zmap_lookup(&z->map, &z->cur, at, &x, &err), EK_OK);
	assert_true(x.la == la);
	assert_true(x.llen == llen);
	assert_true(x.pa == pa);
	assert_int_equal(x.plen, plen);
	assert_int_equal(x.kind, kind);
}

/* Section 6.9: -E48bit -zzstd -C65536. */
static void test_r4_vector(void **state)
{
	static const uint8_t bytes[] = {
		0, 0, 0, 0, 1,	  0,	0, 4,	 0,    0x10, 0, 0,
		0, 0, 0, 0, 0x8c, 0xca, 0, 0x40, 0xd3, 0x1c, 0, 0x40};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0x4e0, 108894);
	assert_int_equal(zmem_bytes(&z, bytes, sizeof(bytes), &err), EK_OK);
	assert_int_equal(z.map.geom.end, 0x500 + sizeof(bytes));
	expect(&z, 108893, 65536, 43358, 0x1000 + 51852, 7379, EK_Z_CODED);
	expect(&z, 0, 0, 65536, 0x1000, 51852, EK_Z_CODED);
	expect(&z, 65536, 65536, 43358, 0x1000 + 51852, 7379, EK_Z_CODED);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 9, &x, &err), EK_OK);
	assert_int_equal(x.alg, EK_ALG_ZSTD);
	assert_int_equal(z.reads, 1);
	zmem_free(&z);
}

/* Section 6.9: -E48bit -zlz4 -C65536; records at 0x530. */
static void test_r16_vector(void **state)
{
	static const uint8_t bytes[] = {
		2,    0,    0,	  0,	5,    0,    0,	  0,	0,    0,
		0,    0,    0,	  0,	0,    0,    0x00, 0x00, 0x01, 0x10,
		0x00, 0x10, 0,	  0,	0,    0,    0,	  0,	0,    0,
		0,    0,    0x00, 0x60, 0x00, 0x10, 0x00, 0x10, 0x01, 0,
		0,    0,    0,	  0,	0x47, 0x20, 0x01, 0x00};
	struct ek_zrecord r;
	struct ek_zextent x;
	struct zmem z;
	uint8_t back[16];

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0x500, 108894);
	assert_int_equal(zmem_bytes(&z, bytes, sizeof(bytes), &err), EK_OK);
	assert_int_equal(z.map.geom.base, 0x530);
	expect(&z, 0, 0, 73799, 0x1000, 65536, EK_Z_CODED);
	expect(&z, 73798, 0, 73799, 0x1000, 65536, EK_Z_CODED);
	expect(&z, 73799, 73799, 35095, 0x11000, 24576, EK_Z_CODED);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 9, &x, &err), EK_OK);
	assert_int_equal(x.alg, EK_ALG_LZ4);
	ek_zrecord_decode(16, bytes + 32, &r);
	ek_zrecord_encode(16, &r, back);
	assert_memory_equal(back, bytes + 32, 16);
	zmem_free(&z);
}

static void head_of(uint8_t recsz, uint16_t advise, uint64_t count, uint8_t *p)
{
	struct ek_sb sb = {.blkszbits = 12, .incompat = 3};
	struct ek_zhead h = {.extents = true,
			     .recsz = recsz,
			     .lclusterbits = 14,
			     .extent_count = count};

	h.advise = EK_ZADV_EXTENTS | advise;
	for (unsigned int r = 4; r < recsz; r <<= 1)
		h.advise = (uint16_t)(h.advise + 2);
	assert_int_equal(ek_zhead_encode(&sb, EK_LAYOUT_ZFULL, &h, p, &err),
			 EK_OK);
}

static void test_r8(void **state)
{
	struct ek_zrecord r[3] = {
		{.plen = 100 | 1u << 28 | EK_ZX_PARTIAL, .pa = 0xfffffffe},
		{.plen = 0},
		{.plen = 8192, .pa = 8192}};
	struct ek_zextent x;
	uint8_t p[8 + 24];
	struct zmem z;

	(void)state;
	head_of(8, EK_ZADV_INTERLACED, 0, p);
	for (int i = 0; i < 3; i++)
		ek_zrecord_encode(8, &r[i], p + 8 + 8 * i);
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, 2 * 16384 + 5000);
	assert_int_equal(zmem_bytes(&z, p, sizeof(p), &err), EK_OK);
	expect(&z, 16383, 0, 16384, 0xfffffffe, 100, EK_Z_CODED);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 0, &x, &err), EK_OK);
	assert_true(x.partial);
	expect(&z, 16384, 16384, 16384, 0, 0, EK_Z_HOLE);
	expect(&z, 37767, 32768, 5000, 8192, 8192, EK_Z_INTERLACED);
	z.bytes[8 + 16 + 4] = 1; /* not aligned: shifted */
	z.cur.win_len = 0;
	expect(&z, 32768, 32768, 5000, 8193, 8192, EK_Z_PLAIN);
	ek_put_le32(z.bytes + 8 + 16, 4999); /* shorter than the extent */
	z.cur.win_len = 0;
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 32768, &x, &err),
			 EK_CORRUPT);
	zmem_free(&z);
}

static void test_r32(void **state)
{
	uint64_t g = UINT64_C(1) << 33;
	struct ek_zrecord r[3] = {
		{.plen = 4096 | 1u << 28, .pa = g, .la = 100},
		{.plen = 4096 | 2u << 28, .pa = 2 * g + 1, .la = 200},
		{.plen = 0x89abcdef, .pa = 0x1234567, .la = g}};
	uint8_t p[24 + 96] = {0};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	head_of(32, EK_ZADV_FRAGMENT, 3, p);
	for (int i = 0; i < 3; i++)
		ek_zrecord_encode(32, &r[i], p + 24 + 32 * i);
	/* The header ends at 0x28, the records begin at 0x40. */
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0x8, g + 7);
	assert_int_equal(zmem_bytes(&z, p, sizeof(p), &err), EK_OK);
	assert_int_equal(z.map.geom.base - z.map.geom.head_pos, 24);
	expect(&z, 0, 0, 100, 0, 0, EK_Z_HOLE);
	expect(&z, 99, 0, 100, 0, 0, EK_Z_HOLE);
	expect(&z, 100, 100, 100, g, 4096, EK_Z_CODED);
	expect(&z, g, g, 7, UINT64_C(0x0123456789abcdef), 0, EK_Z_FRAGMENT);
	/* 8 GiB less 200 bytes are no extent. */
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 200, &x, &err),
			 EK_UNSUPPORTED);
	zmem_free(&z);
}

/* Every plain number of section 6.9 beyond its limit. */
static void test_hostile_records(void **state)
{
	static const struct {
		uint32_t plen;
		uint64_t pa;
		ek_status want;
	} cases[] = {
		{0x100000 | 1u << 28, 0, EK_OK},
		{0x100001 | 1u << 28, 0, EK_UNSUPPORTED},
		{0x1fffff, 0, EK_UNSUPPORTED},
		{4096 | 5u << 28, 0, EK_UNSUPPORTED},
		{4096 | 15u << 28, 0, EK_UNSUPPORTED},
		{4096 | 4u << 28, 0, EK_OK},
		{4096 | 1u << 28, UINT64_MAX, EK_CORRUPT},
		{4096 | 1u << 28, UINT64_C(1) << 60, EK_CORRUPT},
	};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ek_zrecord r = {.plen = cases[i].plen,
				       .pa = cases[i].pa};
		uint8_t p[16 + 16] = {0};

		head_of(16, 0, 1, p);
		ek_zrecord_encode(16, &r, p + 16);
		zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, 4000);
		assert_int_equal(zmem_bytes(&z, p, sizeof(p), &err), EK_OK);
		assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 0, &x, &err),
				 cases[i].want);
		zmem_free(&z);
	}
}

static void test_no_records(void **state)
{
	uint8_t p[8];
	struct zmem z;

	(void)state;
	head_of(16, EK_ZADV_FRAGMENT, 0, p);
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, 4000);
	assert_int_equal(zmem_bytes(&z, p, sizeof(p), &err), EK_OK);
	expect(&z, 5, 0, 4000, 0, 0, EK_Z_HOLE);
	zmem_free(&z);
}

static void test_unsorted(void **state)
{
	struct ek_zrecord r = {.plen = 4096 | 1u << 28, .pa = 4096, .la = 50};
	uint8_t p[16 + 32] = {0};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	head_of(16, 0, 2, p);
	ek_zrecord_encode(16, &r, p + 16);
	ek_zrecord_encode(16, &r, p + 32);
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, 4000);
	assert_int_equal(zmem_bytes(&z, p, sizeof(p), &err), EK_OK);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 60, &x, &err),
			 EK_CORRUPT);
	zmem_free(&z);
}

/* A cut table is an error of the read, for every place of the cut. */
static void test_cut(void **state)
{
	static const uint8_t bytes[] = {
		0, 0, 0, 0, 1,	  0,	0, 4,	 0,    0x10, 0, 0,
		0, 0, 0, 0, 0x8c, 0xca, 0, 0x40, 0xd3, 0x1c, 0, 0x40};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	for (size_t n = 8; n < sizeof(bytes); n++) {
		zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0x4e0, 108894);
		assert_int_equal(zmem_bytes(&z, bytes, n, &err), EK_OK);
		assert_int_equal(
			ek_zmap_lookup(&z.map, &z.cur, 108893, &x, &err),
			EK_CORRUPT);
		zmem_free(&z);
	}
}

const struct CMUnitTest zextent_tests[] = {
	cmocka_unit_test(test_r4_vector),
	cmocka_unit_test(test_r16_vector),
	cmocka_unit_test(test_r8),
	cmocka_unit_test(test_r32),
	cmocka_unit_test(test_hostile_records),
	cmocka_unit_test(test_no_records),
	cmocka_unit_test(test_unsorted),
	cmocka_unit_test(test_cut),
	UNIT_END,
};
