/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

static uint8_t buf[8 * IMG_BS];

static void plain_and_holes(void **state)
{
	struct img *m = img_new();
	struct ek_inode in = img_file(EK_LAYOUT_PLAIN, 10000);
	struct ek_extent x;
	struct ek_node node;

	(void)state;
	m->sb.incompat = EK_INCOMPAT_48BIT;
	in.start = 8;
	img_put(m, 1, &in, "plain");
	img_fill(img_block(m, 8), 1, 0, 10000);
	in.start = EK_NULL_BLK;
	img_put(m, 2, &in, "hole");
	in.start = IMG_MAX / IMG_BS - 1;
	img_put(m, 3, &in, "cut");
	in.mode = S_IFSOCK | 0600;
	in.start = 0;
	img_put(m, 4, &in, "sock");
	img_must_open(m);

	node = img_node(m, 1);
	assert_int_equal(ek_image_map(m->image, &node, 9999, &x, &m->err),
			 EK_OK);
	assert_int_equal(x.logical, 0);
	assert_int_equal(x.logical_length, 10000);
	assert_int_equal(x.physical, 8 * IMG_BS);
	assert_int_equal(x.flags, EK_EXTENT_MAPPED);
	assert_int_equal(
		ek_image_read(m->image, &node, 4000, buf, 6000, &m->err),
		EK_OK);
	assert_true(img_same(buf, 1, 4000, 6000));
	/* Nothing at the end is fine, a byte beyond is not. */
	assert_int_equal(ek_image_read(m->image, &node, 10000, buf, 0, &m->err),
			 EK_OK);
	assert_int_equal(ek_image_read(m->image, &node, 9999, buf, 2, &m->err),
			 EK_INVALID);
	assert_int_equal(
		ek_image_read(m->image, &node, UINT64_MAX, buf, 2, &m->err),
		EK_INVALID);
	assert_int_equal(ek_image_map(m->image, &node, 10000, &x, &m->err),
			 EK_INVALID);

	node = img_node(m, 2);
	memset(buf, 1, 10000);
	assert_int_equal(ek_image_read(m->image, &node, 0, buf, 10000, &m->err),
			 EK_OK);
	assert_true(ek_all_zero(buf, 10000));

	node = img_node(m, 3);
	assert_int_equal(
		ek_image_read(m->image, &node, 0, buf, IMG_BS, &m->err), EK_OK);
	assert_int_equal(
		ek_image_read(m->image, &node, 0, buf, IMG_BS + 1, &m->err),
		EK_CORRUPT);

	node = img_node(m, 4);
	assert_int_equal(ek_image_map(m->image, &node, 0, &x, &m->err),
			 EK_INVALID);
	img_free(m);
}

static void inline_tails(void **state)
{
	struct img *m = img_new();
	struct ek_inode in = img_file(EK_LAYOUT_INLINE, IMG_BS + 100);
	struct ek_extent x;
	struct ek_node node;
	uint64_t start, end;

	(void)state;
	in.start = 9;
	img_put(m, 1, &in, "tail");
	img_fill(img_block(m, 9), 2, 0, IMG_BS);
	img_fill(img_after(m, 1, &in), 2, IMG_BS, 100);
	/* In the last slot of block 1: 224 bytes follow the inode. */
	in.size = 225;
	in.start = EK_NULL_BLK;
	img_put(m, 15, &in, "crosses");
	in.size = 224;
	img_put(m, 31, &in, "fits");
	img_fill(img_after(m, 31, &in), 3, 0, 224);
	/* A full block, but no address. */
	in.size = IMG_BS + 1;
	img_put(m, 2, &in, "nowhere");
	img_must_open(m);

	node = img_node(m, 1);
	assert_int_equal(
		ek_image_read(m->image, &node, 0, buf, IMG_BS + 100, &m->err),
		EK_OK);
	assert_true(img_same(buf, 2, 0, IMG_BS + 100));
	assert_int_equal(ek_image_map(m->image, &node, IMG_BS, &x, &m->err),
			 EK_OK);
	assert_int_equal(x.flags, EK_EXTENT_MAPPED | EK_EXTENT_INLINE);
	assert_int_equal(x.physical, img_pos(1) + 32);
	assert_int_equal(x.logical_length, 100);
	assert_int_equal(
		ek_image_node_range(m->image, &node, &start, &end, &m->err),
		EK_OK);
	assert_int_equal(start, img_pos(1));
	assert_int_equal(end, img_pos(1) + 132);

	node = img_node(m, 15);
	assert_int_equal(ek_image_read(m->image, &node, 0, buf, 1, &m->err),
			 EK_CORRUPT);
	node = img_node(m, 31);
	assert_int_equal(ek_image_read(m->image, &node, 0, buf, 224, &m->err),
			 EK_OK);
	assert_true(img_same(buf, 3, 0, 224));
	node = img_node(m, 2);
	assert_int_equal(ek_image_read(m->image, &node, 0, buf, 1, &m->err),
			 EK_CORRUPT);
	img_free(m);
}

