/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "format/inode.h"
#include "base/bytes.h"

extern const struct CMUnitTest inode_tests[];

static struct ek_err err;

static struct ek_sb narrow(void)
{
	struct ek_sb sb = {.blkszbits = 12, .epoch = 1000, .fixed_nsec = 9};

	return sb;
}

static struct ek_sb wide(void)
{
	struct ek_sb sb = narrow();

	sb.incompat = EK_INCOMPAT_48BIT;
	return sb;
}

static struct ek_inode file(void)
{
	struct ek_inode in = {.mode = 0100644,
			      .nlink = 1,
			      .uid = 1,
			      .gid = 2,
			      .ino = 3,
			      .size = 5000,
			      .mtime = 1000,
			      .mtime_nsec = 9,
			      .start = 44};

	return in;
}

/* Encode and decode again; the bytes are in @p. */
static struct ek_inode turn(const struct ek_sb *sb, const struct ek_inode *in,
			    uint8_t *p)
{
	struct ek_inode out;

	assert_int_equal(ek_inode_encode(sb, in, p, &err), EK_OK);
	assert_int_equal(ek_inode_peek(p), ek_inode_core(in));
	assert_int_equal(ek_inode_decode(sb, p, ek_inode_core(in), &out, &err),
			 EK_OK);
	assert_false(out.reserved_nonzero);
	assert_int_equal(out.mode, in->mode);
	assert_int_equal(out.layout, in->layout);
	assert_int_equal(out.nlink, in->nlink);
	assert_int_equal(out.uid, in->uid);
	assert_int_equal(out.gid, in->gid);
	assert_int_equal(out.ino, in->ino);
	assert_int_equal(out.xattr_icount, in->xattr_icount);
	assert_true(out.size == in->size);
	assert_true(out.mtime == in->mtime);
	assert_int_equal(out.mtime_nsec, in->mtime_nsec);
	assert_true(out.start == in->start);
	assert_true(out.cblocks == in->cblocks);
	assert_int_equal(out.chunk_format, in->chunk_format);
	assert_int_equal(out.rdev_major, in->rdev_major);
	assert_int_equal(out.rdev_minor, in->rdev_minor);
	return out;
}

static void test_compact_bytes(void **state)
{
	static const uint8_t want[32] = {
		0x04, 0, 3,  0, 0xa4, 0x81, 1, 0, 0x88, 0x13, 0, 0, 0, 0,
		0,    0, 44, 0, 0,    0,    3, 0, 0,	0,    1, 0, 2, 0};
	struct ek_sb sb = narrow();
	struct ek_inode in = file();
	uint8_t p[64];

	(void)state;
	in.layout = EK_LAYOUT_INLINE;
	in.xattr_icount = 3;
	turn(&sb, &in, p);
	assert_memory_equal(p, want, 32);
	assert_int_equal(ek_inode_body(&in), 32 + 12 + 8);
	assert_int_equal(ek_inode_block_bytes(&sb, &in), 4096);
	in.size = 4096;
	assert_int_equal(ek_inode_block_bytes(&sb, &in), 0);
	in.layout = EK_LAYOUT_PLAIN;
	assert_int_equal(ek_inode_block_bytes(&sb, &in), 4096);
}

static void test_extended(void **state)
{
	struct ek_sb sb = wide();
	struct ek_inode in = file();
	uint8_t p[64];

	(void)state;
	in.extended = true;
	in.size = INT64_MAX;
	in.uid = 0xfffffffe;
	in.gid = 0x12345;
	in.nlink = 70000;
	in.mtime = -5;
	in.mtime_nsec = 999999999;
	in.start = UINT64_C(0x123456789abc);
	turn(&sb, &in, p);
	assert_int_equal(p[0], 1);
	assert_memory_equal(p + 6, "\x34\x12", 2);
	assert_memory_equal(p + 0x10, "\xbc\x9a\x78\x56", 4);
	in.size = (uint64_t)INT64_MAX + 1;
	assert_int_equal(ek_inode_encode(&sb, &in, p, &err), EK_INVALID);
	p[15] = 0x80;
	assert_int_equal(ek_inode_decode(&sb, p, 64, &in, &err), EK_CORRUPT);
	assert_int_equal(ek_inode_decode(&sb, p, 63, &in, &err), EK_CORRUPT);
	assert_int_equal(ek_inode_decode(&sb, p, 31, &in, &err), EK_CORRUPT);
}

