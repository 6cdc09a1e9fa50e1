/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "format/xattr.h"
#include "base/bytes.h"

extern const struct CMUnitTest xattr_tests[];

static struct ek_err err;

static struct ek_xattr_entry attr(uint8_t index, const char *name,
				  const char *value)
{
	struct ek_xattr_entry e = {.index = index,
				   .namelen = (uint8_t)strlen(name),
				   .valuelen = (uint16_t)strlen(value),
				   .name = (const uint8_t *)name,
				   .value = (const uint8_t *)value};

	return e;
}

/* Header, one shared id, user.foo=bar, slack, security.x="". */
static size_t region(uint8_t *p, size_t cap)
{
	struct ek_xattr_head h = {.filter = 0x12345678, .shared_count = 1};
	struct ek_xattr_entry a = attr(EK_XATTR_USER, "foo", "bar");
	struct ek_xattr_entry b = attr(EK_XATTR_SECURITY, "x", "");
	size_t n = 16;

	memset(p, 0xee, cap);
	ek_xattr_head_encode(&h, p);
	ek_put_le32(p + 12, 99);
	assert_int_equal(ek_xattr_entry_encode(&a, p + n, cap - n, &err),
			 EK_OK);
	n += ek_xattr_entry_size(3, 3);
	ek_put_le32(p + n, 0);
	n += 4;
	assert_int_equal(ek_xattr_entry_encode(&b, p + n, cap - n, &err),
			 EK_OK);
	return n + ek_xattr_entry_size(1, 0);
}

static void test_region(void **state)
{
	static const uint8_t want[12] = {3,   1,   3,	0,   'f', 'o',
					 'o', 'b', 'a', 'r', 0,	  0};
	struct ek_xattr_head h;
	struct ek_xattr_iter it;
	struct ek_xattr_entry e;
	uint8_t p[64];
	size_t n = region(p, sizeof(p));

	(void)state;
	assert_int_equal(n, 40);
	assert_int_equal(ek_xattr_icount((uint32_t)n), 8);
	assert_int_equal(ek_xattr_icount_size(8), 40);
	assert_memory_equal(p + 16, want, 12);
	assert_int_equal(ek_xattr_head_decode(p, n, &h, &err), EK_OK);
	assert_int_equal(h.filter, 0x12345678);
	assert_int_equal(h.shared_count, 1);
	assert_false(h.reserved_nonzero);
	assert_int_equal(ek_xattr_shared_id(p, 0), 99);
	ek_xattr_iter_init(&it, p, n, &h);
	assert_int_equal(ek_xattr_iter_next(&it, &e, &err), EK_OK);
	assert_int_equal(e.index, EK_XATTR_USER);
	assert_memory_equal(e.value, "bar", 3);
	assert_false(e.padding_nonzero);
	assert_int_equal(ek_xattr_iter_next(&it, &e, &err), EK_OK);
	assert_int_equal(e.index, EK_XATTR_SECURITY);
	assert_int_equal(e.valuelen, 0);
	assert_int_equal(ek_xattr_iter_next(&it, &e, &err), EK_NOTFOUND);
	assert_int_equal(ek_xattr_iter_next(&it, &e, &err), EK_NOTFOUND);
}

static void test_region_hostile(void **state)
{
	struct ek_xattr_head h;
	struct ek_xattr_iter it;
	struct ek_xattr_entry e;
	uint8_t p[64];
	size_t n = region(p, sizeof(p));

	(void)state;
	assert_int_equal(ek_xattr_head_decode(p, 12, &h, &err), EK_UNSUPPORTED);
	assert_int_equal(ek_xattr_head_decode(p, 16, &h, &err), EK_OK);
	p[4] = 2;
	assert_int_equal(ek_xattr_head_decode(p, 16, &h, &err), EK_CORRUPT);
	p[4] = 255;
	assert_int_equal(ek_xattr_head_decode(p, n, &h, &err), EK_CORRUPT);
	p[4] = 1;
	p[11] = 1;
	assert_int_equal(ek_xattr_head_decode(p, n, &h, &err), EK_OK);
	assert_true(h.reserved_nonzero);
	/* Cut in the middle of the first entry. */
	for (size_t cut = 20; cut < 28; cut += 4) {
		ek_xattr_iter_init(&it, p, cut, &h);
		assert_int_equal(ek_xattr_iter_next(&it, &e, &err), EK_CORRUPT);
	}
	p[18] = 14; /* value that ends just in the region, and 4 more */
	ek_xattr_iter_init(&it, p, n, &h);
	assert_int_equal(ek_xattr_iter_next(&it, &e, &err), EK_OK);
	assert_int_equal(ek_xattr_iter_next(&it, &e, &err), EK_NOTFOUND);
	p[18] = 18;
	ek_xattr_iter_init(&it, p, n, &h);
	assert_int_equal(ek_xattr_iter_next(&it, &e, &err), EK_CORRUPT);
	p[18] = 3;
	p[27] = 1;
	assert_int_equal(ek_xattr_entry_decode(p + 16, 12, &e, &err), EK_OK);
	assert_true(e.padding_nonzero);
	assert_int_equal(ek_xattr_entry_decode(p + 16, 3, &e, &err),
			 EK_CORRUPT);
}

