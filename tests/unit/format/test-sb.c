/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "format/cfgs.h"
#include "format/device.h"
#include "format/needs.h"
#include "format/sb.h"
#include "base/bytes.h"

extern const struct CMUnitTest sb_tests[];

static struct ek_err err;

static void base_sb(struct ek_sb *sb)
{
	memset(sb, 0, sizeof(*sb));
	sb->compat = EK_COMPAT_SB_CHKSUM | EK_COMPAT_MTIME;
	sb->blkszbits = 12;
	sb->root_nid = 36;
	sb->inos = 3;
	sb->epoch = 1700000000;
	sb->fixed_nsec = 5;
	sb->blocks = 77;
	sb->meta_blkaddr = 2;
	sb->xattr_blkaddr = 3;
	sb->uuid[0] = 0xaa;
	sb->uuid[15] = 0xbb;
	memcpy(sb->volume_name, "vol", 4);
	sb->xattr_prefix_count = 1;
	sb->xattr_prefix_start = 0x11223344;
}

static void encode(const struct ek_sb *sb, uint8_t *p, size_t n)
{
	assert_int_equal(ek_sb_encode(sb, p, n, &err), EK_OK);
}

static void test_fields(void **state)
{
	uint8_t p[EK_SB_SIZE_MIN];
	struct ek_sb a, b;

	(void)state;
	base_sb(&a);
	encode(&a, p, sizeof(p));
	assert_int_equal(ek_get_le32(p), 0xe0f5e1e2u);
	assert_int_equal(p[0x0c], 12);
	assert_int_equal(p[0x0e], 36);
	assert_int_equal(p[0x24], 77);
	assert_int_equal(p[0x28], 2);
	assert_memory_equal(p + 0x40, "vol", 4);
	assert_memory_equal(p + 0x5c, "\x44\x33\x22\x11", 4);
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	assert_int_equal(b.root_nid, 36);
	assert_int_equal(b.inos, 3);
	assert_int_equal(b.epoch, 1700000000);
	assert_int_equal(b.fixed_nsec, 5);
	assert_int_equal(b.blocks, 77);
	assert_int_equal(b.meta_blkaddr, 2);
	assert_int_equal(b.xattr_blkaddr, 3);
	assert_memory_equal(b.uuid, a.uuid, 16);
	assert_string_equal(b.volume_name, "vol");
	assert_int_equal(b.xattr_prefix_start, 0x11223344);
	assert_false(b.reserved_nonzero);
	assert_false(b.name_full);
	assert_true(ek_sb_is_plain(&b));
}

static void test_negative_epoch(void **state)
{
	uint8_t p[EK_SB_SIZE_MIN];
	struct ek_sb a, b;

	(void)state;
	base_sb(&a);
	a.epoch = -2;
	encode(&a, p, sizeof(p));
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	assert_true(b.epoch == -2);
}

/* A 48BIT image keeps the narrow form until something needs the other. */
static void test_wide(void **state)
{
	uint8_t p[EK_SB_SIZE_MIN];
	struct ek_sb a, b;

	(void)state;
	base_sb(&a);
	a.root_nid = 0x10000;
	assert_int_equal(ek_sb_encode(&a, p, sizeof(p), &err), EK_INVALID);
	a.incompat = EK_INCOMPAT_48BIT;
	encode(&a, p, sizeof(p));
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	assert_true(b.root_wide);
	assert_int_equal(b.root_nid, 0x10000);
	assert_int_equal(b.blocks, 77);

	a.root_nid = 36;
	encode(&a, p, sizeof(p));
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	assert_false(b.root_wide);

	a.blocks = UINT64_C(0x123456789abc);
	encode(&a, p, sizeof(p));
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	assert_true(b.blocks == a.blocks && b.root_nid == 36);
	a.blocks = EK_BLK_MAX + 1;
	assert_int_equal(ek_sb_encode(&a, p, sizeof(p), &err), EK_INVALID);
	a.blocks = UINT64_C(1) << 32;
	a.root_nid = 0;
	assert_int_equal(ek_sb_encode(&a, p, sizeof(p), &err), EK_INVALID);
}

static void test_metabox(void **state)
{
	uint8_t p[EK_SB_SIZE_BOX];
	struct ek_sb a, b;

	(void)state;
	base_sb(&a);
	a.incompat = EK_INCOMPAT_48BIT | EK_INCOMPAT_METABOX;
	a.root_nid = EK_NID_METABOX;
	a.metabox_nid = 40;
	assert_int_equal(ek_sb_encode(&a, p, sizeof(p), &err), EK_INVALID);
	a.extslots = 1;
	assert_int_equal(ek_sb_encode(&a, p, 143, &err), EK_INVALID);
	encode(&a, p, sizeof(p));
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	assert_true(b.root_nid == EK_NID_METABOX);
	assert_int_equal(b.metabox_nid, 40);
	assert_int_equal(ek_sb_decode(p, 143, &b, &err), EK_CORRUPT);
	p[0x87] = 0x80;
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_CORRUPT);
	p[0x87] = 0;
	p[0x0d] = 0;
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_CORRUPT);
}