static void test_nlink_1(void **state)
{
	struct ek_sb sb = wide();
	struct ek_inode in = file(), out;
	uint8_t p[64];

	(void)state;
	in.start = UINT64_C(0x500000001);
	out = turn(&sb, &in, p);
	assert_true(out.nlink_1 && out.bit4);
	assert_int_equal(p[0], 0x10);
	assert_int_equal(p[6], 5);
	in.nlink = 2;
	assert_int_equal(ek_inode_why_extended(&sb, &in), EK_EXT_START);
	assert_int_equal(ek_inode_encode(&sb, &in, p, &err), EK_INVALID);
	in.extended = true;
	out = turn(&sb, &in, p);
	assert_false(out.nlink_1);
	sb = narrow();
	assert_int_equal(ek_inode_encode(&sb, &in, p, &err), EK_INVALID);
}

/* Section 2.5: three forms of "no data". */
static void test_null(void **state)
{
	struct ek_sb sb = wide();
	struct ek_inode in = file();
	uint8_t p[64];

	(void)state;
	in.start = EK_NULL_BLK;
	turn(&sb, &in, p);
	assert_memory_equal(p + 0x10, "\xff\xff\xff\xff", 4);
	assert_int_equal(p[0], 0);
	in.extended = true;
	turn(&sb, &in, p);
	assert_memory_equal(p + 6, "\xff\xff", 2);
	p[6] = p[7] = 0; /* low all ones, high 0: a block like any other */
	assert_int_equal(ek_inode_decode(&sb, p, 64, &in, &err), EK_OK);
	assert_true(in.start == UINT32_MAX);
	turn(&sb, &in, p);
	in.extended = false;
	assert_true(turn(&sb, &in, p).nlink_1);
	in.layout = EK_LAYOUT_INLINE;
	in.extended = true;
	in.start = EK_NULL_BLK;
	in.size = 100;
	turn(&sb, &in, p);
	assert_memory_equal(p + 6, "\xff\xff", 2);
	sb = narrow();
	turn(&sb, &in, p);
	assert_memory_equal(p + 6, "\0\0", 2);
	in.start = EK_BLK_MAX;
	assert_int_equal(ek_inode_encode(&sb, &in, p, &err), EK_INVALID);
}

static void test_dot_omitted(void **state)
{
	struct ek_sb sb = wide();
	struct ek_inode in = file(), out;
	uint8_t p[64];

	(void)state;
	in.mode = 040755;
	in.nlink = 2;
	in.dot_omitted = true;
	out = turn(&sb, &in, p);
	assert_true(out.dot_omitted && !out.nlink_1);
	assert_int_equal(p[6], 2);
	in.extended = true;
	out = turn(&sb, &in, p);
	assert_true(out.dot_omitted);
	in.mode = 0100644;
	out = turn(&sb, &in, p);
	assert_false(out.dot_omitted);
}

static void test_rdev(void **state)
{
	static const uint32_t numbers[][2] = {
		{0, 0}, {1, 3}, {8, 255}, {8, 256}, {4095, 1048575}};
	struct ek_sb sb = narrow();
	struct ek_inode in = file();
	uint8_t p[64];

	(void)state;
	in.start = 0;
	in.size = 0;
	for (size_t i = 0; i < 5; i++) {
		in.mode = i & 1 ? 020600 : 060600;
		in.rdev_major = numbers[i][0];
		in.rdev_minor = numbers[i][1];
		turn(&sb, &in, p);
	}
	assert_memory_equal(p + 0x10, "\xff\xff\xff\xff", 4);
	in.rdev_major = 8;
	in.rdev_minor = 0x12345;
	turn(&sb, &in, p);
	assert_int_equal(ek_get_le32(p + 0x10), 0x12300845);
	in.rdev_major = 4096;
	assert_int_equal(ek_inode_encode(&sb, &in, p, &err), EK_INVALID);
	in.rdev_major = 1;
	in.rdev_minor = 1048576;
	assert_int_equal(ek_inode_encode(&sb, &in, p, &err), EK_INVALID);
}

