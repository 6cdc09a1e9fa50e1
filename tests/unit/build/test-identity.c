/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fake.h"

#include <erofskit/manifest.h>
#include <stdio.h>
#include <sys/stat.h>

static void build_uuid(struct fake *fake, const struct ek_build_options *o,
		       uint8_t uuid[16])
{
	struct built built;

	fake_build(fake, o, &built);
	memcpy(uuid, built.stats.uuid, 16);
	assert_memory_equal(uuid, ek_image_info(built.image)->uuid, 16);
	assert_int_equal(uuid[6] >> 4, 8);
	assert_int_equal(uuid[8] >> 6, 2);
	built_free(&built);
}

/* Whatever is another in the tree or in the data gives another UUID. */
static void content_uuid(void **state)
{
	static const char *const codecs[] = {NULL, "lz4"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fake *fake = fake_new();
		struct ek_tree_inode *tail, *small, *large;
		struct ek_build_options o = fake_options(codecs[i], 4096, 0);
		uint8_t first[16], uuid[16];

		tail = fake_file(fake, NULL, "tail", 100, RANDOM);
		small = fake_file(fake, NULL, "small", 20000, MIXED);
		large = fake_file(fake, NULL, "large", 20 << 20, RANDOM);
		build_uuid(fake, &o, first);
		o.workers = 3;
		build_uuid(fake, &o, uuid);
		assert_memory_equal(uuid, first, 16);
		((struct fake_data *)tail->data)->seed++;
		build_uuid(fake, &o, uuid);
		assert_memory_not_equal(uuid, first, 16);
		((struct fake_data *)tail->data)->seed--;
		((struct fake_data *)small->data)->seed++;
		build_uuid(fake, &o, uuid);
		assert_memory_not_equal(uuid, first, 16);
		((struct fake_data *)small->data)->seed--;
		((struct fake_data *)large->data)->seed++;
		build_uuid(fake, &o, uuid);
		assert_memory_not_equal(uuid, first, 16);
		((struct fake_data *)large->data)->seed--;
		large->mtime++;
		build_uuid(fake, &o, uuid);
		assert_memory_not_equal(uuid, first, 16);
		large->mtime--;
		build_uuid(fake, &o, uuid);
		assert_memory_equal(uuid, first, 16);
		fake_free(fake);
	}
}

static void uuid_modes(void **state)
{
	static const uint8_t zero[16];
	struct fake *fake = fake_new();
	struct ek_build_options o = fake_options(NULL, 4096, 0);
	struct built a, b;

	(void)state;
	o.uuid_mode = EK_UUID_GIVEN;
	memset(o.uuid, 0xff, 16);
	fake_build(fake, &o, &a);
	assert_memory_equal(a.stats.uuid, o.uuid, 16);
	assert_memory_equal(a.bytes + 1024 + 0x30, o.uuid, 16);
	built_free(&a);
	o.uuid_mode = EK_UUID_CLEAR;
	fake_build(fake, &o, &a);
	assert_memory_equal(a.bytes + 1024 + 0x30, zero, 16);
	built_free(&a);
	o.uuid_mode = EK_UUID_RANDOM;
	fake_build(fake, &o, &a);
	fake_build(fake, &o, &b);
	assert_int_equal(a.stats.uuid[6] >> 4, 4);
	assert_int_equal(a.stats.uuid[8] >> 6, 2);
	assert_true(memcmp(a.stats.uuid, b.stats.uuid, 16) != 0);
	built_free(&a);
	built_free(&b);
	fake_free(fake);
}

struct heard {
	struct ek_manifest_sink base; /* first */
	char paths[4096];
	size_t n;
	int digests;
	int stop_at;
};

static ek_status hear(struct ek_manifest_sink *sink,
		      const struct ek_manifest_entry *e, struct ek_err *err)
{
	struct heard *h = (struct heard *)sink;
	size_t len = strlen(h->paths);

	if (h->n++ == (size_t)h->stop_at)
		return ek_fail(err, EK_DIFFERS, "stop");
	snprintf(h->paths + len, sizeof(h->paths) - len, "%s%s%s ", e->path,
		 e->link ? "=" : "", e->link ? e->link : "");
	if (!S_ISREG(e->mode) || e->link)
		return EK_OK;
	h->digests++;
	/* SHA-256 of the files, from sha256sum. */
	if (!strcmp(e->path, "/b/empty"))
		assert_memory_equal(e->sha256, "\xe3\xb0\xc4\x42", 4);
	if (!strcmp(e->path, "/b/zz"))
		assert_memory_equal(e->sha256, "\x7c\xa5\xbd\x87", 4);
	if (!strcmp(e->path, "/big"))
		assert_memory_equal(e->sha256, "\xcd\x52\xd8\x1e", 4);
	assert_int_equal(e->n_xattrs, strcmp(e->path, "/b/zz") == 0);
	return EK_OK;
}

static void manifest(void **state)
{
	static const char *const names[] = {"user.a"}, *const values[] = {"v"};
	static const char *const codecs[] = {NULL, "lz4"};
	struct fake *fake = fake_new();
	struct ek_tree_node *dir = fake_dir(fake, NULL, "b");
	struct ek_tree_inode *inode =
		fake_file(fake, NULL, "zeros", 5000, ZEROS);
	struct ek_err err;
	struct built built;

	(void)state;
	fake_xattrs(fake, inode, names, values, 1);
	assert_int_equal(
		ek_tree_add(fake->src.tree, dir, "zz", 2, inode, NULL, &err),
		EK_OK);
	fake_file(fake, dir, "empty", 0, TEXT);
	fake_file(fake, NULL, "big", 20u << 20, ZEROS);
	fake_link(fake, NULL, "a", "target");
	for (int i = 0; i < 2; i++) {
		struct heard h = {.base.add = hear, .stop_at = -1};
		struct ek_build_options o = fake_options(codecs[i], 4096, 0);

		o.manifest = &h.base;
		o.workers = (uint32_t)i + 1;
		fake_build(fake, &o, &built);
		/* A link's first name is the first in this order. */
		assert_string_equal(h.paths, "/ /a /b /b/empty /b/zz /big "
					     "/zeros=/b/zz ");
		assert_int_equal(h.digests, 3);
		built_free(&built);
		h.n = 0;
		h.stop_at = 2;
		assert_int_equal(fake_fail(fake, &o, &err), EK_DIFFERS);
	}
	fake_free(fake);
}

/* Same content, other order of arrival: same bytes. */
static void order_of_arrival(void **state)
{
	struct ek_build_options o = fake_options("lz4", 4096, 0);
	struct fake *a = fake_new(), *b = fake_new();
	struct built x, y;
	char name[8];

	(void)state;
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "%d", i);
		fake_file(a, NULL, name, 100u + (unsigned)i * 37, TEXT);
		snprintf(name, sizeof(name), "%d", 299 - i);
		fake_file(b, NULL, name, 100u + (unsigned)(299 - i) * 37, TEXT);
	}
	fake_build(a, &o, &x);
	fake_build(b, &o, &y);
	assert_true(x.n == y.n);
	assert_memory_equal(x.bytes, y.bytes, x.n);
	built_free(&x);
	built_free(&y);
	fake_free(a);
	fake_free(b);
}

const struct CMUnitTest identity_tests[] = {
	cmocka_unit_test(content_uuid),
	cmocka_unit_test(uuid_modes),
	cmocka_unit_test(manifest),
	cmocka_unit_test(order_of_arrival),
	UNIT_END,
};
