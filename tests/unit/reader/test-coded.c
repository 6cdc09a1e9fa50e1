/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

#define HEAD_AT(m, slot, in)                                                   \
	((m)->bytes + ek_zhead_pos(img_pos(slot) + ek_inode_body(in)))

static uint8_t want[8 * IMG_BS], got[8 * IMG_BS];

/* An image that announces all codecs. */
static struct img *coded_img(void)
{
	struct img *m = img_new();

	m->sb.incompat = EK_INCOMPAT_LZ4_0PADDING | EK_INCOMPAT_COMPR_CFGS |
			 EK_INCOMPAT_COMPR_HEAD2 | EK_INCOMPAT_FRAGMENTS |
			 EK_INCOMPAT_ZTAILPACKING;
	m->cfgs.algs = 0xf;
	return m;
}

static void put_header(uint8_t *p, uint16_t advise, uint8_t alg1, uint8_t alg2)
{
	memset(p, 0, 16);
	ek_put_le16(p + 4, advise);
	p[6] = (uint8_t)(alg1 | alg2 << 4);
}

static void put_head(uint8_t *p, unsigned type, unsigned ofs, uint32_t blk)
{
	ek_put_le16(p, (uint16_t)type);
	ek_put_le16(p + 2, (uint16_t)ofs);
	ek_put_le32(p + 4, blk);
}

/* Put a stream right-justified in @blocks blocks from @block on. */
static void justify(struct img *m, unsigned block, unsigned blocks,
		    const uint8_t *stream, size_t n)
{
	assert_true(n <= blocks * IMG_BS);
	memset(img_block(m, block), 0, blocks * IMG_BS);
	memcpy(img_block(m, block) + blocks * IMG_BS - n, stream, n);
}

/* LZ4 with matches: @n bytes of @in in @blocks blocks. */
static void lz4_blocks(struct img *m, unsigned block, unsigned blocks,
		       const uint8_t *in, size_t n)
{
	struct ek_encoder_params params = {.level = 0, .max_out = 2 * IMG_BS};
	const struct ek_codec_info *info = ek_codec_find("lz4");
	struct ek_encoder *enc;
	uint8_t out[2 * IMG_BS];
	size_t taken = n, used;

	assert_non_null(info);
	params.level = info->default_level;
	assert_int_equal(ek_encoder_new(info, &params, &enc, &m->err), EK_OK);
	assert_int_equal(ek_encode_fill(enc, in, &taken, out, blocks * IMG_BS,
					&used, &m->err),
			 EK_OK);
	assert_int_equal(taken, n);
	justify(m, block, blocks, out, used);
	ek_encoder_free(enc);
}

static void lz4_block(struct img *m, unsigned block, const uint8_t *in,
		      size_t n)
{
	lz4_blocks(m, block, 1, in, n);
}

/* Compressible up to 8 KiB, then noise. */
static void fill_want(void)
{
	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = i < 2 * IMG_BS ? img_byte(5, i % 61) : img_byte(6, i);
}

/* lz4 [0, 4596), plain to 8592, deflate as HEAD2 to the end at 12388. */
#define MIXED_SIZE 12388u

static void put_mixed(struct img *m, unsigned slot, const char *name)
{
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, MIXED_SIZE);
	uint8_t stream[IMG_BS], *p;

	fill_want();
	in.cblocks = 3;
	img_put(m, slot, &in, name);
	p = HEAD_AT(m, slot, &in);
	put_header(p, 0, EK_ALG_LZ4, EK_ALG_DEFLATE);
	p += 16;
	put_head(p, EK_ZT_HEAD1, 0, 40);
	put_head(p + 8, EK_ZT_PLAIN, 500, 41);
	put_head(p + 16, EK_ZT_HEAD2, 400, 42);
	put_head(p + 24, EK_ZT_PLAIN, 100, 0); /* the end of the file */
	lz4_block(m, 40, want, 4596);
	memcpy(img_block(m, 41), want + 4596, 3996);
	justify(m, 42, 1, stream,
		img_deflate(want + 8592, MIXED_SIZE - 8592, stream));
}