static void symlinks(void **state)
{
	struct img *m = img_new();
	struct ek_inode in = img_file(EK_LAYOUT_PLAIN, 5);
	struct ek_node node;
	char *target = NULL;

	(void)state;
	in.mode = S_IFLNK | 0777;
	in.start = 8;
	memcpy(img_block(m, 8), "a/b/c", 5);
	img_put(m, 1, &in, "good");
	in.start = 9;
	memcpy(img_block(m, 9), "a\0b/c", 5);
	img_put(m, 2, &in, "nul");
	in.start = 10;
	memset(img_block(m, 10), 'x', IMG_BS);
	in.size = 4095;
	img_put(m, 3, &in, "longest");
	in.size = 4096;
	img_put(m, 4, &in, "longer");
	in.size = 0;
	img_put(m, 5, &in, "empty");
	img_must_open(m);

	node = img_node(m, 1);
	assert_int_equal(ek_image_readlink(m->image, &node, &target, &m->err),
			 EK_OK);
	assert_string_equal(target, "a/b/c");
	free(target);
	node = img_node(m, 3);
	assert_int_equal(ek_image_readlink(m->image, &node, &target, &m->err),
			 EK_OK);
	assert_int_equal(strlen(target), 4095);
	free(target);
	for (unsigned slot = 2; slot < 6; slot++) {
		if (slot == 3)
			continue;
		node = img_node(m, slot);
		assert_int_equal(
			ek_image_readlink(m->image, &node, &target, &m->err),
			EK_CORRUPT);
	}
	node = img_node(m, 0);
	assert_int_equal(ek_image_readlink(m->image, &node, &target, &m->err),
			 EK_INVALID);
	img_free(m);
}

static void block_map(void **state)
{
	struct img *m = img_new();
	struct ek_inode in = img_file(EK_LAYOUT_CHUNK, 6 * IMG_BS - 5);
	/* Neighbours, a hole, the same block again, backwards. */
	static const uint32_t blocks[] = {20, 21, 0xffffffff, 21, 20, 22};
	struct ek_extent x;
	struct ek_node node;
	uint8_t *map;

	(void)state;
	m->sb.incompat = EK_INCOMPAT_CHUNKED_FILE;
	img_put(m, 1, &in, "chunks");
	map = img_after(m, 1, &in);
	for (unsigned i = 0; i < 6; i++)
		ek_put_le32(map + 4 * i, blocks[i]);
	for (unsigned b = 20; b < 23; b++)
		img_fill(img_block(m, b), b, 0, IMG_BS);
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(
		ek_image_read(m->image, &node, 0, buf, 6 * IMG_BS - 5, &m->err),
		EK_OK);
	for (unsigned i = 0; i < 6; i++) {
		const uint8_t *p = buf + i * IMG_BS;
		size_t n = i == 5 ? IMG_BS - 5 : IMG_BS;

		if (i == 2)
			assert_true(ek_all_zero(p, n));
		else
			assert_true(img_same(p, blocks[i], 0, n));
	}
	assert_int_equal(
		ek_image_read(m->image, &node, IMG_BS - 1, buf, 3, &m->err),
		EK_OK);
	assert_int_equal(buf[0], img_byte(20, IMG_BS - 1));
	assert_int_equal(buf[1], img_byte(21, 0));
	assert_int_equal(ek_image_map(m->image, &node, 5 * IMG_BS, &x, &m->err),
			 EK_OK);
	assert_int_equal(x.logical_length, IMG_BS - 5);
	img_free(m);
}