static void test_why(void **state)
{
	struct ek_sb n = narrow(), w = wide();
	struct ek_inode in = file();

	(void)state;
	assert_int_equal(ek_inode_why_extended(&n, &in), 0);
	in.mtime = 1001;
	assert_int_equal(ek_inode_why_extended(&n, &in), EK_EXT_MTIME);
	assert_int_equal(ek_inode_why_extended(&w, &in), 0);
	in.mtime = 1000 + (int64_t)UINT32_MAX;
	assert_int_equal(ek_inode_why_extended(&w, &in), 0);
	in.mtime++;
	assert_int_equal(ek_inode_why_extended(&w, &in), EK_EXT_MTIME);
	in.mtime = 999;
	assert_int_equal(ek_inode_why_extended(&w, &in), EK_EXT_MTIME);
	in.mtime = INT64_MIN;
	assert_int_equal(ek_inode_why_extended(&w, &in), EK_EXT_MTIME);
	in.mtime = 1000;
	in.mtime_nsec = 8;
	assert_int_equal(ek_inode_why_extended(&w, &in), EK_EXT_MTIME);
	in.mtime_nsec = 9;
	in.size = UINT32_MAX;
	in.uid = 65535;
	in.nlink = 65535;
	assert_int_equal(ek_inode_why_extended(&n, &in), 0);
	in.size++;
	in.gid = 65536;
	in.nlink = 65536;
	assert_int_equal(ek_inode_why_extended(&n, &in),
			 EK_EXT_SIZE | EK_EXT_OWNER | EK_EXT_NLINK);
}

static void test_refused(void **state)
{
	struct ek_sb sb = narrow();
	struct ek_inode in = file(), out;
	uint8_t p[64];

	(void)state;
	turn(&sb, &in, p);
	for (unsigned int fmt = 0; fmt < 65536; fmt += 2) {
		unsigned int layout = fmt >> 1 & 7;
		bool bad = fmt & ~0x1fu || layout > 4;

		ek_put_le16(p, (uint16_t)fmt);
		assert_int_equal(ek_inode_decode(&sb, p, 32, &out, &err),
				 bad ? EK_UNSUPPORTED : EK_OK);
	}
	ek_put_le16(p, EK_LAYOUT_CHUNK << 1);
	ek_put_le16(p + 0x10, 0x80);
	assert_int_equal(ek_inode_decode(&sb, p, 32, &out, &err),
			 EK_UNSUPPORTED);
	ek_put_le16(p, 0);
	ek_put_le16(p + 4, 0x1ff | 0030000);
	assert_int_equal(ek_inode_decode(&sb, p, 32, &out, &err), EK_CORRUPT);
	ek_put_le16(p + 4, 0100644);
	sb.epoch = INT64_MAX;
	assert_int_equal(ek_inode_decode(&sb, p, 32, &out, &err), EK_OK);
	p[0x0c] = 1;
	assert_int_equal(ek_inode_decode(&sb, p, 32, &out, &err), EK_CORRUPT);
}

static void test_positions(void **state)
{
	struct ek_sb sb = narrow();
	uint64_t pos, nid;
	bool box;

	(void)state;
	sb.meta_blkaddr = 2;
	assert_int_equal(ek_nid_pos(&sb, 5, &box, &pos, &err), EK_OK);
	assert_false(box);
	assert_int_equal(pos, 2 * 4096 + 5 * 32);
	assert_int_equal(ek_pos_nid(&sb, pos, &nid, &err), EK_OK);
	assert_int_equal(nid, 5);
	assert_int_equal(ek_pos_nid(&sb, 8191, &nid, &err), EK_INVALID);
	assert_int_equal(ek_pos_nid(&sb, 8193, &nid, &err), EK_INVALID);
	assert_int_equal(ek_nid_pos(&sb, EK_NID_METABOX | 7, &box, &pos, &err),
			 EK_CORRUPT);
	sb.incompat = EK_INCOMPAT_METABOX;
	assert_int_equal(ek_nid_pos(&sb, EK_NID_METABOX | 7, &box, &pos, &err),
			 EK_OK);
	assert_true(box);
	assert_int_equal(pos, 224);
	assert_int_equal(ek_nid_pos(&sb, UINT64_C(1) << 58, &box, &pos, &err),
			 EK_CORRUPT);
	assert_int_equal(ek_nid_pos(&sb, UINT64_MAX, &box, &pos, &err),
			 EK_CORRUPT);
	assert_true(ek_tail_fits(4096, 4096, 4096));
	assert_true(ek_tail_fits(4095, 1, 4096));
	assert_false(ek_tail_fits(4095, 2, 4096));
	assert_false(ek_tail_fits(0, UINT64_MAX, 4096));
}

const struct CMUnitTest inode_tests[] = {
	cmocka_unit_test(test_compact_bytes), cmocka_unit_test(test_extended),
	cmocka_unit_test(test_nlink_1),	      cmocka_unit_test(test_null),
	cmocka_unit_test(test_dot_omitted),   cmocka_unit_test(test_rdev),
	cmocka_unit_test(test_why),	      cmocka_unit_test(test_refused),
	cmocka_unit_test(test_positions),     UNIT_END,
};