struct poke {
	uint16_t at;
	uint8_t value;
	ek_status want;
};

static const struct poke pokes[] = {
	{0x00, 0, EK_CORRUPT}, /* magic */
	{0x0c, 8, EK_CORRUPT}, /* block size */
	{0x0c, 16, EK_OK},
	{0x0c, 17, EK_UNSUPPORTED},
	{0x0c, 255, EK_UNSUPPORTED},
	{0x50, 0x80, EK_OK},
	{0x51, 0x02, EK_UNSUPPORTED}, /* incompat bit 9 */
	{0x53, 0x80, EK_UNSUPPORTED},
	{0x5a, 1, EK_CORRUPT},
	{0x0b, 0x80, EK_OK}, /* compat bit 31 */
	{0x08, 0x20, EK_OK}, /* digest prefix 0 of 1 */
	{0x67, 0x80, EK_OK}, /* packed nid, no fragments */
	{0x54, 0xff, EK_OK}, /* an LZ4 window */
};

static void test_pokes(void **state)
{
	uint8_t p[4096];
	struct ek_sb a, b;

	(void)state;
	base_sb(&a);
	for (size_t i = 0; i < sizeof(pokes) / sizeof(*pokes); i++) {
		memset(p, 0, sizeof(p));
		encode(&a, p, sizeof(p));
		p[pokes[i].at] = pokes[i].value;
		assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err),
				 pokes[i].want);
	}
}

static void test_rules(void **state)
{
	uint8_t p[8192];
	struct ek_sb a, b;

	(void)state;
	memset(p, 0, sizeof(p));
	base_sb(&a);
	encode(&a, p, sizeof(p));
	for (size_t n = 0; n < EK_SB_SIZE_MIN; n++)
		assert_int_equal(ek_sb_decode(p, n, &b, &err), EK_CORRUPT);
	p[0x0d] = 184; /* 128 + 16 * 184 = 4096 - 1024 */
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	p[0x0d] = 185;
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_CORRUPT);
	p[0x0d] = 0;
	p[0x50] = EK_INCOMPAT_FRAGMENTS;
	p[0x67] = 0x80;
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_CORRUPT);
	p[0x67] = 0;
	p[0x50] = EK_INCOMPAT_COMPR_CFGS;
	p[0x54] = 0x10;
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_UNSUPPORTED);
	p[0x50] = 0;
	p[0x08] |= EK_COMPAT_ISHARE_XATTRS;
	p[0x69] = 1;
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_CORRUPT);
}

static void test_name(void **state)
{
	uint8_t p[EK_SB_SIZE_MIN];
	struct ek_sb a, b;

	(void)state;
	base_sb(&a);
	memcpy(a.volume_name, "0123456789abcdef", 17);
	encode(&a, p, sizeof(p));
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	assert_true(b.name_full);
	assert_string_equal(b.volume_name, "0123456789abcdef");
	p[0x44] = 0;
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	assert_string_equal(b.volume_name, "0123");
	assert_true(b.reserved_nonzero);
}

/* Section 1.3: the length by block size, the running value, one flip. */
static void test_checksum(void **state)
{
	static const uint8_t magic[8] = {0xe2, 0xe1, 0xf5, 0xe0};
	uint8_t p[3072];
	struct ek_sb a, b;

	(void)state;
	assert_int_equal(ek_sb_csum_len(512), 512);
	assert_int_equal(ek_sb_csum_len(1024), 1024);
	assert_int_equal(ek_sb_csum_len(2048), 1024);
	assert_int_equal(ek_sb_csum_len(4096), 3072);
	assert_int_equal(ek_sb_checksum(magic, 8), 0x5045b54au);
	memset(p, 7, sizeof(p));
	base_sb(&a);
	encode(&a, p, sizeof(p));
	ek_sb_seal(p, sizeof(p));
	assert_int_equal(ek_sb_decode(p, sizeof(p), &b, &err), EK_OK);
	assert_int_equal(ek_sb_verify(&b, p, sizeof(p), &err), EK_OK);
	assert_int_equal(ek_sb_verify(&b, p, 3071, &err), EK_CORRUPT);
	p[3071] ^= 1;
	assert_int_equal(ek_sb_verify(&b, p, sizeof(p), &err), EK_CORRUPT);
	b.compat &= ~EK_COMPAT_SB_CHKSUM;
	assert_int_equal(ek_sb_verify(&b, p, sizeof(p), &err), EK_OK);
}