static void test_entry_max(void **state)
{
	static uint8_t buf[EK_XATTR_ENTRY_MAX], bytes[65535];
	struct ek_xattr_entry e = {.index = EK_XATTR_USER,
				   .namelen = 255,
				   .valuelen = 65535,
				   .name = bytes,
				   .value = bytes};

	(void)state;
	memset(bytes, 'v', sizeof(bytes));
	assert_int_equal(ek_xattr_entry_encode(&e, buf, sizeof(buf) - 1, &err),
			 EK_INVALID);
	assert_int_equal(ek_xattr_entry_encode(&e, buf, sizeof(buf), &err),
			 EK_OK);
	assert_int_equal(ek_xattr_entry_peek(buf), EK_XATTR_ENTRY_MAX);
	assert_int_equal(ek_xattr_entry_decode(buf, sizeof(buf) - 1, &e, &err),
			 EK_CORRUPT);
	assert_int_equal(ek_xattr_entry_decode(buf, sizeof(buf), &e, &err),
			 EK_OK);
	assert_int_equal(e.valuelen, 65535);
	assert_int_equal(ek_xattr_icount_size(65535), EK_XATTR_REGION_MAX);
}

static void split(const char *name, int want_index, size_t want_len)
{
	uint8_t index = 0;
	size_t plen = 0;
	bool ok = ek_xattr_split(name, strlen(name), &index, &plen);

	assert_int_equal(ok, want_index != 0);
	assert_int_equal(index, want_index);
	assert_int_equal(plen, want_len);
}

static void test_split(void **state)
{
	char name[300] = "user.";

	(void)state;
	split("user.foo", EK_XATTR_USER, 5);
	split("trusted.overlay.opaque", EK_XATTR_TRUSTED, 8);
	split("security.capability", EK_XATTR_SECURITY, 9);
	split("system.posix_acl_access", EK_XATTR_ACL_ACCESS, 23);
	split("system.posix_acl_default", EK_XATTR_ACL_DEFAULT, 24);
	split("system.posix_acl_accessx", 0, 0);
	split("user.", 0, 0);
	split("user", 0, 0);
	split("system.other", 0, 0);
	split("", 0, 0);
	memset(name + 5, 'a', 255);
	split(name, EK_XATTR_USER, 5);
	name[260] = 'a';
	split(name, 0, 0);
}

