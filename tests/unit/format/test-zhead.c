/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "format/zmap.h"

extern const struct CMUnitTest zhead_tests[];

static struct ek_err err;

static struct ek_sb sb_big(void)
{
	struct ek_sb sb = {.blkszbits = 12, .incompat = 3};

	return sb;
}

static ek_status decode(uint8_t layout, const char *bytes, struct ek_zhead *h)
{
	struct ek_sb sb = sb_big();

	return ek_zhead_decode(&sb, layout, (const uint8_t *)bytes, h, &err);
}

/* Decode, encode again, the same bytes. */
static struct ek_zhead turn(uint8_t layout, const char *bytes)
{
	struct ek_sb sb = sb_big();
	struct ek_zhead h;
	uint8_t p[8];

	assert_int_equal(decode(layout, bytes, &h), EK_OK);
	assert_false(h.reserved_nonzero);
	assert_int_equal(ek_zhead_encode(&sb, layout, &h, p, &err), EK_OK);
	assert_memory_equal(p, bytes, 8);
	return h;
}

static void test_forms(void **state)
{
	struct ek_zhead h;

	(void)state;
	h = turn(EK_LAYOUT_ZCOMPACT, "\0\0\0\0\7\0\x32\0");
	assert_int_equal(h.advise, 7);
	assert_int_equal(h.alg[0], EK_ALG_DEFLATE);
	assert_int_equal(h.alg[1], EK_ALG_ZSTD);
	assert_int_equal(h.lclusterbits, 12);
	h = turn(EK_LAYOUT_ZCOMPACT, "\0\0\x2c\0\x09\0\0\0");
	assert_int_equal(h.idata_size, 44);
	h = turn(EK_LAYOUT_ZFULL, "\4\3\2\1\x20\0\0\0");
	assert_int_equal(h.fragoff, 0x01020304);
	h = turn(EK_LAYOUT_ZFULL, "\4\3\2\1\0\0\1\x80");
	assert_true(h.whole_fragment);
	assert_true(h.fragoff == UINT64_C(0x0001000001020304));
	/* Section 6.9: 64 KiB lclusters of 4-byte records. */
	h = turn(EK_LAYOUT_ZFULL, "\0\0\0\0\1\0\0\4");
	assert_true(h.extents);
	assert_int_equal(h.recsz, 4);
	assert_int_equal(h.lclusterbits, 16);
	h = turn(EK_LAYOUT_ZFULL, "\2\0\0\0\5\0\0\0");
	assert_int_equal(h.recsz, 16);
	assert_int_equal(h.extent_count, 2);
	h = turn(EK_LAYOUT_ZFULL, "\2\0\0\0\x37\0\3\x7f");
	assert_int_equal(h.recsz, 32);
	assert_true(h.extent_count == UINT64_C(0x7f0300000002));
}

static void test_refused(void **state)
{
	struct ek_sb sb = {.blkszbits = 12, .incompat = 1};
	struct ek_zhead h;

	(void)state;
	assert_int_equal(decode(EK_LAYOUT_ZFULL, "\0\0\0\0\0\0\4\0", &h),
			 EK_UNSUPPORTED);
	assert_int_equal(decode(EK_LAYOUT_ZFULL, "\0\0\0\0\0\0\x40\0", &h),
			 EK_UNSUPPORTED);
	assert_int_equal(decode(EK_LAYOUT_ZCOMPACT, "\0\0\0\0\2\0\0\0", &h),
			 EK_CORRUPT);
	assert_int_equal(decode(EK_LAYOUT_ZCOMPACT, "\0\0\0\0\4\0\0\0", &h),
			 EK_CORRUPT);
	assert_int_equal(decode(EK_LAYOUT_ZFULL, "\0\0\0\0\4\0\0\0", &h),
			 EK_OK);
	assert_int_equal(ek_zhead_decode(&sb, EK_LAYOUT_ZFULL,
					 (const uint8_t *)"\0\0\0\0\4\0\0\0",
					 &h, &err),
			 EK_CORRUPT);
	assert_int_equal(decode(EK_LAYOUT_ZFULL, "\0\0\0\0\x08\0\0\0", &h),
			 EK_CORRUPT);
	/* 2-byte packs end at 4 KiB, 4-byte ones at 16 KiB. */
	assert_int_equal(decode(EK_LAYOUT_ZCOMPACT, "\0\0\0\0\1\0\0\1", &h),
			 EK_UNSUPPORTED);
	assert_int_equal(decode(EK_LAYOUT_ZCOMPACT, "\0\0\0\0\0\0\0\2", &h),
			 EK_OK);
	assert_int_equal(decode(EK_LAYOUT_ZCOMPACT, "\0\0\0\0\0\0\0\3", &h),
			 EK_UNSUPPORTED);
	/* Reserved bits are told, not refused. */
	assert_int_equal(decode(EK_LAYOUT_ZFULL, "\0\0\0\0\x40\0\0\0", &h),
			 EK_OK);
	assert_true(h.reserved_nonzero);
	assert_int_equal(decode(EK_LAYOUT_ZFULL, "\0\0\0\0\0\0\0\x10", &h),
			 EK_OK);
	assert_true(h.reserved_nonzero);
	/* The fragment wins over the inline tail. */
	assert_int_equal(decode(EK_LAYOUT_ZFULL, "\1\0\2\0\x28\0\0\0", &h),
			 EK_OK);
	assert_int_equal(h.idata_size, 0);
	assert_int_equal(h.fragoff, 0x20001);
}