/* The example of section 1.5: -zlz4 -C16384. */
static void test_cfgs_lz4(void **state)
{
	static const uint8_t blob[16] = {0x0e, 0, 0xff, 0xff, 4};
	struct ek_sb sb;
	struct ek_cfgs c;
	uint8_t out[EK_CFGS_ENCODED_MAX];
	size_t used;

	(void)state;
	base_sb(&sb);
	sb.incompat = 3;
	sb.algs = 1;
	assert_int_equal(ek_cfgs_offset(&sb), 0x480);
	assert_int_equal(ek_cfgs_decode(&sb, blob, 16, &c, &used, &err), EK_OK);
	assert_int_equal(used, 16);
	assert_int_equal(c.lz4_max_distance, 65535);
	assert_int_equal(c.lz4_max_pclusterblks, 4);
	assert_false(c.reserved_nonzero);
	assert_int_equal(ek_cfgs_encode(&c, out, sizeof(out), &used, &err),
			 EK_OK);
	assert_int_equal(used, 16);
	assert_memory_equal(out, blob, 16);
	for (size_t n = 0; n < 16; n++)
		assert_int_equal(ek_cfgs_decode(&sb, blob, n, &c, &used, &err),
				 EK_CORRUPT);
	sb.incompat = 1;
	sb.algs = 0;
	sb.lz4_max_distance = 4000;
	assert_int_equal(ek_cfgs_decode(&sb, NULL, 0, &c, &used, &err), EK_OK);
	assert_int_equal(used, 0);
	assert_int_equal(c.algs, 1);
	assert_int_equal(c.lz4_max_distance, 4000);
	assert_int_equal(c.lz4_max_pclusterblks, 1);
}

static void test_cfgs_all(void **state)
{
	struct ek_cfgs a = {.algs = 15,
			    .lz4_max_distance = 65535,
			    .lz4_max_pclusterblks = 256,
			    .lzma_dict_size = 32768,
			    .deflate_windowbits = 15,
			    .zstd_windowlog = 20};
	struct ek_cfgs c;
	struct ek_sb sb;
	uint8_t p[EK_CFGS_ENCODED_MAX];
	size_t used;

	(void)state;
	base_sb(&sb);
	sb.incompat = 3;
	sb.algs = 15;
	assert_int_equal(ek_cfgs_encode(&a, p, sizeof(p), &used, &err), EK_OK);
	assert_int_equal(used, 48);
	assert_int_equal(ek_cfgs_encode(&a, p, 47, &used, &err), EK_INVALID);
	assert_int_equal(ek_cfgs_decode(&sb, p, 48, &c, &used, &err), EK_OK);
	assert_int_equal(c.lzma_dict_size, 32768);
	assert_int_equal(c.deflate_windowbits, 15);
	assert_int_equal(c.zstd_windowlog, 20);
	p[5] = 2; /* 512 + 0 blocks */
	assert_int_equal(ek_cfgs_decode(&sb, p, 48, &c, &used, &err),
			 EK_CORRUPT);
	p[5] = 1;
	p[22] = 1; /* LZMA format */
	assert_int_equal(ek_cfgs_decode(&sb, p, 48, &c, &used, &err),
			 EK_UNSUPPORTED);
	p[22] = 0;
	p[19] = 0; /* dictionary 0 */
	assert_int_equal(ek_cfgs_decode(&sb, p, 48, &c, &used, &err),
			 EK_CORRUPT);
	p[19] = 0x80;
	p[34] = 16; /* DEFLATE window */
	assert_int_equal(ek_cfgs_decode(&sb, p, 48, &c, &used, &err),
			 EK_CORRUPT);
	p[34] = 15;
	p[43] = 250; /* zstd window: no wrap to a small number */
	assert_int_equal(ek_cfgs_decode(&sb, p, 48, &c, &used, &err),
			 EK_CORRUPT);
	p[43] = 10;
	p[47] = 1;
	assert_int_equal(ek_cfgs_decode(&sb, p, 48, &c, &used, &err), EK_OK);
	assert_true(c.reserved_nonzero);
}