static void test_long(void **state)
{
	static const uint8_t want[12] = {8,   0,   4,	'o', 'v', 'e',
					 'r', 'l', 'a', 'y', 0,	  0};
	struct ek_xattr_long l = {.base = EK_XATTR_TRUSTED,
				  .infixlen = 7,
				  .infix = (const uint8_t *)"overlay"};
	struct ek_xattr_entry e = attr(EK_XATTR_LONG, ".opaque", "y");
	char name[EK_XATTR_FULL_MAX + 1];
	uint8_t p[300];
	size_t n;

	(void)state;
	assert_int_equal(ek_xattr_long_encode(&l, p, 11, &n, &err), EK_INVALID);
	assert_int_equal(ek_xattr_long_encode(&l, p, sizeof(p), &n, &err),
			 EK_OK);
	assert_int_equal(n, 12);
	assert_memory_equal(p, want, 12);
	assert_int_equal(ek_xattr_long_decode(p, 9, &l, &err), EK_CORRUPT);
	assert_int_equal(ek_xattr_long_decode(p, 1, &l, &err), EK_CORRUPT);
	assert_int_equal(ek_xattr_long_decode(p, 10, &l, &err), EK_OK);
	assert_int_equal(l.size, 10);
	assert_int_equal(ek_xattr_full_name(&e, &l, 1, name, &n), EK_OK);
	assert_string_equal(name, "trusted.overlay.opaque");
	assert_int_equal(n, 22);
	e.index = EK_XATTR_LONG | 1;
	assert_int_equal(ek_xattr_full_name(&e, &l, 1, name, &n), EK_NOTFOUND);
	e.index = EK_XATTR_USER;
	assert_int_equal(ek_xattr_full_name(&e, NULL, 0, name, &n), EK_OK);
	assert_string_equal(name, "user..opaque");
	e.index = 0;
	assert_int_equal(ek_xattr_full_name(&e, NULL, 0, name, &n),
			 EK_NOTFOUND);
	e.index = 7;
	assert_int_equal(ek_xattr_full_name(&e, NULL, 0, name, &n),
			 EK_NOTFOUND);
	ek_put_le16(p, 0);
	assert_int_equal(ek_xattr_long_decode(p, sizeof(p), &l, &err),
			 EK_CORRUPT);
	ek_put_le16(p, 257);
	assert_int_equal(ek_xattr_long_decode(p, sizeof(p), &l, &err),
			 EK_CORRUPT);
	ek_put_le16(p, 256);
	assert_int_equal(ek_xattr_long_decode(p, sizeof(p), &l, &err), EK_OK);
	assert_int_equal(l.infixlen, 255);
}

static void test_place(void **state)
{
	struct ek_sb sb = {.blkszbits = 12, .xattr_blkaddr = 2};
	bool box;

	(void)state;
	assert_int_equal(ek_xattr_long_place(&sb), EK_PLACE_DEVICE);
	sb.packed_nid = 9;
	assert_int_equal(ek_xattr_long_place(&sb), EK_PLACE_DEVICE);
	sb.incompat = EK_INCOMPAT_FRAGMENTS;
	assert_int_equal(ek_xattr_long_place(&sb), EK_PLACE_PACKED);
	sb.incompat |= EK_INCOMPAT_METABOX;
	assert_int_equal(ek_xattr_long_place(&sb), EK_PLACE_METABOX);
	assert_int_equal(ek_xattr_shared_pos(&sb, 3, &box), 8204);
	assert_false(box);
	sb.compat = EK_COMPAT_PLAIN_XATTR_PFX | EK_COMPAT_SHARED_EA_METABOX;
	assert_int_equal(ek_xattr_long_place(&sb), EK_PLACE_DEVICE);
	assert_true(ek_xattr_shared_pos(&sb, UINT32_MAX, &box) ==
		    8192 + UINT64_C(4) * UINT32_MAX);
	assert_true(box);
}

/* The vectors of section 4.5. */
static void test_filter(void **state)
{
	struct ek_sb sb = {.compat = EK_COMPAT_XATTR_FILTER};

	(void)state;
	assert_int_equal(ek_xattr_filter_bit(EK_XATTR_ACL_DEFAULT,
					     (const uint8_t *)"", 0),
			 21);
	assert_int_equal(ek_xattr_filter_bit(EK_XATTR_ACL_ACCESS,
					     (const uint8_t *)"", 0),
			 30);
	assert_int_equal(
		ek_xattr_filter_bit(EK_XATTR_USER, (const uint8_t *)"foo", 3),
		12);
	assert_int_equal(ek_xattr_filter_bit(EK_XATTR_TRUSTED,
					     (const uint8_t *)"overlay.opaque",
					     14),
			 20);
	assert_true(ek_xattr_filter_on(&sb));
	sb.xattr_filter_reserved = 1;
	assert_false(ek_xattr_filter_on(&sb));
}

const struct CMUnitTest xattr_tests[] = {
	cmocka_unit_test(test_region),	  cmocka_unit_test(test_region_hostile),
	cmocka_unit_test(test_entry_max), cmocka_unit_test(test_split),
	cmocka_unit_test(test_long),	  cmocka_unit_test(test_place),
	cmocka_unit_test(test_filter),	  UNIT_END,
};