static void full_indexes(void **state)
{
	struct img *m = coded_img();
	struct ek_extent x;
	struct ek_node node;
	uint64_t start, end;

	(void)state;
	put_mixed(m, 1, "mixed");
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(node.startblk, 3);
	assert_int_equal(
		ek_image_read(m->image, &node, 0, got, MIXED_SIZE, &m->err),
		EK_OK);
	assert_memory_equal(got, want, MIXED_SIZE);

	assert_int_equal(ek_image_map(m->image, &node, 4595, &x, &m->err),
			 EK_OK);
	assert_int_equal(x.logical, 0);
	assert_int_equal(x.logical_length, 4596);
	assert_int_equal(x.physical, 40 * IMG_BS);
	assert_int_equal(x.flags, EK_EXTENT_MAPPED | EK_EXTENT_COMPRESSED);
	assert_int_equal(ek_image_map(m->image, &node, 4596, &x, &m->err),
			 EK_OK);
	assert_int_equal(x.flags, EK_EXTENT_MAPPED | EK_EXTENT_PLAIN_PCLUSTER);
	assert_int_equal(x.logical_length, 3996);
	assert_int_equal(ek_image_map(m->image, &node, 12387, &x, &m->err),
			 EK_OK);
	assert_int_equal(x.algorithm, EK_ALG_DEFLATE);
	assert_int_equal(x.logical, 8592);
	memset(got, 0, sizeof(got));
	assert_int_equal(
		ek_image_read_extent(m->image, &node, &x, got, &m->err), EK_OK);
	assert_memory_equal(got, want + 8592, MIXED_SIZE - 8592);
	assert_int_equal(
		ek_image_node_range(m->image, &node, &start, &end, &m->err),
		EK_OK);
	assert_int_equal(end, img_pos(1) + 32 + 16 + 4 * 8);

	/* Odd pieces: what one leaves decoded is the next one's. */
	for (uint64_t at = 0; at < MIXED_SIZE; at += 97) {
		size_t n = (size_t)ek_min(97, MIXED_SIZE - at);

		assert_int_equal(
			ek_image_read(m->image, &node, at, got, n, &m->err),
			EK_OK);
		assert_memory_equal(got, want + at, n);
	}
	img_free(m);
}

static ek_status read_mixed(struct img *m)
{
	struct ek_node node = img_node(m, 1);

	return ek_image_read(m->image, &node, 0, got, MIXED_SIZE, &m->err);
}

static void damaged(void **state)
{
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, MIXED_SIZE);

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct img *m = coded_img();
		uint8_t *index;

		put_mixed(m, 1, "mixed");
		index = HEAD_AT(m, 1, &in) + 16;
		if (i == 0) /* no first byte of a stream */
			memset(img_block(m, 40), 0, IMG_BS);
		else if (i == 1) /* algorithms that were not announced */
			m->cfgs.algs = 1u << EK_ALG_LZ4;
		else if (i == 2) /* one byte too many in the stream */
			put_head(index + 8, EK_ZT_PLAIN, 499, 41);
		else if (i == 3) /* one byte too few */
			put_head(index + 8, EK_ZT_PLAIN, 501, 41);
		else /* beyond the image */
			put_head(index, EK_ZT_HEAD1, 0, IMG_MAX / IMG_BS);
		img_must_open(m);
		assert_int_equal(read_mixed(m), EK_CORRUPT);
		img_free(m);
	}
}

/* The stream is longer than the extent: only PARTIAL_REF allows it. */
static void partial(void **state)
{
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, 4000);

	(void)state;
	fill_want();
	for (int bit = 0; bit < 2; bit++) {
		struct img *m = coded_img();
		struct ek_node node;
		uint8_t *p;

		img_put(m, 1, &in, "part");
		p = HEAD_AT(m, 1, &in);
		put_header(p, 0, EK_ALG_LZ4, EK_ALG_LZ4);
		put_head(p + 16, EK_ZT_HEAD1 | (bit ? EK_ZDI_PARTIAL : 0), 0,
			 8);
		lz4_block(m, 8, want, 6000);
		img_must_open(m);
		node = img_node(m, 1);
		assert_int_equal(
			ek_image_read(m->image, &node, 0, got, 4000, &m->err),
			bit ? EK_OK : EK_CORRUPT);
		if (bit)
			assert_memory_equal(got, want, 4000);
		img_free(m);
	}
}

static void put_packed(struct img *m, uint16_t advise)
{
	struct ek_inode in = img_file(EK_LAYOUT_PLAIN, 5000);
	uint8_t *p;

	if (advise) {
		in.layout = EK_LAYOUT_ZFULL;
		in.size = 100;
	}
	in.start = 50;
	m->sb.packed_nid = img_nid(20);
	img_put(m, 20, &in, NULL);
	img_fill(img_block(m, 50), 9, 0, 5000);
	if (!advise)
		return;
	p = HEAD_AT(m, 20, &in);
	put_header(p, advise, 0, 0);
	put_head(p + 16, EK_ZT_HEAD1, 0, 0);
}

static void whole_fragment(struct img *m, unsigned slot, uint64_t off,
			   uint64_t size)
{
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, size);

	img_put(m, slot, &in, NULL);
	ek_put_le64(HEAD_AT(m, slot, &in), off | UINT64_C(1) << 63);
}

