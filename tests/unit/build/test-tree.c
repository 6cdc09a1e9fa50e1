/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fake.h"

#include <stdio.h>
#include <sys/stat.h>

/* Everything comes back, for all block sizes and codecs. */
static void zoo(void **state)
{
	static const char *const codecs[] = {NULL, "lz4", "lz4hc"};
	struct fake *fake = fake_zoo();

	(void)state;
	for (uint32_t bs = 512; bs <= 4096; bs *= 2)
		for (size_t c = 0; c < 3; c++)
			for (uint32_t big = 1; big <= 4; big *= 4) {
				struct ek_build_options o =
					fake_options(codecs[c], bs, bs * big);
				struct built built;

				fake_build(fake, &o, &built);
				fake_compare(fake, &o, &built);
				built_free(&built);
			}
	fake_free(fake);
}

static void variants(void **state)
{
	struct fake *fake = fake_zoo();
	struct built built;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct ek_build_options o = fake_options("lz4", 4096, 0);

		o.xattr_share = i - 1;
		o.no_inline_data = i == 1;
		o.inode_form = i == 2 ? EK_FORM_EXTENDED : EK_FORM_AUTO;
		o.no_checksum = i == 3;
		o.label = i == 4 ? "fifteen-bytes-x" : NULL;
		fake_build(fake, &o, &built);
		fake_compare(fake, &o, &built);
		assert_string_equal(ek_image_info(built.image)->volume_name,
				    o.label ? o.label : "");
		assert_int_equal(ek_image_info(built.image)->feature_compat & 1,
				 !o.no_checksum);
		built_free(&built);
	}
	fake_free(fake);
}

static void empty_root(void **state)
{
	struct fake *fake = fake_new();
	struct ek_build_options o = fake_options("lz4", 4096, 65536);
	struct built built;

	(void)state;
	fake_build(fake, &o, &built);
	fake_compare(fake, &o, &built);
	assert_int_equal(built.n, 2 * 4096);
	/* Nothing is compressed: nothing is announced. */
	assert_int_equal(ek_image_info(built.image)->feature_incompat, 0);
	assert_string_equal(built.stats.oldest_kernel, "5.4");
	assert_int_equal(built.stats.meta_blocks, 2);
	built_free(&built);
	fake_free(fake);
}

/* Compact only when every kernel shows the same. */
static void forms(void **state)
{
	struct fake *fake = fake_new();
	struct ek_build_options o = fake_options(NULL, 4096, 0);
	struct built built;

	(void)state;
	fake_file(fake, NULL, "newest", 1, TEXT)->mtime = 2000000;
	fake_file(fake, NULL, "nsec", 1, TEXT)->mtime = 2000000;
	fake->src.tree->root->children[0]->inode->mtime_nsec = 7;
	fake_file(fake, NULL, "older", 1, TEXT);
	fake_file(fake, NULL, "ids", 1, TEXT)->mtime = 2000000;
	fake->src.tree->root->children[3]->inode->mtime_nsec = 7;
	fake->src.tree->root->children[3]->inode->uid = 65536;
	fake_build(fake, &o, &built);
	fake_compare(fake, &o, &built);
	assert_true(ek_image_info(built.image)->build_time == 2000000);
	assert_int_equal(ek_image_info(built.image)->fixed_nsec, 7);
	assert_false(built_node(&built, "newest").extended);
	assert_true(built_node(&built, "nsec").extended);
	assert_true(built_node(&built, "older").extended);
	assert_true(built_node(&built, "ids").extended);
	built_free(&built);
	fake_free(fake);
}

static uint32_t count_small(const struct built *built, uint32_t n)
{
	uint32_t small = 0;
	char name[16];

	for (uint32_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		small += !built_node(built, name).extended;
	}
	return small;
}

/* A time that many inodes have, when that saves a block: 128 inodes. */
static void common_time(void **state)
{
	static const struct {
		bool wide;
		uint32_t same; /* of 200 files */
		uint32_t nsec;
		uint32_t small;
		int64_t time;
	} rows[] = {
		{false, 127, 0, 0, 2000000}, {false, 130, 0, 130, -777},
		{false, 200, 0, 200, -777},  {false, 200, 5, 0, 2000000},
		{true, 130, 0, 200, -777},
	};

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct fake *fake = fake_new();
		struct ek_build_options o = fake_options(NULL, 4096, 0);
		struct built built;

		o.wide = rows[r].wide;
		for (uint32_t i = 0; i < 200; i++) {
			struct ek_tree_inode *in;
			char name[16];

			snprintf(name, sizeof(name), "f%u", i);
			in = fake_file(fake, NULL, name, 1, TEXT);
			in->mtime = i < rows[r].same ? -777 : (int64_t)i;
			in->mtime_nsec = i < rows[r].same ? rows[r].nsec : 0;
		}
		fake_file(fake, NULL, "newest", 1, TEXT)->mtime = 2000000;
		fake_build(fake, &o, &built);
		fake_compare(fake, &o, &built);
		assert_int_equal(count_small(&built, 200), rows[r].small);
		assert_true(ek_image_info(built.image)->build_time ==
			    rows[r].time);
		built_free(&built);
		fake_free(fake);
	}
}

