/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

static void plain(void **state)
{
	const struct ek_image_info *info;
	struct img *m = img_new();
	struct ek_node root;

	(void)state;
	memcpy(m->sb.volume_name, "label", 6);
	m->sb.build_time = 7;
	img_must_open(m);
	info = ek_image_info(m->image);
	assert_int_equal(info->block_size, 4096);
	assert_int_equal(info->root_nid, img_nid(0));
	assert_int_equal(info->build_time, 1007);
	assert_string_equal(info->volume_name, "label");
	assert_int_equal(info->header_end, 1024 + 128);
	assert_false(info->flattened);
	assert_int_equal(ek_image_root(m->image, &root, &m->err), EK_OK);
	assert_true(S_ISDIR(root.mode));
	assert_int_equal(root.mtime, 1000);
	img_free(m);
}

static void refused(void **state)
{
	struct img *m = img_new();
	struct ek_image_options o = {.size = sizeof(o), .ignore_checksum = 1};

	(void)state;
	img_must_open(m);
	ek_image_free(m->image);
	m->image = NULL;

	m->bytes[1024 + 200] ^= 1; /* in the sum's range, in no field */
	assert_int_equal(ek_image_open(m->src, NULL, &m->image, &m->err),
			 EK_CORRUPT);
	assert_int_equal(ek_image_open(m->src, &o, &m->image, &m->err), EK_OK);
	ek_image_free(m->image);
	m->image = NULL;
	img_seal(m);

	o.size--;
	assert_int_equal(ek_image_open(m->src, &o, &m->image, &m->err),
			 EK_INVALID);

	m->bytes[1024]++;
	assert_int_equal(ek_image_open(m->src, NULL, &m->image, &m->err),
			 EK_CORRUPT);
	m->bytes[1024]--;
	ek_put_le32(m->bytes + 1024 + 0x50, 1u << 20);
	ek_sb_seal(m->bytes + 1024, 3072);
	assert_int_equal(ek_image_open(m->src, NULL, &m->image, &m->err),
			 EK_UNSUPPORTED);
	assert_null(m->image);
	img_free(m);
}

static void cut_off(void **state)
{
	static const size_t sizes[] = {0, 1, 1023, 1024, 1151, 1152, 4095};

	(void)state;
	for (size_t i = 0; i < EK_ARRAY_SIZE(sizes); i++) {
		struct img *m = img_new();

		m->size = sizes[i];
		assert_int_equal(img_open(m, NULL), EK_CORRUPT);
		img_free(m);
	}
}

static void bad_root(void **state)
{
	struct img *m = img_new();
	struct ek_inode in = img_file(EK_LAYOUT_PLAIN, 0);

	(void)state;
	img_put(m, 0, &in, NULL);
	assert_int_equal(img_open(m, NULL), EK_CORRUPT);
	img_free(m);

	m = img_new();
	m->sb.root_nid = 0xffff;
	m->size = 64 * IMG_BS;
	assert_int_equal(img_open(m, NULL), EK_CORRUPT);
	img_free(m);
}

static void special_inodes(void **state)
{
	struct ek_inode fifo = img_file(EK_LAYOUT_PLAIN, 0);
	struct img *m = img_new();

	(void)state;
	fifo.mode = S_IFIFO | 0600;
	m->sb.incompat = EK_INCOMPAT_FRAGMENTS;
	m->sb.packed_nid = img_nid(1);
	img_put(m, 1, &fifo, NULL);
	assert_int_equal(img_open(m, NULL), EK_CORRUPT);
	img_free(m);

	m = img_new();
	m->sb.incompat = EK_INCOMPAT_FRAGMENTS;
	m->sb.packed_nid = IMG_MAX / 32; /* the first one beyond */
	assert_int_equal(img_open(m, NULL), EK_CORRUPT);
	img_free(m);

	/* Without the feature the number means nothing. */
	m = img_new();
	m->sb.packed_nid = IMG_MAX / 32;
	assert_int_equal(img_open(m, NULL), EK_OK);
	assert_int_equal(ek_image_info(m->image)->packed_nid, 0);
	img_free(m);
}

static void devices(void **state)
{
	struct img *m = img_new();
	uint8_t dev[512] = {0};
	struct ek_source *extra;
	struct ek_image_options o = {.size = sizeof(o)};
	struct ek_devslot slot = {.blocks = 1, .uniaddr = 500, .tag = "one"};
	struct ek_image_device d;

	(void)state;
	assert_int_equal(
		ek_source_from_memory(dev, sizeof(dev), &extra, &m->err),
		EK_OK);
	m->sb.incompat = EK_INCOMPAT_DEVICE_TABLE;
	m->sb.extra_devices = 2;
	m->sb.devt_slotoff = 12; /* byte 1536 */
	assert_int_equal(
		ek_devslot_encode(&m->sb, &slot, m->bytes + 1536, &m->err),
		EK_OK);
	o.devices = &extra;
	o.n_devices = 1;
	assert_int_equal(img_open(m, &o), EK_INVALID);
	assert_int_equal(ek_image_open(m->src, NULL, &m->image, &m->err),
			 EK_OK);
	assert_true(ek_image_info(m->image)->flattened);
	assert_int_equal(ek_image_device(m->image, 0, &d, &m->err), EK_OK);
	assert_string_equal(d.tag, "one");
	assert_int_equal(d.uniaddr, 500);
	assert_int_equal(ek_image_device(m->image, 2, &d, &m->err),
			 EK_NOTFOUND);
	img_free(m);

	/* A device too many. */
	m = img_new();
	assert_int_equal(img_open(m, &o), EK_INVALID);
	img_free(m);

	/* A table beyond the image. */
	m = img_new();
	m->sb.incompat = EK_INCOMPAT_DEVICE_TABLE;
	m->sb.extra_devices = 65535;
	m->sb.devt_slotoff = 65535;
	assert_int_equal(img_open(m, NULL), EK_CORRUPT);
	img_free(m);
	ek_source_free(extra);
}

static void nids(void **state)
{
	struct img *m = img_new();
	struct ek_node node;

	(void)state;
	img_must_open(m);
	assert_int_equal(ek_image_node(m->image, IMG_MAX / 32, &node, &m->err),
			 EK_CORRUPT);
	assert_int_equal(
		ek_image_node(m->image, UINT64_MAX >> 1, &node, &m->err),
		EK_CORRUPT);
	assert_int_equal(
		ek_image_node(m->image, EK_NID_METABOX, &node, &m->err),
		EK_CORRUPT);
	/* A place full of zeros is no inode: no type. */
	assert_int_equal(ek_image_node(m->image, img_nid(3), &node, &m->err),
			 EK_CORRUPT);
	img_free(m);
}

const struct CMUnitTest open_tests[] = {
	cmocka_unit_test(plain),	  cmocka_unit_test(refused),
	cmocka_unit_test(cut_off),	  cmocka_unit_test(bad_root),
	cmocka_unit_test(special_inodes), cmocka_unit_test(devices),
	cmocka_unit_test(nids),		  UNIT_END,
};
