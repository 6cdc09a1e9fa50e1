/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

/*
 * All inodes but the metabox's own are in its data, which is in blocks 30 and
 * 31 the wrong way round, so that a read of the device instead is seen.
 */
#define BOX_SLOT 7u

static uint8_t box[2 * IMG_BS];

static void put_box_inode(struct img *m, uint64_t at, const struct ek_inode *in)
{
	assert_int_equal(ek_inode_encode(&m->sb, in, box + at, &m->err), EK_OK);
}

static struct img *metabox_img(void)
{
	struct img *m = img_new();
	struct ek_inode meta = img_file(EK_LAYOUT_CHUNK, sizeof(box));
	struct ek_inode root = img_file(EK_LAYOUT_INLINE, 0);
	struct ek_inode file = img_file(EK_LAYOUT_INLINE, 60);
	struct ek_inode chunks = img_file(EK_LAYOUT_CHUNK, IMG_BS);
	struct ek_dent names[4] = {
		{.nid = EK_NID_METABOX, .type = EK_FT_DIR},
		{.nid = EK_NID_METABOX, .type = EK_FT_DIR},
		{.nid = EK_NID_METABOX | 8, .type = EK_FT_REG},
		{.nid = EK_NID_METABOX | (IMG_BS / 32), .type = EK_FT_REG},
	};
	static const char *const text[] = {".", "..", "chunks", "file"};
	uint8_t block[IMG_BS];
	uint32_t used;

	memset(box, 0, sizeof(box));
	m->sb.incompat = EK_INCOMPAT_METABOX | EK_INCOMPAT_48BIT |
			 EK_INCOMPAT_CHUNKED_FILE;
	m->sb.extslots = 1;
	m->sb.root_nid = EK_NID_METABOX;
	m->sb.metabox_nid = img_nid(BOX_SLOT);
	for (int i = 0; i < 4; i++) {
		names[i].name = (const uint8_t *)text[i];
		names[i].namelen = (uint16_t)strlen(text[i]);
	}
	assert_int_equal(ek_dirblock_take(names, 4, IMG_BS, &used), 4);
	assert_int_equal(ek_dirblock_encode(names, 4, block, IMG_BS, &m->err),
			 EK_OK);
	root.mode = S_IFDIR | 0755;
	root.size = used;
	root.start = EK_NULL_BLK;
	put_box_inode(m, 0, &root);
	memcpy(box + 32, block, used);
	put_box_inode(m, 256, &chunks);
	ek_put_le32(box + 256 + 32, 40);
	img_fill(img_block(m, 40), 4, 0, IMG_BS);
	file.start = EK_NULL_BLK;
	put_box_inode(m, IMG_BS, &file);
	img_fill(box + IMG_BS + 32, 5, 0, 60);

	img_put(m, BOX_SLOT, &meta, NULL);
	ek_put_le32(img_after(m, BOX_SLOT, &meta), 31);
	ek_put_le32(img_after(m, BOX_SLOT, &meta) + 4, 30);
	memcpy(img_block(m, 31), box, IMG_BS);
	memcpy(img_block(m, 30), box + IMG_BS, IMG_BS);
	return m;
}

static void reads(void **state)
{
	struct img *m = metabox_img();
	uint8_t got[IMG_BS];
	struct ek_extent x;
	struct ek_node node;

	(void)state;
	img_must_open(m);
	assert_int_equal(ek_image_lookup(m->image, "/file", &node, &m->err),
			 EK_OK);
	assert_int_equal(node.position, IMG_BS);
	assert_int_equal(ek_image_map(m->image, &node, 0, &x, &m->err), EK_OK);
	assert_int_equal(x.flags, EK_EXTENT_MAPPED | EK_EXTENT_INLINE |
					  EK_EXTENT_METABOX);
	assert_int_equal(ek_image_read(m->image, &node, 0, got, 60, &m->err),
			 EK_OK);
	assert_true(img_same(got, 5, 0, 60));
	/* The chunk array is in the metabox, the chunks are not. */
	assert_int_equal(ek_image_lookup(m->image, "/chunks", &node, &m->err),
			 EK_OK);
	assert_int_equal(
		ek_image_read(m->image, &node, 0, got, IMG_BS, &m->err), EK_OK);
	assert_true(img_same(got, 4, 0, IMG_BS));
	/* Just beyond its data. */
	assert_int_equal(ek_image_node(m->image,
				       EK_NID_METABOX | (sizeof(box) / 32),
				       &node, &m->err),
			 EK_CORRUPT);
	img_free(m);
}

static void refused(void **state)
{
	struct img *m = metabox_img();

	(void)state;
	/* In itself. */
	m->sb.metabox_nid = UINT64_C(8);
	img_seal(m);
	ek_put_le64(m->bytes + EK_SB_OFFSET + 0x80, EK_NID_METABOX | 8);
	ek_sb_seal(m->bytes + EK_SB_OFFSET, ek_sb_csum_len(IMG_BS));
	assert_int_equal(
		ek_source_from_memory(m->bytes, m->size, &m->src, &m->err),
		EK_OK);
	assert_int_equal(ek_image_open(m->src, NULL, &m->image, &m->err),
			 EK_CORRUPT);
	img_free(m);

	/* An empty one has no root. */
	m = metabox_img();
	ek_put_le32(m->bytes + img_pos(BOX_SLOT) + 8, 0);
	assert_int_equal(img_open(m, NULL), EK_CORRUPT);
	img_free(m);
}

const struct CMUnitTest metabox_tests[] = {
	cmocka_unit_test(reads),
	cmocka_unit_test(refused),
	UNIT_END,
};