static void fragments(void **state)
{
	struct img *m = coded_img();
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, 4096 + 300);
	struct ek_extent x;
	struct ek_node node;
	uint8_t *p;

	(void)state;
	fill_want();
	put_packed(m, 0);
	whole_fragment(m, 1, 1000, 4000);
	whole_fragment(m, 2, 1000, 4001);
	whole_fragment(m, 3, UINT64_MAX >> 1, 4001);
	/* A block of lz4, then a tail that begins in lcluster 1. */
	img_put(m, 4, &in, NULL);
	p = HEAD_AT(m, 4, &in);
	put_header(p, EK_ZADV_FRAGMENT, EK_ALG_LZ4, 0);
	ek_put_le32(p, 77);
	put_head(p + 16, EK_ZT_HEAD1, 0, 8);
	put_head(p + 24, EK_ZT_HEAD1, 100, 0);
	lz4_block(m, 8, want, 4196);
	/* The same with an offset of more than 32 bits. */
	img_put(m, 5, &in, NULL);
	memcpy(HEAD_AT(m, 5, &in), p, 32);
	ek_put_le32(HEAD_AT(m, 5, &in) + 28, 1);
	img_must_open(m);

	node = img_node(m, 1);
	assert_int_equal(ek_image_map(m->image, &node, 5, &x, &m->err), EK_OK);
	assert_int_equal(x.flags, EK_EXTENT_MAPPED | EK_EXTENT_FRAGMENT);
	assert_int_equal(x.physical, 1000);
	assert_int_equal(ek_image_read(m->image, &node, 7, got, 3993, &m->err),
			 EK_OK);
	assert_true(img_same(got, 9, 1007, 3993));
	for (unsigned slot = 2; slot < 4; slot++) {
		node = img_node(m, slot);
		assert_int_equal(
			ek_image_read(m->image, &node, 0, got, 1, &m->err),
			EK_CORRUPT);
	}
	node = img_node(m, 4);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 4396, &m->err),
			 EK_OK);
	assert_memory_equal(got, want, 4196);
	assert_true(img_same(got + 4196, 9, 77, 200));
	node = img_node(m, 5);
	assert_int_equal(ek_image_read(m->image, &node, 4200, got, 1, &m->err),
			 EK_CORRUPT);
	img_free(m);
}

static void fragments_refused(void **state)
{
	struct img *m = coded_img();
	struct ek_node node;

	(void)state;
	/* No packed inode. */
	whole_fragment(m, 1, 0, 1);
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 1, &m->err),
			 EK_CORRUPT);
	img_free(m);

	/* A packed inode that has a fragment would be read for ever. */
	m = coded_img();
	put_packed(m, EK_ZADV_FRAGMENT);
	whole_fragment(m, 1, 0, 1);
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 1, &m->err),
			 EK_CORRUPT);
	img_free(m);
}

static void inline_tail(void **state)
{
	struct img *m = coded_img();
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, 200);
	struct ek_extent x;
	struct ek_node node;
	uint8_t stream[256], *p;
	uint64_t start, end;
	size_t n;

	(void)state;
	fill_want();
	n = img_zstd(want, 200, stream);
	img_put(m, 1, &in, "tail");
	p = HEAD_AT(m, 1, &in);
	put_header(p, EK_ZADV_INLINE, EK_ALG_ZSTD, 0);
	ek_put_le16(p + 2, (uint16_t)n);
	put_head(p + 16, EK_ZT_HEAD1, 0, 0);
	memcpy(p + 24, stream, n);
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(ek_image_map(m->image, &node, 0, &x, &m->err), EK_OK);
	assert_int_equal(x.flags, EK_EXTENT_MAPPED | EK_EXTENT_COMPRESSED |
					  EK_EXTENT_INLINE);
	assert_int_equal(x.physical_length, n);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 200, &m->err),
			 EK_OK);
	assert_memory_equal(got, want, 200);
	assert_int_equal(
		ek_image_node_range(m->image, &node, &start, &end, &m->err),
		EK_OK);
	assert_int_equal(end, x.physical + n);
	img_free(m);
}

