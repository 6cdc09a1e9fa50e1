/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "zmem.h"

#include "base/bytes.h"

extern const struct CMUnitTest ztail_tests[];

static struct ek_err err;

/* Section 6.7: the bytes lie right behind the pack of the last byte. */
static void test_inline_tail(void **state)
{
	static const struct ek_zpiece p[] = {
		{.la = 0, .blk = 9, .blocks = 1, .type = 1},
		{.la = 5000, .blocks = 1, .type = 1, .nodata = true}};
	struct ek_zhead h = {.advise = EK_ZADV_COMPACT_2B | EK_ZADV_INLINE,
			     .lclusterbits = 12,
			     .idata_size = 44};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	for (int layout = 1; layout <= 3; layout += 2) {
		h.advise = layout == 3 ? 9 : 8;
		zmem_init(&z, (uint8_t)layout, 12, 0x18060, 7000);
		assert_int_equal(zmem_pieces(&z, &h, p, 2, &err), EK_OK);
		assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 6999, &x, &err),
				 EK_OK);
		assert_int_equal(x.la, 5000);
		assert_true(x.inline_);
		assert_int_equal(x.kind, EK_Z_CODED);
		assert_int_equal(x.pa, layout == 3 ? 0x18090 : 0x180a0);
		assert_int_equal(x.plen, 44);
		assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 4999, &x, &err),
				 EK_OK);
		assert_false(x.inline_);
		assert_int_equal(x.pa, 9 * 4096);
		assert_int_equal(x.llen, 5000);
		zmem_free(&z);
	}
	/* 44 bytes at 0xff0: across a block. */
	h.advise = EK_ZADV_INLINE;
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0xfa0 + 0x10, 7000);
	assert_int_equal(zmem_pieces(&z, &h, p, 2, &err), EK_OK);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 6999, &x, &err),
			 EK_CORRUPT);
	zmem_free(&z);
}

/* Section 6.8: low bits in the header, high ones in the head. */
static void test_fragment_tail(void **state)
{
	struct ek_zpiece p[] = {
		{.la = 0, .blk = 9, .blocks = 1, .type = 1},
		{.la = 5000, .blk = 3, .blocks = 1, .type = 1, .nodata = true}};
	struct ek_zhead h = {.advise = EK_ZADV_FRAGMENT,
			     .lclusterbits = 12,
			     .fragoff = 0xfffffff0};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	for (int layout = 1; layout <= 3; layout += 2) {
		zmem_init(&z, (uint8_t)layout, 12, 0, 50000000);
		assert_int_equal(zmem_pieces(&z, &h, p, 2, &err), EK_OK);
		for (uint64_t la = 5000; la < 50000000; la += 1234567) {
			assert_int_equal(
				ek_zmap_lookup(&z.map, &z.cur, la, &x, &err),
				EK_OK);
			assert_int_equal(x.kind, EK_Z_FRAGMENT);
			assert_int_equal(x.la, 5000);
			assert_int_equal(x.llen, 50000000 - 5000);
			assert_true(x.pa == (layout == 3
						     ? 0xfffffff0
						     : UINT64_C(0x3fffffff0)));
		}
		zmem_free(&z);
	}
}

/*
 * Writers put a count of 0 blocks behind the head of a fragment, as a piece of
 * a file without blocks; behind another head it is damage.
 */
static void test_fragment_count(void **state)
{
	struct ek_zpiece p[] = {
		{.la = 0, .blk = 9, .blocks = 2, .type = 1},
		{.la = 9000, .blk = 3, .blocks = 1, .type = 1, .nodata = true}};
	struct ek_zhead h = {.advise = 6 | EK_ZADV_FRAGMENT,
			     .lclusterbits = 12};
	struct ek_zentry e;
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZCOMPACT, 12, 0, 5 * 4096);
	assert_int_equal(zmem_pieces(&z, &h, p, 2, &err), EK_OK);
	assert_int_equal(ek_get_le16(z.bytes + 8 + 8 + 2), 0x2801);
	zmem_free(&z);
	p[1].blocks = 0;
	assert_int_equal(zmem_pieces(&z, &h, p, 2, &err), EK_OK);
	assert_int_equal(ek_get_le16(z.bytes + 8 + 8 + 2), 0x2800);
	assert_int_equal(ek_zentry_load(&z.map, &z.cur, 3, &e, &err), EK_OK);
	assert_true(e.counted);
	assert_int_equal(e.cblks, 0);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 20479, &x, &err),
			 EK_OK);
	assert_int_equal(x.kind, EK_Z_FRAGMENT);
	assert_int_equal(x.la, 9000);
	z.bytes[8 + 2] = 0;
	z.cur.win_len = 0;
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 0, &x, &err),
			 EK_CORRUPT);
	zmem_free(&z);
}

static void test_whole_fragment(void **state)
{
	static const uint8_t head[8] = {1, 2, 0, 0, 0, 0, 0, 0x80};
	struct ek_zextent x;
	struct zmem z;

	(void)state;
	zmem_init(&z, EK_LAYOUT_ZFULL, 12, 0, UINT64_C(1) << 40);
	assert_int_equal(zmem_bytes(&z, head, 8, &err), EK_OK);
	assert_int_equal(ek_zmap_lookup(&z.map, &z.cur, 7, &x, &err), EK_OK);
	assert_int_equal(x.kind, EK_Z_FRAGMENT);
	assert_int_equal(x.la, 0);
	assert_true(x.llen == UINT64_C(1) << 40);
	assert_int_equal(x.pa, 0x201);
	assert_int_equal(z.reads, 0);
	zmem_free(&z);
}

const struct CMUnitTest ztail_tests[] = {
	cmocka_unit_test(test_inline_tail),
	cmocka_unit_test(test_fragment_tail),
	cmocka_unit_test(test_fragment_count),
	cmocka_unit_test(test_whole_fragment),
	UNIT_END,
};
