/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fake.h"

static void refused(const struct ek_build_options *o, const char *word)
{
	struct ek_err err;

	assert_int_equal(ek_build_check_options(o, &err), EK_INVALID);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not name %s", err.text, word);
}

static void wrong_options(void **state)
{
	const struct ek_build_options good = fake_options("lz4hc", 4096, 65536);
	struct ek_build_options o = good;
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_build_check_options(&o, &err), EK_OK);
	o.block_size = 3000;
	refused(&o, "block size 3000");
	o.block_size = 8192;
	refused(&o, "block size 8192");
	o = good;
	o.max_pcluster = 5000;
	refused(&o, "pcluster size 5000");
	o.max_pcluster = 2u << 20;
	refused(&o, "pcluster size 2097152");
	o.max_pcluster = 1u << 20;
	assert_int_equal(ek_build_check_options(&o, &err), EK_OK);
	/* 256 blocks at most, since the kernel counts in pages. */
	o.block_size = 2048;
	refused(&o, "256 blocks");
	o = good;
	o.codec = "rar";
	refused(&o, "\"rar\"");
	o = good;
	o.level = 13;
	refused(&o, "level 13");
	o = good;
	o.label = "sixteen-bytes-xy";
	refused(&o, "sixteen-bytes-xy");
	o = good;
	o.workers = 5000;
	refused(&o, "5000 workers");
	o = good;
	o.size = 3;
	refused(&o, "size");
	o = good;
	o.size = sizeof(o) + 8;
	refused(&o, "size");
}

static void codecs(void **state)
{
	const char *name = NULL;
	size_t n = 0, found = 0;

	(void)state;
	for (; ek_build_codec(n, &name); n++)
		found += !strcmp(name, "lz4") || !strcmp(name, "lz4hc");
	assert_int_equal(found, 2);
	assert_null(ek_build_codec(n + 5, NULL));
}

static void expect(struct fake *fake, const struct ek_build_options *o,
		   ek_status status, const char *word)
{
	struct ek_err err;

	assert_int_equal(fake_fail(fake, o, &err), status);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not name %s", err.text, word);
}

/* Errors of inodes name their path. */
static void wrong_trees(void **state)
{
	static const char *const names[] = {"system.odd"}, *const values[] = {
								   "v"};
	struct ek_build_options o = fake_options(NULL, 4096, 0);
	struct fake *fake = fake_new();
	struct ek_tree_node *dir = fake_dir(fake, NULL, "dir");
	struct ek_tree_inode *inode = fake_file(fake, dir, "file", 5, TEXT);

	(void)state;
	inode->gid = 70000;
	o.inode_form = EK_FORM_COMPACT;
	expect(fake, &o, EK_LIMIT, "/dir/file: cannot be a compact inode");
	o.inode_form = EK_FORM_AUTO;
	o.gid_offset = -70001;
	expect(fake, &o, EK_INVALID, "gid with offset -70001");
	o.gid_offset = 0;
	fake_free(fake);

	fake = fake_new();
	fake_xattrs(fake, fake_file(fake, NULL, "f", 5, TEXT), names, values,
		    1);
	expect(fake, &o, EK_UNSUPPORTED, "/f: attribute \"system.odd\"");
	fake_free(fake);

	fake = fake_new();
	inode = fake_node(fake, NULL, "dev", 0020600);
	inode->rdev_major = 5000;
	expect(fake, &o, EK_INVALID, "/dev: device number");
	fake_free(fake);
}

static void broken_source(void **state)
{
	static const char *const codecs[] = {NULL, "lz4"};

	(void)state;
	for (int i = 0; i < 16; i++) {
		struct ek_build_options o =
			fake_options(codecs[i & 1], 4096, 0);
		struct fake *fake = fake_new();
		uint64_t size = i & 2 ? 9u << 20 : 6000;
		struct ek_tree_inode *inode;
		struct fake_data *data;

		o.workers = i & 8 ? 3 : 1;
		for (int k = 0; k < 20; k++) {
			char name[] = {(char)('a' + k), 0};

			fake_file(fake, NULL, name, 3000, TEXT);
		}
		inode = fake_file(fake, NULL, "x", size, TEXT);
		data = inode->data;
		if (i & 4)
			data->read_status = EK_IO;
		else
			data->close_status = EK_CHANGED;
		expect(fake, &o, i & 4 ? EK_IO : EK_CHANGED, "broken");
		fake_free(fake);
	}
}

static void cancelled(void **state)
{
	struct fake *fake = fake_zoo();
	struct ek_build_options o = fake_options("lz4", 4096, 0);
	volatile int stop = 1;

	(void)state;
	o.cancel = &stop;
	expect(fake, &o, EK_CANCELLED, "cancelled");
	o.workers = 3;
	expect(fake, &o, EK_CANCELLED, "cancelled");
	fake_free(fake);
}

/* A sink that is too small fails the build. */
static void full_sink(void **state)
{
	struct fake *fake = fake_zoo();
	struct ek_build_options o = fake_options(NULL, 4096, 0);
	struct ek_sink *sink;
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_tree_seal(fake->src.tree, &err), EK_OK);
	assert_int_equal(ek_sink_in_memory(100000, &sink, &err), EK_OK);
	assert_int_equal(ek_build_tree(&fake->src, &o, sink, NULL, &err),
			 EK_LIMIT);
	ek_sink_free(sink);
	fake_free(fake);
}

const struct CMUnitTest options_tests[] = {
	cmocka_unit_test(wrong_options),
	cmocka_unit_test(codecs),
	cmocka_unit_test(wrong_trees),
	cmocka_unit_test(broken_source),
	cmocka_unit_test(cancelled),
	cmocka_unit_test(full_sink),
	UNIT_END,
};
