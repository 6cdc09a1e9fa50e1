/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

/* Encoded extents (6.9): the four sizes of records. */

#define AFTER(m, slot, in)                                                     \
	(ek_zhead_pos(img_pos(slot) + ek_inode_body(in)) + EK_ZHEAD_SIZE)
#define FMT(alg) ((uint32_t)((alg) + 1) << EK_ZX_FMT_SHIFT)

static uint8_t got[8 * IMG_BS];

static struct img *extents_img(void)
{
	struct img *m = img_new();

	m->sb.incompat = EK_INCOMPAT_LZ4_0PADDING | EK_INCOMPAT_COMPR_CFGS |
			 EK_INCOMPAT_FRAGMENTS | EK_INCOMPAT_48BIT;
	m->cfgs.algs = 0xf;
	return m;
}

static void put_header(struct img *m, uint64_t after, unsigned recsz_bits,
		       uint16_t advise, uint32_t count, uint8_t clusterbits)
{
	uint8_t *p = m->bytes + after - EK_ZHEAD_SIZE;

	memset(p, 0, EK_ZHEAD_SIZE);
	ek_put_le32(p, count);
	ek_put_le16(p + 4, (uint16_t)(advise | EK_ZADV_EXTENTS |
				      recsz_bits << EK_ZADV_RECSZ_SHIFT));
	p[7] = clusterbits;
}

/* A stored deflate stream of @n bytes of pattern @seed at byte @pa. */
static uint32_t put_stream(struct img *m, uint64_t pa, unsigned seed,
			   uint64_t from, size_t n)
{
	static uint8_t raw[8 * IMG_BS];

	img_fill(raw, seed, from, n);
	return (uint32_t)img_deflate(raw, n, m->bytes + pa) |
	       FMT(EK_ALG_DEFLATE);
}

/* Hole, deflate at an odd place, plain, fragment. */
static void sorted(void **state)
{
	static const unsigned sizes[] = {16, 32};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct img *m = extents_img();
		struct ek_inode in = img_file(EK_LAYOUT_ZFULL, 9000);
		struct ek_inode packed = img_file(EK_LAYOUT_PLAIN, 2000);
		uint64_t after = AFTER(m, 1, &in);
		struct ek_zrecord r[3] = {
			{.la = 100}, {.la = 5000}, {.la = 8000}};
		uint8_t *p = m->bytes + ek_round_up(after, sizes[i]);
		struct ek_node node;
		struct ek_extent x;

		m->sb.packed_nid = img_nid(9);
		packed.start = 50;
		img_put(m, 9, &packed, NULL);
		img_fill(img_block(m, 50), 3, 0, 2000);
		img_put(m, 1, &in, "sorted");
		put_header(m, after, 2 + i, EK_ZADV_FRAGMENT, 3, 0);
		r[0].pa = 8 * IMG_BS + 777;
		r[0].plen = put_stream(m, r[0].pa, 1, 100, 4900);
		r[1].pa = 12 * IMG_BS;
		r[1].plen = IMG_BS;
		img_fill(img_block(m, 12), 1, 5000, 3000);
		r[2].plen = 1000; /* of a fragment: its offset */
		for (unsigned k = 0; k < 3; k++)
			ek_zrecord_encode((uint8_t)sizes[i], &r[k],
					  p + k * sizes[i]);
		img_must_open(m);
		node = img_node(m, 1);
		memset(got, 1, sizeof(got));
		assert_int_equal(
			ek_image_read(m->image, &node, 0, got, 9000, &m->err),
			EK_OK);
		assert_true(ek_all_zero(got, 100));
		assert_true(img_same(got + 100, 1, 100, 7900));
		assert_true(img_same(got + 8000, 3, 1000, 1000));
		assert_int_equal(ek_image_map(m->image, &node, 0, &x, &m->err),
				 EK_OK);
		assert_int_equal(x.logical_length, 100);
		assert_int_equal(x.flags, 0);
		assert_int_equal(
			ek_image_map(m->image, &node, 4999, &x, &m->err),
			EK_OK);
		assert_int_equal(x.physical, 8 * IMG_BS + 777);
		assert_int_equal(x.logical, 100);
		img_free(m);
	}
}