/* Chunks by index on two devices, through ids and through unified space. */
static void index_devices(void **state)
{
	static uint8_t one[4 * IMG_BS], two[4 * IMG_BS];
	struct ek_source *devs[2];
	struct ek_image_options o = {.size = sizeof(o)};
	struct ek_devslot slots[2] = {{.blocks = 4, .uniaddr = 300},
				      {.blocks = 4, .uniaddr = 304}};
	static const uint32_t want[][3] = {
		/* id, block, the device that it is on */
		{0, 30, 0},  {1, 2, 1},	  {2, 1, 2},
		{0, 303, 1}, {0, 304, 2}, {3, 0, 0},
	};
	struct ek_inode in = img_file(EK_LAYOUT_CHUNK, 6 * IMG_BS);
	struct img *m = img_new();
	struct ek_node node;
	struct ek_extent x;
	uint8_t *map;

	(void)state;
	img_fill(one, 1, 0, sizeof(one));
	img_fill(two, 2, 0, sizeof(two));
	img_fill(img_block(m, 30), 30, 0, IMG_BS);
	assert_int_equal(
		ek_source_from_memory(one, sizeof(one), &devs[0], &m->err),
		EK_OK);
	assert_int_equal(
		ek_source_from_memory(two, sizeof(two), &devs[1], &m->err),
		EK_OK);
	o.devices = devs;
	o.n_devices = 2;
	m->sb.incompat = EK_INCOMPAT_CHUNKED_FILE | EK_INCOMPAT_DEVICE_TABLE;
	m->sb.extra_devices = 2;
	m->sb.devt_slotoff = 12;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(ek_devslot_encode(&m->sb, &slots[i],
						   m->bytes + 1536 + 128 * i,
						   &m->err),
				 EK_OK);
	in.chunk_format = EK_CHUNK_FMT_INDEXES;
	img_put(m, 1, &in, "indexes");
	map = img_after(m, 1, &in);
	for (unsigned i = 0; i < 6; i++) {
		ek_put_le16(map + 8 * i + 2, (uint16_t)want[i][0]);
		ek_put_le32(map + 8 * i + 4, want[i][1]);
	}
	assert_int_equal(img_open(m, &o), EK_OK);
	node = img_node(m, 1);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(
			ek_image_map(m->image, &node, i * IMG_BS, &x, &m->err),
			EK_OK);
		assert_int_equal(x.device, want[i][2]);
	}
	assert_int_equal(ek_image_map(m->image, &node, 5 * IMG_BS, &x, &m->err),
			 EK_CORRUPT);
	assert_int_equal(
		ek_image_read(m->image, &node, 0, buf, 5 * IMG_BS, &m->err),
		EK_OK);
	assert_true(img_same(buf, 30, 0, IMG_BS));
	assert_true(img_same(buf + IMG_BS, 1, 2 * IMG_BS, IMG_BS));
	assert_true(img_same(buf + 2 * IMG_BS, 2, IMG_BS, IMG_BS));
	assert_true(img_same(buf + 3 * IMG_BS, 1, 3 * IMG_BS, IMG_BS));
	assert_true(img_same(buf + 4 * IMG_BS, 2, 0, IMG_BS));
	ek_image_free(m->image);

	/* Flattened: the same ids lead to the primary device, or nowhere. */
	assert_int_equal(ek_image_open(m->src, NULL, &m->image, &m->err),
			 EK_OK);
	assert_int_equal(ek_image_map(m->image, &node, IMG_BS, &x, &m->err),
			 EK_OK);
	assert_int_equal(x.device, 0);
	assert_int_equal(x.physical, 302 * IMG_BS);
	assert_int_equal(
		ek_image_read(m->image, &node, 0, buf, IMG_BS, &m->err), EK_OK);
	assert_int_equal(
		ek_image_read(m->image, &node, IMG_BS, buf, 1, &m->err),
		EK_INVALID);
	img_free(m);
	ek_source_free(devs[0]);
	ek_source_free(devs[1]);
}

const struct CMUnitTest flat_tests[] = {
	cmocka_unit_test(plain_and_holes), cmocka_unit_test(inline_tails),
	cmocka_unit_test(symlinks),	   cmocka_unit_test(block_map),
	cmocka_unit_test(index_devices),   UNIT_END,
};
