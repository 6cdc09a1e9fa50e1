/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "format/chunk.h"

extern const struct CMUnitTest chunk_tests[];

static struct ek_err err;

static struct ek_chunk_map chunk_map(uint16_t format, uint64_t size,
				     uint16_t devices)
{
	struct ek_sb sb = {.blkszbits = 12, .extra_devices = devices};
	struct ek_inode in = {.layout = EK_LAYOUT_CHUNK,
			      .mode = 0100644,
			      .size = size,
			      .xattr_icount = 1,
			      .chunk_format = format};
	struct ek_chunk_map m;

	assert_int_equal(ek_chunk_map_init(&sb, &in, 0x1000, &m, &err), EK_OK);
	return m;
}

static void turn(const struct ek_chunk_map *m, uint64_t blk, uint16_t device,
		 uint8_t *p)
{
	struct ek_chunk a = {.blk = blk, .device = device}, b;

	assert_int_equal(ek_chunk_encode(m, &a, p, &err), EK_OK);
	ek_chunk_decode(m, p, &b);
	assert_true(b.blk == blk);
	assert_int_equal(b.device, device);
}

static void test_block_map(void **state)
{
	struct ek_chunk_map m = chunk_map(2, 3 * 16384 + 1, 0);
	struct ek_chunk c = {.blk = UINT32_MAX};
	uint8_t p[8];

	(void)state;
	assert_int_equal(m.chunkbits, 14);
	assert_int_equal(m.count, 4);
	assert_int_equal(m.unit, 4);
	assert_int_equal(m.pos, 0x1000 + 32 + 12);
	turn(&m, 0x01020304, 0, p);
	assert_memory_equal(p, "\4\3\2\1", 4);
	turn(&m, EK_NULL_BLK, 0, p);
	assert_int_equal(ek_chunk_encode(&m, &c, p, &err), EK_INVALID);
	c.blk = 1;
	c.device = 1;
	assert_int_equal(ek_chunk_encode(&m, &c, p, &err), EK_INVALID);
}

static void test_indexes(void **state)
{
	struct ek_chunk_map m = chunk_map(EK_CHUNK_FMT_INDEXES, 4096, 2);
	struct ek_chunk c = {.blk = EK_NULL_BLK, .device = 2};
	uint8_t p[8];

	(void)state;
	assert_int_equal(m.unit, 8);
	assert_int_equal(m.pos, 0x1000 + 48);
	turn(&m, 5, 2, p);
	assert_memory_equal(p, "\0\0\2\0\5\0\0\0", 8);
	/* A hole has device 0 and no high bits. */
	assert_int_equal(ek_chunk_encode(&m, &c, p, &err), EK_OK);
	assert_memory_equal(p, "\0\0\0\0\xff\xff\xff\xff", 8);
	p[0] = 7; /* not looked at without bit 6 */
	ek_chunk_decode(&m, p, &c);
	assert_true(c.blk == EK_NULL_BLK);
	p[2] = 0xfe; /* masked with 3 */
	ek_chunk_decode(&m, p, &c);
	assert_int_equal(c.device, 2);
	c.device = 4;
	assert_int_equal(ek_chunk_encode(&m, &c, p, &err), EK_INVALID);
}

static void test_wide(void **state)
{
	struct ek_chunk_map m =
		chunk_map(EK_CHUNK_FMT_INDEXES | EK_CHUNK_FMT_48BIT, 4096, 0);
	struct ek_chunk c = {.blk = EK_BLK_MAX};
	uint8_t p[8];

	(void)state;
	turn(&m, UINT64_C(0x123456789abc), 0, p);
	assert_memory_equal(p, "\x34\x12\0\0\xbc\x9a\x78\x56", 8);
	turn(&m, UINT32_MAX, 0, p);
	turn(&m, EK_NULL_BLK, 0, p);
	assert_int_equal(ek_chunk_encode(&m, &c, p, &err), EK_INVALID);
}

static void test_limits(void **state)
{
	struct ek_sb sb = {.blkszbits = 9};
	struct ek_inode in = {.layout = EK_LAYOUT_CHUNK,
			      .size = INT64_MAX,
			      .chunk_format = EK_CHUNK_FMT_INDEXES};
	struct ek_chunk_map m;
	uint16_t format;

	(void)state;
	/* 2^54 indexes of 8 bytes. */
	assert_int_equal(ek_chunk_map_init(&sb, &in, 0, &m, &err), EK_OK);
	assert_int_equal(ek_chunk_map_init(&sb, &in,
					   INT64_MAX - (UINT64_C(1) << 56), &m,
					   &err),
			 EK_CORRUPT);
	assert_int_equal(ek_chunk_map_init(&sb, &in, UINT64_MAX, &m, &err),
			 EK_CORRUPT);
	in.layout = EK_LAYOUT_PLAIN;
	assert_int_equal(ek_chunk_map_init(&sb, &in, 0, &m, &err), EK_CORRUPT);
	assert_int_equal(ek_chunk_format(&sb, 40, true, true, &format, &err),
			 EK_OK);
	assert_int_equal(format, 0x7f);
	assert_int_equal(ek_chunk_format(&sb, 41, true, true, &format, &err),
			 EK_INVALID);
	assert_int_equal(ek_chunk_format(&sb, 8, true, true, &format, &err),
			 EK_INVALID);
}

const struct CMUnitTest chunk_tests[] = {
	cmocka_unit_test(test_block_map),
	cmocka_unit_test(test_indexes),
	cmocka_unit_test(test_wide),
	cmocka_unit_test(test_limits),
	UNIT_END,
};