/* 8 KiB extents one after the other, each of odd length. */
static void by_length(void **state)
{
	struct img *m = extents_img();
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, 20000);
	uint64_t after = AFTER(m, 1, &in), pa = 8 * IMG_BS + 3;
	uint8_t *p = m->bytes + after;
	struct ek_node node;

	(void)state;
	img_put(m, 1, &in, "r4");
	put_header(m, after, 0, 0, 0, 1);
	ek_put_le64(p, pa);
	for (unsigned i = 0; i < 3; i++) {
		size_t n = i < 2 ? 8192 : 20000 - 16384;
		uint32_t plen = put_stream(m, pa, 1, i * 8192u, n);

		ek_put_le32(p + 8 + 4 * i, plen);
		pa += plen & EK_ZX_PLEN_MASK;
	}
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 20000, &m->err),
			 EK_OK);
	assert_true(img_same(got, 1, 0, 20000));
	/* Backwards: the sum of lengths must start again. */
	for (int at = 19000; at >= 0; at -= 1000) {
		assert_int_equal(ek_image_read(m->image, &node, (uint64_t)at,
					       got, 1000, &m->err),
				 EK_OK);
		assert_true(img_same(got, 1, (uint64_t)at, 1000));
	}
	img_free(m);
}

static void by_place(void **state)
{
	struct img *m = extents_img();
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, 8192 + 5);
	uint64_t after = AFTER(m, 1, &in);
	uint8_t *p = m->bytes + ek_round_up(after, 8);
	struct ek_zrecord r = {.pa = 30 * IMG_BS + 1};
	struct ek_node node;

	(void)state;
	img_put(m, 1, &in, "r8");
	put_header(m, after, 1, 0, 0, 1);
	r.plen = put_stream(m, r.pa, 1, 0, 8192);
	ek_zrecord_encode(8, &r, p);
	r.pa = 9 * IMG_BS;
	r.plen = put_stream(m, r.pa, 1, 8192, 100) | EK_ZX_PARTIAL;
	ek_zrecord_encode(8, &r, p + 8);
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 8197, &m->err),
			 EK_OK);
	assert_true(img_same(got, 1, 0, 8197));
	img_free(m);
}

static void refused(void **state)
{
	static const uint32_t plens[] = {
		EK_ZX_PLEN_MASK | FMT(EK_ALG_DEFLATE), /* beyond 1 MiB */
		100 | 0xf0000000u,		       /* no such format */
		100,				       /* plain, too short */
		4 | FMT(EK_ALG_DEFLATE),	       /* a stream cut off */
	};

	(void)state;
	for (size_t i = 0; i < EK_ARRAY_SIZE(plens); i++) {
		struct img *m = extents_img();
		struct ek_inode in = img_file(EK_LAYOUT_ZFULL, 500);
		uint64_t after = AFTER(m, 1, &in);
		struct ek_zrecord r = {.pa = 8 * IMG_BS};
		struct ek_node node;
		ek_status st;

		img_put(m, 1, &in, "bad");
		put_header(m, after, 2, 0, 1, 0);
		put_stream(m, r.pa, 1, 0, 500);
		r.plen = plens[i];
		ek_zrecord_encode(16, &r, m->bytes + ek_round_up(after, 16));
		img_must_open(m);
		node = img_node(m, 1);
		st = ek_image_read(m->image, &node, 0, got, 500, &m->err);
		assert_int_equal(st, i < 2 ? EK_UNSUPPORTED : EK_CORRUPT);
		img_free(m);
	}
}

const struct CMUnitTest extents_tests[] = {
	cmocka_unit_test(sorted),
	cmocka_unit_test(by_length),
	cmocka_unit_test(by_place),
	cmocka_unit_test(refused),
	UNIT_END,
};