static void test_device(void **state)
{
	struct ek_devslot s[2], t;
	struct ek_sb sb;
	uint8_t p[EK_DEVSLOT_SIZE];
	unsigned int dev;
	uint64_t pa;

	(void)state;
	base_sb(&sb);
	sb.incompat = EK_INCOMPAT_DEVICE_TABLE;
	sb.extra_devices = 2;
	sb.devt_slotoff = 9;
	memset(s, 0, sizeof(s));
	assert_int_equal(ek_devslot_pos(&sb, 1), 1280);
	s[0].blocks = 10;
	s[0].uniaddr = 100;
	s[1].blocks = UINT64_C(1) << 32;
	s[1].tag[63] = 'x';
	assert_int_equal(ek_devslot_encode(&sb, &s[1], p, &err), EK_INVALID);
	sb.incompat |= EK_INCOMPAT_48BIT;
	assert_int_equal(ek_devslot_encode(&sb, &s[1], p, &err), EK_OK);
	assert_int_equal(p[0x48], 1);
	ek_devslot_decode(&sb, p, &t);
	assert_true(t.blocks == s[1].blocks);
	assert_int_equal(t.tag[63], 'x');
	assert_false(t.reserved_nonzero);
	assert_int_equal(ek_device_id_mask(&sb), 3);
	sb.extra_devices = 3;
	assert_int_equal(ek_device_id_mask(&sb), 3);
	sb.extra_devices = 4;
	assert_int_equal(ek_device_id_mask(&sb), 7);
	sb.extra_devices = 65535;
	assert_int_equal(ek_device_id_mask(&sb), 65535);
	sb.extra_devices = 0;
	assert_int_equal(ek_device_id_mask(&sb), 0);

	sb.extra_devices = 2;
	assert_int_equal(
		ek_device_resolve(&sb, s, 0, 105 * 4096 + 7, &dev, &pa, &err),
		EK_OK);
	assert_int_equal(dev, 1);
	assert_int_equal(pa, 5 * 4096 + 7);
	assert_int_equal(
		ek_device_resolve(&sb, s, 0, 110 * 4096, &dev, &pa, &err),
		EK_OK);
	assert_int_equal(dev, 0);
	assert_int_equal(ek_device_resolve(&sb, s, 2, 7, &dev, &pa, &err),
			 EK_OK);
	assert_int_equal(dev, 2);
	assert_int_equal(ek_device_resolve(&sb, s, 3, 7, &dev, &pa, &err),
			 EK_CORRUPT);
}

static void check_need(const struct ek_sb *sb, const struct ek_cfgs *c,
		       uint32_t uses, int major, int minor)
{
	struct ek_need needs[EK_NEEDS_MAX];
	size_t n;

	ek_needs(sb, c, uses, needs, &n);
	assert_in_range(n, 1, EK_NEEDS_MAX);
	assert_int_equal(needs[0].major, 5);
	assert_int_equal(needs[0].minor, 4);
	for (size_t i = 1; i < n; i++)
		assert_true(needs[i].major * 100 + needs[i].minor >=
			    needs[i - 1].major * 100 + needs[i - 1].minor);
	assert_int_equal(needs[n - 1].major, major);
	assert_int_equal(needs[n - 1].minor, minor);
	assert_non_null(needs[n - 1].reason);
}

static void test_needs(void **state)
{
	struct ek_cfgs c = {.algs = 1};
	struct ek_sb sb;

	(void)state;
	base_sb(&sb);
	check_need(&sb, NULL, 0, 5, 4);
	sb.incompat = EK_INCOMPAT_LZ4_0PADDING;
	check_need(&sb, &c, EK_USE_COMPRESSED, 5, 4);
	sb.blkszbits = 10;
	check_need(&sb, &c, 0, 6, 8);
	sb.incompat = 0;
	check_need(&sb, &c, 0, 6, 4);
	check_need(&sb, &c, EK_USE_COMPRESSED, 6, 8);
	sb.blkszbits = 12;
	sb.incompat = EK_INCOMPAT_LZ4_0PADDING | EK_INCOMPAT_COMPR_CFGS;
	check_need(&sb, &c, EK_USE_COMPRESSED, 5, 13);
	c.algs = 1u << EK_ALG_ZSTD | 1u << EK_ALG_LZMA;
	check_need(&sb, &c, EK_USE_COMPRESSED, 6, 10);
	check_need(&sb, &c, EK_USE_ZHOLES, 7, 2);
	sb.incompat = EK_INCOMPAT_KNOWN;
	sb.compat = 0xffffffff;
	sb.name_full = true;
	sb.blkszbits = 9;
	c.algs = 15;
	check_need(&sb, &c, 0xffffffff, 7, 2);
}

const struct CMUnitTest sb_tests[] = {
	cmocka_unit_test(test_fields),
	cmocka_unit_test(test_negative_epoch),
	cmocka_unit_test(test_wide),
	cmocka_unit_test(test_metabox),
	cmocka_unit_test(test_pokes),
	cmocka_unit_test(test_rules),
	cmocka_unit_test(test_name),
	cmocka_unit_test(test_checksum),
	cmocka_unit_test(test_cfgs_lz4),
	cmocka_unit_test(test_cfgs_all),
	cmocka_unit_test(test_device),
	cmocka_unit_test(test_needs),
	UNIT_END,
};