static void interlaced_and_holes(void **state)
{
	struct img *m = coded_img();
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, 3 * IMG_BS);
	struct ek_node node;
	uint8_t *p;

	(void)state;
	img_put(m, 1, &in, "rotated");
	p = HEAD_AT(m, 1, &in);
	put_header(p, EK_ZADV_INTERLACED, EK_ALG_LZ4, 0);
	p += 16;
	put_head(p, EK_ZT_PLAIN, 0, 8);
	put_head(p + 8, EK_ZT_PLAIN, 1000, 9);
	put_head(p + 16, EK_ZT_PLAIN | EK_ZDI_HOLE, 1000, 0);
	/* Extent 0 is too long to be plain. */
	img_fill(img_block(m, 9) + 1000, 4, 0, IMG_BS - 1000);
	img_fill(img_block(m, 9), 4, IMG_BS - 1000, 1000);
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 1, &m->err),
			 EK_CORRUPT);
	assert_int_equal(ek_image_read(m->image, &node, IMG_BS + 1000, got,
				       IMG_BS, &m->err),
			 EK_OK);
	assert_true(img_same(got, 4, 0, IMG_BS));
	for (unsigned at = 0; at < IMG_BS; at += 333) {
		size_t n = (size_t)ek_min(333, IMG_BS - at);

		assert_int_equal(ek_image_read(m->image, &node,
					       IMG_BS + 1000 + at, got, n,
					       &m->err),
				 EK_OK);
		assert_true(img_same(got, 4, at, n));
	}
	memset(got, 1, IMG_BS);
	assert_int_equal(ek_image_read(m->image, &node, 2 * IMG_BS + 1000, got,
				       IMG_BS - 1000, &m->err),
			 EK_OK);
	assert_true(ek_all_zero(got, IMG_BS - 1000));
	img_free(m);
}

/* A pcluster of two blocks and one of three, compact. */
static void compact_big(void **state)
{
	struct img *m = coded_img();
	struct ek_inode in = img_file(EK_LAYOUT_ZCOMPACT, 20000);
	struct ek_zpiece pieces[2] = {
		{.la = 0, .blk = 8, .blocks = 2, .type = EK_ZT_HEAD1},
		{.la = 9000, .blk = 10, .blocks = 3, .type = EK_ZT_HEAD2},
	};
	uint16_t advise = EK_ZADV_COMPACT_2B | EK_ZADV_BIG1 | EK_ZADV_BIG2;
	static uint8_t stream[3 * IMG_BS];
	struct ek_zhead head;
	struct ek_zgeom geom;
	struct ek_node node;
	uint8_t *p;

	(void)state;
	/* Half noise, half its copy: more than one block, less than two. */
	img_fill(want, 7, 0, 4500);
	memcpy(want + 4500, want, 4500);
	img_fill(want + 9000, 8, 0, 11000);
	img_put(m, 1, &in, "big");
	p = HEAD_AT(m, 1, &in);
	put_header(p, advise, EK_ALG_LZ4, EK_ALG_DEFLATE);
	assert_int_equal(ek_zhead_decode(&m->sb, in.layout, p, &head, &m->err),
			 EK_OK);
	assert_int_equal(ek_zgeom_init(&m->sb, in.layout, &head, in.size,
				       img_pos(1) + ek_inode_body(&in), &geom,
				       &m->err),
			 EK_OK);
	assert_int_equal(ek_zindex_encode(&geom, advise, in.size, pieces, 2,
					  m->bytes + geom.base, &m->err),
			 EK_OK);
	lz4_blocks(m, 8, 2, want, 9000);
	justify(m, 10, 3, stream, img_deflate(want + 9000, 11000, stream));
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 20000, &m->err),
			 EK_OK);
	assert_memory_equal(got, want, 20000);
	assert_int_equal(ek_image_read(m->image, &node, 8990, got, 20, &m->err),
			 EK_OK);
	assert_memory_equal(got, want + 8990, 20);
	img_free(m);
}

/* Before 5.3 streams were left-justified, with zeros behind. */
static void left_justified(void **state)
{
	struct img *m = img_new();
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, 300);
	struct ek_node node;
	uint8_t *p;

	(void)state;
	fill_want();
	m->sb.lz4_max_distance = 65535;
	img_put(m, 1, &in, "old");
	p = HEAD_AT(m, 1, &in);
	put_header(p, 0, EK_ALG_LZ4, 0);
	put_head(p + 16, EK_ZT_HEAD1, 0, 8);
	img_lz4(want, 300, img_block(m, 8));
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 300, &m->err),
			 EK_OK);
	assert_memory_equal(got, want, 300);
	img_free(m);
}

const struct CMUnitTest coded_tests[] = {
	cmocka_unit_test(full_indexes),
	cmocka_unit_test(damaged),
	cmocka_unit_test(partial),
	cmocka_unit_test(fragments),
	cmocka_unit_test(fragments_refused),
	cmocka_unit_test(inline_tail),
	cmocka_unit_test(interlaced_and_holes),
	cmocka_unit_test(compact_big),
	cmocka_unit_test(left_justified),
	UNIT_END,
};
