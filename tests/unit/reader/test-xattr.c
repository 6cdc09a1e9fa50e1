/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

#include <stdio.h>

static ek_status list(void *arg, const struct ek_xattr *x, struct ek_err *err)
{
	char *text = arg;
	size_t at = strlen(text);

	if (strcmp(x->name, "user.stop") == 0)
		return ek_fail(err, EK_CANCELLED, "stop");
	assert_int_equal(strlen(x->name), x->name_len);
	snprintf(text + at, 1024 - at, "%s=%.*s%s ", x->name, (int)x->value_len,
		 (const char *)x->value, x->shared ? "*" : "");
	return EK_OK;
}

static uint8_t *put_entry(uint8_t *p, uint8_t index, const char *name,
			  const char *value)
{
	struct ek_xattr_entry e = {.index = index,
				   .namelen = (uint8_t)strlen(name),
				   .valuelen = (uint16_t)strlen(value),
				   .name = (const uint8_t *)name,
				   .value = (const uint8_t *)value};

	assert_int_equal(ek_xattr_entry_encode(&e, p, 256, NULL), EK_OK);
	return p + ek_xattr_entry_size(e.namelen, e.valuelen);
}

/* An inode in @slot with a region of @size bytes after it. */
static uint8_t *put_file(struct img *m, unsigned slot, uint32_t size)
{
	struct ek_inode in = img_file(EK_LAYOUT_PLAIN, 0);

	in.xattr_icount = ek_xattr_icount(size);
	img_put(m, slot, &in, NULL);
	return m->bytes + img_pos(slot) + 32;
}

static void all_kinds(void **state)
{
	struct img *m = img_new();
	struct ek_xattr_head head = {.filter = 0, .shared_count = 2};
	struct ek_xattr_long infix = {.base = EK_XATTR_TRUSTED,
				      .infixlen = 8,
				      .infix = (const uint8_t *)"overlay."};
	uint8_t entries[200] = {0}, *p = entries, *region;
	char text[1024] = "";
	struct ek_node node;
	uint32_t n;
	size_t used;

	(void)state;
	m->sb.incompat = EK_INCOMPAT_XATTR_PREFIXES;
	m->sb.xattr_prefix_count = 1;
	m->sb.xattr_prefix_start = 12 * IMG_BS / 4;
	assert_int_equal(ek_xattr_long_encode(&infix, img_block(m, 12), 64,
					      &used, &m->err),
			 EK_OK);
	m->sb.xattr_blkaddr = 13;
	put_entry(img_block(m, 13), EK_XATTR_SECURITY, "sel", "label");
	/* In the next block, so ids are not bounded by one. */
	put_entry(img_block(m, 14) + 8, EK_XATTR_USER, "far", "");

	p = put_entry(p, EK_XATTR_USER, "a", "1");
	p += 4; /* slack */
	p = put_entry(p, EK_XATTR_HIDDEN, "secret", "x");
	p = put_entry(p, EK_XATTR_LONG | 0, "opaque", "y");
	p = put_entry(p, EK_XATTR_LONG | 1, "unknown", "y");
	p = put_entry(p, EK_XATTR_ACL_ACCESS, "", "acl");
	n = 12 + 8 + (uint32_t)(p - entries);
	region = put_file(m, 1, n);
	ek_xattr_head_encode(&head, region);
	ek_put_le32(region + 12, 0);
	ek_put_le32(region + 16, IMG_BS / 4 + 2);
	memcpy(region + 20, entries, n - 20);
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(node.xattr_size, n);
	assert_int_equal(ek_image_xattrs(m->image, &node, list, text, &m->err),
			 EK_OK);
	assert_string_equal(text, "user.a=1 trusted.overlay.opaque=y "
				  "system.posix_acl_access=acl "
				  "security.sel=label* user.far=* ");
	/* None at all. */
	text[0] = 0;
	node = img_node(m, 0);
	assert_int_equal(ek_image_xattrs(m->image, &node, list, text, &m->err),
			 EK_OK);
	assert_string_equal(text, "");
	img_free(m);
}

static void refused(void **state)
{
	struct img *m = img_new();
	struct ek_xattr_head head = {.shared_count = 0};
	char text[1024] = "";
	struct ek_node node;
	uint8_t *p;

	(void)state;
	m->sb.xattr_blkaddr = 13;
	put_file(m, 1, 12); /* a header alone */
	p = put_file(m, 2, 24);
	ek_xattr_head_encode(&head, p);
	put_entry(p + 12, EK_XATTR_USER, "a", "1");
	p[12 + 2] = 8; /* the value ends beyond the region */
	p = put_file(m, 3, 16);
	head.shared_count = 2; /* ids beyond the region */
	ek_xattr_head_encode(&head, p);
	p = put_file(m, 4, 16);
	head.shared_count = 1;
	ek_xattr_head_encode(&head, p);
	ek_put_le32(p + 12, 0xffffffff); /* far beyond the image */
	p = put_file(m, 5, 20);
	head.shared_count = 0;
	ek_xattr_head_encode(&head, p);
	put_entry(p + 12, EK_XATTR_USER, "stop", "");
	img_must_open(m);
	for (unsigned slot = 1; slot < 6; slot++) {
		ek_status want = slot == 1   ? EK_UNSUPPORTED
				 : slot == 5 ? EK_CANCELLED
					     : EK_CORRUPT;

		node = img_node(m, slot);
		assert_int_equal(
			ek_image_xattrs(m->image, &node, list, text, &m->err),
			want);
	}
	assert_string_equal(text, "");
	img_free(m);
}

/* A shared entry that ends with the image needs no padding. */
static void at_the_end(void **state)
{
	struct img *m = img_new();
	struct ek_xattr_head head = {.shared_count = 1};
	char text[1024] = "";
	struct ek_node node;
	uint8_t *p = put_file(m, 1, 16);

	(void)state;
	ek_xattr_head_encode(&head, p);
	ek_put_le32(p + 12, 20 * IMG_BS / 4);
	put_entry(img_block(m, 20), EK_XATTR_USER, "z", "");
	m->size = 20 * IMG_BS + 5;
	img_must_open(m);
	node = img_node(m, 1);
	assert_int_equal(ek_image_xattrs(m->image, &node, list, text, &m->err),
			 EK_OK);
	assert_string_equal(text, "user.z=* ");
	img_free(m);
}

static void prefix_table(void **state)
{
	struct img *m = img_new();

	(void)state;
	m->sb.incompat = EK_INCOMPAT_XATTR_PREFIXES;
	m->sb.xattr_prefix_count = 1;
	m->sb.xattr_prefix_start = IMG_MAX / 4;
	assert_int_equal(img_open(m, NULL), EK_CORRUPT);
	img_free(m);

	/* A record without even its base: length 0. */
	m = img_new();
	m->sb.incompat = EK_INCOMPAT_XATTR_PREFIXES;
	m->sb.xattr_prefix_count = 255;
	m->sb.xattr_prefix_start = 12 * IMG_BS / 4;
	assert_int_equal(img_open(m, NULL), EK_CORRUPT);
	img_free(m);
}

const struct CMUnitTest xattr_tests[] = {
	cmocka_unit_test(all_kinds),
	cmocka_unit_test(refused),
	cmocka_unit_test(at_the_end),
	cmocka_unit_test(prefix_table),
	UNIT_END,
};
