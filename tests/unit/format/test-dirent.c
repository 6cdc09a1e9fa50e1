/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "format/dirent.h"
#include "base/bytes.h"

extern const struct CMUnitTest dirent_tests[];

static struct ek_err err;

static struct ek_dent ent(const char *name, uint64_t nid)
{
	struct ek_dent d = {.nid = nid,
			    .name = (const uint8_t *)name,
			    .namelen = (uint16_t)strlen(name),
			    .type = EK_FT_REG};

	return d;
}

/* The example of section 3: "-d", ".", "..", "a", "a1", "b" in 512 bytes. */
static uint32_t example(uint8_t *p)
{
	struct ek_dent e[6] = {ent("-d", 1), ent(".", 2),  ent("..", 3),
			       ent("a", 4),  ent("a1", 5), ent("b", 6)};
	uint32_t used;

	assert_int_equal(ek_dirblock_take(e, 6, 512, &used), 6);
	memset(p, 0xee, 512);
	assert_int_equal(ek_dirblock_encode(e, 6, p, 512, &err), EK_OK);
	return used;
}

static void test_example(void **state)
{
	static const uint8_t offs[6] = {0x48, 0x4a, 0x4b, 0x4d, 0x4e, 0x50};
	struct ek_dirblock b;
	struct ek_dent d;
	uint8_t p[512];

	(void)state;
	assert_int_equal(example(p), 0x51);
	for (int i = 0; i < 6; i++)
		assert_int_equal(ek_get_le16(p + i * 12 + 8), offs[i]);
	assert_memory_equal(p + 0x48, "-d...aa1b", 9);
	assert_int_equal(p[0x51], 0);
	assert_int_equal(p[511], 0);
	for (uint32_t len = 0x51; len <= 512; len++) {
		assert_int_equal(ek_dirblock_open(p, len, &b, &err), EK_OK);
		assert_int_equal(b.count, 6);
		assert_int_equal(ek_dirblock_get(&b, 5, &d, &err), EK_OK);
		assert_int_equal(d.namelen, 1);
		assert_int_equal(d.nid, 6);
		assert_int_equal(d.type, EK_FT_REG);
		assert_true(ek_dirblock_padding_zero(&b));
	}
	assert_int_equal(ek_dirblock_get(&b, 6, &d, &err), EK_CORRUPT);
	p[511] = 1;
	assert_false(ek_dirblock_padding_zero(&b));
}

static void find(const struct ek_dirblock *b, const char *name, ek_status want,
		 uint64_t nid, int want_side)
{
	struct ek_dent d;
	int side = 9;

	assert_int_equal(ek_dirblock_find(b, (const uint8_t *)name,
					  strlen(name), &d, &side, &err),
			 want);
	if (want == EK_OK)
		assert_int_equal(d.nid, nid);
	else
		assert_true(side == want_side);
}

static void test_find(void **state)
{
	struct ek_dirblock b;
	uint8_t p[512];

	(void)state;
	example(p);
	assert_int_equal(ek_dirblock_open(p, 0x51, &b, &err), EK_OK);
	find(&b, "-d", EK_OK, 1, 0);
	find(&b, ".", EK_OK, 2, 0);
	find(&b, "..", EK_OK, 3, 0);
	find(&b, "a", EK_OK, 4, 0);
	find(&b, "a1", EK_OK, 5, 0);
	find(&b, "b", EK_OK, 6, 0);
	find(&b, "-", EK_NOTFOUND, 0, -1);
	find(&b, "a0", EK_NOTFOUND, 0, 0);
	find(&b, "b0", EK_NOTFOUND, 0, 1);
	find(&b, "\xff", EK_NOTFOUND, 0, 1);
}

static void test_cmp(void **state)
{
	(void)state;
	assert_true(ek_name_cmp((const uint8_t *)"a", 1, (const uint8_t *)"ab",
				2) < 0);
	assert_true(ek_name_cmp((const uint8_t *)"\x80", 1,
				(const uint8_t *)"a", 1) > 0);
	assert_int_equal(
		ek_name_cmp((const uint8_t *)"ab", 2, (const uint8_t *)"ab", 2),
		0);
}

/* Two names of 238 bytes fill 500 of 512; 12 more hold no name. */
static void test_take(void **state)
{
	char a[256], b[256];
	struct ek_dent e[3];
	uint32_t used;
	uint8_t p[512];

	(void)state;
	memset(a, 'a', 255);
	memset(b, 'b', 255);
	a[238] = b[238] = 0;
	e[0] = ent(a, 1);
	e[1] = ent(b, 2);
	e[2] = ent("c", 3);
	assert_int_equal(ek_dirblock_take(e, 3, 512, &used), 2);
	assert_int_equal(used, 500);
	assert_int_equal(ek_dirblock_encode(e, 3, p, 512, &err), EK_INVALID);
	a[238] = 'a';
	b[238] = 'b';
	a[244] = b[244] = 0;
	e[0] = ent(a, 1);
	e[1] = ent(b, 2);
	assert_int_equal(ek_dirblock_take(e, 3, 512, &used), 2);
	assert_int_equal(used, 512);
	assert_int_equal(ek_dirblock_encode(e, 2, p, 512, &err), EK_OK);
	b[244] = 'b';
	b[245] = 0;
	e[1] = ent(b, 2);
	assert_int_equal(ek_dirblock_take(e, 3, 512, &used), 1);
	assert_int_equal(used, 256);
}