static void test_encode_refuses(void **state)
{
	struct ek_sb sb = sb_big();
	struct ek_zhead h = {.lclusterbits = 12};
	uint8_t p[8];

	(void)state;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_OK);
	h.advise = EK_ZADV_INLINE | EK_ZADV_FRAGMENT;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_INVALID);
	h.advise = EK_ZADV_FRAGMENT;
	h.fragoff = UINT64_C(1) << 32;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_OK);
	assert_int_equal(ek_zhead_encode(&sb, 3, &h, p, &err), EK_INVALID);
	h.advise = EK_ZADV_EXTENTS;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_INVALID);
	h.extents = true;
	h.recsz = 16;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_INVALID);
	h.advise = EK_ZADV_EXTENTS | 2 << EK_ZADV_RECSZ_SHIFT;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_OK);
	h.extent_count = UINT64_C(1) << 47;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_INVALID);
	memset(&h, 0, sizeof(h));
	h.lclusterbits = 11;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_INVALID);
	h.lclusterbits = 28;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_INVALID);
	h.whole_fragment = true;
	h.fragoff = UINT64_C(1) << 63;
	assert_int_equal(ek_zhead_encode(&sb, 1, &h, p, &err), EK_INVALID);
}

static void geom(uint64_t body_end, uint64_t size, uint16_t advise,
		 struct ek_zgeom *g)
{
	struct ek_sb sb = sb_big();
	struct ek_zhead h = {.lclusterbits = 12, .advise = advise};

	assert_int_equal(ek_zgeom_init(&sb, EK_LAYOUT_ZCOMPACT, &h, size,
				       body_end, g, &err),
			 EK_OK);
}

/* The counts of section 6.4 and of its two examples. */
static void test_geometry(void **state)
{
	struct ek_zgeom g;
	uint64_t pos;
	uint32_t len, slot;

	(void)state;
	geom(0x500, 108894, 1, &g);
	assert_int_equal(g.head_pos, 0x500);
	assert_int_equal(g.base, 0x508);
	assert_int_equal(g.total, 27);
	assert_int_equal(g.n1, 6);
	assert_int_equal(g.n2, 16);
	assert_int_equal(g.n3, 5);
	assert_int_equal(g.end, 0x558);
	ek_zgeom_entry(&g, 5, &pos, &len, &slot);
	assert_int_equal(pos, 0x518);
	assert_int_equal(len, 8);
	assert_int_equal(slot, 1);
	ek_zgeom_entry(&g, 21, &pos, &len, &slot);
	assert_int_equal(pos, 0x520);
	assert_int_equal(len, 32);
	assert_int_equal(slot, 15);
	ek_zgeom_entry(&g, 26, &pos, &len, &slot);
	assert_int_equal(pos, 0x550);
	assert_int_equal(slot, 0);
	/* One pack although c4i is 6. */
	geom(0x18080, 7000, 1, &g);
	assert_int_equal(g.n1, 2);
	assert_int_equal(g.end, 0x18090);
	geom(0x500, 108894, 0, &g);
	assert_int_equal(g.n1, 27);
	assert_int_equal(g.end, 0x508 + 14 * 8);
	for (uint64_t at = 0x500; at < 0x520; at += 8) {
		geom(at, 100 * 4096, 1, &g);
		assert_int_equal((g.base + 4 * g.n1) % 32, 0);
		assert_true(g.n1 <= 6);
	}
}

static void test_geometry_limits(void **state)
{
	struct ek_sb sb = sb_big();
	struct ek_zhead h = {.lclusterbits = 12};
	struct ek_zgeom g;

	(void)state;
	for (uint8_t layout = 1; layout <= 3; layout += 2) {
		assert_int_equal(
			ek_zgeom_init(&sb, layout, &h, INT64_MAX, 0, &g, &err),
			EK_OK);
		assert_int_equal(ek_zgeom_init(&sb, layout, &h, INT64_MAX,
					       INT64_MAX - 100, &g, &err),
				 EK_CORRUPT);
		assert_int_equal(
			ek_zgeom_init(&sb, layout, &h, 1, UINT64_MAX, &g, &err),
			EK_CORRUPT);
	}
	h.extents = true;
	h.recsz = 32;
	h.extent_count = UINT64_C(1) << 46;
	assert_int_equal(ek_zgeom_init(&sb, 1, &h, 1, 0, &g, &err), EK_OK);
	assert_int_equal(
		ek_zgeom_init(&sb, 1, &h, 1, INT64_MAX - 1000, &g, &err),
		EK_CORRUPT);
}

const struct CMUnitTest zhead_tests[] = {
	cmocka_unit_test(test_forms),		cmocka_unit_test(test_refused),
	cmocka_unit_test(test_encode_refuses),	cmocka_unit_test(test_geometry),
	cmocka_unit_test(test_geometry_limits), UNIT_END,
};