static void times_and_owners(void **state)
{
	struct fake *fake = fake_new();
	struct ek_build_options o = fake_options(NULL, 4096, 0);
	struct ek_node n;
	struct built built;

	(void)state;
	fake_file(fake, NULL, "new", 1, TEXT)->mtime = 5000;
	fake_file(fake, NULL, "old", 1, TEXT)->mtime = 10;
	fake->src.tree->root->inode->mtime = 10;
	o.time_mode = EK_TIME_CLAMP;
	o.fixed_time = 1000;
	o.force_uid = true;
	o.uid = 5;
	o.uid_offset = 100;
	o.gid_offset = 7;
	fake_build(fake, &o, &built);
	assert_true(built_node(&built, "new").mtime == 1000);
	assert_true(built_node(&built, "old").mtime == 10);
	n = built_node(&built, "old");
	assert_int_equal(n.uid, 105);
	assert_int_equal(n.gid, 7);
	assert_true(ek_image_info(built.image)->build_time == 1000);
	built_free(&built);
	o.time_mode = EK_TIME_ALL;
	fake_build(fake, &o, &built);
	assert_true(built_node(&built, "old").mtime == 1000);
	assert_false(built_node(&built, "old").extended);
	built_free(&built);
	o.time_mode = EK_TIME_SUPERBLOCK;
	fake_build(fake, &o, &built);
	assert_true(built_node(&built, "new").mtime == 5000);
	assert_true(ek_image_info(built.image)->build_time == 1000);
	built_free(&built);
	o.ignore_mtime = true;
	fake_build(fake, &o, &built);
	assert_true(built_node(&built, "new").mtime == 1000);
	built_free(&built);
	fake_free(fake);
}

/* Metadata is in the head and in one run of blocks. */
static void two_ranges(void **state)
{
	struct fake *fake = fake_zoo();
	struct ek_build_options o = fake_options("lz4", 4096, 0);
	const struct ek_image_info *info;
	struct built built;
	struct ek_node n;

	(void)state;
	fake_build(fake, &o, &built);
	info = ek_image_info(built.image);
	assert_true(info->meta_blkaddr + built.stats.meta_blocks - 1 ==
		    info->blocks);
	assert_true(info->root_nid == 1);
	n = built_node(&built, "sub");
	assert_true(n.position > info->meta_blkaddr * 4096);
	if (n.startblk != UINT32_MAX)
		assert_true(n.startblk >= info->meta_blkaddr);
	n = built_node(&built, "sub/s0-40000");
	assert_int_equal(n.layout, EK_LAYOUT_COMPRESSED_COMPACT);
	n = built_node(&built, "sub/s1-40000");
	assert_int_equal(n.layout, EK_LAYOUT_FLAT_INLINE);
	n = built_node(&built, "sub/s1-8192");
	assert_int_equal(n.layout, EK_LAYOUT_FLAT_PLAIN);
	assert_true(n.startblk < info->meta_blkaddr);
	built_free(&built);
	fake_free(fake);
}

/* More shared attributes than one inode may refer to. */
static void many_xattrs(void **state)
{
	struct fake *fake = fake_new();
	struct ek_build_options o = fake_options(NULL, 4096, 0);
	char text[300][16];
	const char *names[300], *values[300];
	struct built built;

	(void)state;
	for (int i = 0; i < 300; i++) {
		snprintf(text[i], sizeof(text[i]), "user.n%03d", i);
		names[i] = text[i];
		values[i] = text[i] + 5;
	}
	for (int i = 0; i < 4; i++) {
		snprintf(text[0], sizeof(text[0]), "user.n000");
		fake_xattrs(
			fake,
			fake_file(fake, NULL, i ? text[i] : "f", 4000, TEXT),
			names, values, 300);
	}
	fake_build(fake, &o, &built);
	fake_compare(fake, &o, &built);
	built_free(&built);
	fake_free(fake);
}

/* A directory over many blocks: order over all of them. */
static void large_directory(void **state)
{
	struct fake *fake = fake_new();
	struct ek_build_options o = fake_options(NULL, 4096, 0);
	struct ek_tree_inode *inode = fake_file(fake, NULL, "one", 3, TEXT);
	struct built built;
	struct ek_err err;
	char name[32];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		int n = snprintf(name, sizeof(name), "%c%d", '!' + i % 80, i);

		for (char *p = name; *p; p++)
			if (*p == '/')
				*p = '~';
		assert_int_equal(ek_tree_add(fake->src.tree,
					     fake->src.tree->root, name,
					     (size_t)n, inode, NULL, &err),
				 EK_OK);
	}
	fake_build(fake, &o, &built);
	fake_compare(fake, &o, &built);
	assert_int_equal(built_node(&built, "one").nlink, 20001);
	assert_int_equal(built.stats.inodes, 2);
	built_free(&built);
	fake_free(fake);
}

const struct CMUnitTest tree_tests[] = {
	cmocka_unit_test(zoo),
	cmocka_unit_test(variants),
	cmocka_unit_test(empty_root),
	cmocka_unit_test(forms),
	cmocka_unit_test(common_time),
	cmocka_unit_test(times_and_owners),
	cmocka_unit_test(two_ranges),
	cmocka_unit_test(many_xattrs),
	cmocka_unit_test(large_directory),
	UNIT_END,
};