static void test_encode_refuses(void **state)
{
	struct ek_dent e[2] = {ent("b", 1), ent("a", 2)};
	uint8_t p[512];

	(void)state;
	assert_int_equal(ek_dirblock_encode(e, 2, p, 512, &err), EK_INVALID);
	e[1] = ent("b", 2);
	assert_int_equal(ek_dirblock_encode(e, 2, p, 512, &err), EK_INVALID);
	e[1] = ent("c/d", 2);
	assert_int_equal(ek_dirblock_encode(e, 2, p, 512, &err), EK_INVALID);
	e[1] = ent("", 2);
	assert_int_equal(ek_dirblock_encode(e, 2, p, 512, &err), EK_INVALID);
	assert_int_equal(ek_dirblock_encode(e, 0, p, 512, &err), EK_INVALID);
}

static void test_hostile(void **state)
{
	struct ek_dirblock b;
	struct ek_dent d;
	uint8_t p[512];

	(void)state;
	example(p);
	for (unsigned int off = 0; off <= 600; off++) {
		bool good = off && off % 12 == 0 && off < 0x51;

		ek_put_le16(p + 8, (uint16_t)off);
		assert_int_equal(ek_dirblock_open(p, 0x51, &b, &err),
				 good ? EK_OK : EK_CORRUPT);
	}
	example(p);
	for (uint32_t len = 0; len <= 0x48; len++)
		assert_int_equal(ek_dirblock_open(p, len, &b, &err),
				 EK_CORRUPT);
	assert_int_equal(ek_dirblock_open(p, 0x51, &b, &err), EK_OK);
	for (unsigned int off = 0; off <= 600; off++) {
		bool good = off > 0x4a && off < 0x4d;

		ek_put_le16(p + 2 * 12 + 8, (uint16_t)off);
		assert_int_equal(ek_dirblock_get(&b, 1, &d, &err),
				 off > 0x4a && off <= 0x51 ? EK_OK
							   : EK_CORRUPT);
		if (good)
			assert_int_equal(ek_dirblock_get(&b, 2, &d, &err),
					 EK_OK);
	}
	example(p);
	p[0x48] = '/';
	assert_int_equal(ek_dirblock_get(&b, 0, &d, &err), EK_CORRUPT);
	p[0x48] = 0;
	assert_int_equal(ek_dirblock_get(&b, 0, &d, &err), EK_CORRUPT);
	p[0x50] = 0;
	assert_int_equal(ek_dirblock_get(&b, 5, &d, &err), EK_CORRUPT);
	find(&b, "zz", EK_CORRUPT, 0, 9);
}

/* A last name of more than 255 bytes, and one of just that. */
static void test_long_name(void **state)
{
	struct ek_dirblock b;
	struct ek_dent d;
	uint8_t p[12 + 256];

	(void)state;
	memset(p, 0, 12);
	memset(p + 12, 'x', 256);
	p[8] = 12;
	assert_int_equal(ek_dirblock_open(p, sizeof(p), &b, &err), EK_OK);
	assert_int_equal(ek_dirblock_get(&b, 0, &d, &err), EK_CORRUPT);
	assert_int_equal(ek_dirblock_open(p, sizeof(p) - 1, &b, &err), EK_OK);
	assert_int_equal(ek_dirblock_get(&b, 0, &d, &err), EK_OK);
	assert_int_equal(d.namelen, 255);
}

static void test_types(void **state)
{
	(void)state;
	for (uint8_t t = 1; t < EK_FT_COUNT; t++)
		assert_int_equal(ek_ftype_of_mode(ek_mode_of_ftype(t) | 0777),
				 t);
	assert_int_equal(ek_ftype_of_mode(0), EK_FT_UNKNOWN);
	assert_int_equal(ek_mode_of_ftype(0), 0);
	assert_int_equal(ek_mode_of_ftype(8), 0);
	assert_int_equal(ek_mode_of_ftype(EK_FT_LNK), 0120000);
}

const struct CMUnitTest dirent_tests[] = {
	cmocka_unit_test(test_example),
	cmocka_unit_test(test_find),
	cmocka_unit_test(test_cmp),
	cmocka_unit_test(test_take),
	cmocka_unit_test(test_encode_refuses),
	cmocka_unit_test(test_hostile),
	cmocka_unit_test(test_long_name),
	cmocka_unit_test(test_types),
	UNIT_END,
};
