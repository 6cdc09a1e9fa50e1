/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

#include <stdio.h>

struct listing {
	char text[4096];
	int n, stop_at;
};

static ek_status list(void *arg, const struct ek_dirent *e, struct ek_err *err)
{
	struct listing *l = arg;
	size_t at = strlen(l->text);

	if (++l->n == l->stop_at)
		return ek_fail(err, EK_CANCELLED, "stop");
	snprintf(l->text + at, sizeof(l->text) - at, "%.*s:%u ",
		 (int)e->name_len, e->name, e->type);
	return EK_OK;
}

static struct img *small_tree(void)
{
	struct img *m = img_new();
	struct ek_inode file = img_file(EK_LAYOUT_PLAIN, 0);

	img_put(m, 1, &file, "file");
	img_put(m, 2, &file, "-early");
	file.mode = S_IFIFO | 0644;
	img_put(m, 3, &file, "pipe");
	img_must_open(m);
	return m;
}

static void order(void **state)
{
	struct img *m = small_tree();
	struct listing l = {{0}, 0, 0};
	struct ek_node root = img_node(m, 0), file = img_node(m, 1);

	(void)state;
	assert_int_equal(ek_image_readdir(m->image, &root, list, &l, &m->err),
			 EK_OK);
	assert_string_equal(l.text, "-early:1 .:2 ..:2 file:1 pipe:5 ");
	l.n = 0;
	l.stop_at = 2;
	assert_int_equal(ek_image_readdir(m->image, &root, list, &l, &m->err),
			 EK_CANCELLED);
	assert_int_equal(l.n, 2);
	assert_int_equal(ek_image_readdir(m->image, &file, list, &l, &m->err),
			 EK_INVALID);
	img_free(m);
}

static void paths(void **state)
{
	static const struct {
		const char *path;
		ek_status status;
		unsigned slot;
	} cases[] = {
		{"", EK_OK, 0},
		{"/", EK_OK, 0},
		{"/.", EK_OK, 0},
		{"//./", EK_OK, 0},
		{"file", EK_OK, 1},
		{"/file", EK_OK, 1},
		{".//file", EK_OK, 1},
		{"/-early", EK_OK, 2},
		{"/file/", EK_NOTFOUND, 0},
		{"/file/x", EK_NOTFOUND, 0},
		{"/file/.", EK_NOTFOUND, 0},
		{"/fil", EK_NOTFOUND, 0},
		{"/files", EK_NOTFOUND, 0},
		{"/zzz", EK_NOTFOUND, 0},
		{"/!", EK_NOTFOUND, 0},
		{"..", EK_INVALID, 0},
		{"/./..", EK_INVALID, 0},
	};
	struct img *m = small_tree();
	struct ek_node node;

	(void)state;
	for (size_t i = 0; i < EK_ARRAY_SIZE(cases); i++) {
		ek_status st = ek_image_lookup(m->image, cases[i].path, &node,
					       &m->err);

		assert_int_equal(st, cases[i].status);
		if (st == EK_OK)
			assert_int_equal(node.nid, img_nid(cases[i].slot));
	}
	img_free(m);
}

static void long_names(void **state)
{
	struct img *m = small_tree();
	struct ek_node root = img_node(m, 0);
	struct ek_dirent e;
	char name[300];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_int_equal(ek_image_find(m->image, &root, name, 255, &e, &m->err),
			 EK_NOTFOUND);
	assert_int_equal(ek_image_find(m->image, &root, name, 256, &e, &m->err),
			 EK_NOTFOUND);
	assert_int_equal(ek_image_find(m->image, &root, name, 0, &e, &m->err),
			 EK_NOTFOUND);
	img_free(m);
}

/* A directory of several blocks: every name is found, none between them. */
static void many_names(void **state)
{
	enum { N = 900 };
	struct img *m = img_new();
	static char names[N][24];
	static struct ek_dent dents[N + 2];
	struct ek_inode in = img_file(EK_LAYOUT_PLAIN, 0);
	struct ek_dirent e;
	struct ek_node dir;
	size_t done = 0;
	uint32_t used = 0;
	unsigned blocks = 0;

	(void)state;
	memcpy(dents, m->names, 2 * sizeof(dents[0]));
	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "name-%04d", 2 * i);
		dents[i + 2] = (struct ek_dent){.nid = 1000u + (unsigned)i,
						.name = (uint8_t *)names[i],
						.namelen = 9,
						.type = EK_FT_REG};
	}
	for (; done < N + 2; blocks++) {
		size_t n = ek_dirblock_take(dents + done, N + 2 - done, IMG_BS,
					    &used);

		assert_int_equal(ek_dirblock_encode(dents + done, n,
						    img_block(m, 8 + blocks),
						    IMG_BS, &m->err),
				 EK_OK);
		done += n;
	}
	assert_true(blocks >= 4);
	in.mode = S_IFDIR | 0755;
	in.nlink = 2;
	in.start = 8;
	in.size = (blocks - 1) * IMG_BS + used;
	img_put(m, 0, &in, NULL);
	img_must_open(m);
	dir = img_node(m, 0);
	for (unsigned i = 0; i < 2 * N; i++) {
		char name[24];
		ek_status st;

		snprintf(name, sizeof(name), "name-%04u", i);
		st = ek_image_find(m->image, &dir, name, 9, &e, &m->err);
		assert_int_equal(st, i % 2 ? EK_NOTFOUND : EK_OK);
		if (st == EK_OK)
			assert_int_equal(e.nid, 1000 + i / 2);
	}
	assert_int_equal(ek_image_find(m->image, &dir, "..", 2, &e, &m->err),
			 EK_OK);
	img_free(m);
}

static void dot_omitted(void **state)
{
	struct img *m = img_new();
	struct ek_inode in = img_file(EK_LAYOUT_PLAIN, 0);
	struct ek_dirent e;
	struct ek_node dir;
	uint32_t used;

	(void)state;
	m->sb.incompat = EK_INCOMPAT_48BIT;
	assert_int_equal(ek_dirblock_take(m->names + 1, 1, IMG_BS, &used), 1);
	assert_int_equal(ek_dirblock_encode(m->names + 1, 1, img_block(m, 8),
					    IMG_BS, &m->err),
			 EK_OK);
	in.mode = S_IFDIR | 0755;
	in.nlink = 2;
	in.start = 8;
	in.size = used;
	in.dot_omitted = true;
	img_put(m, 0, &in, NULL);
	img_must_open(m);
	dir = img_node(m, 0);
	assert_true(dir.dot_omitted);
	assert_int_equal(ek_image_find(m->image, &dir, ".", 1, &e, &m->err),
			 EK_OK);
	assert_int_equal(e.nid, dir.nid);
	assert_int_equal(e.type, EK_FT_DIR);
	img_free(m);
}

static void broken_block(void **state)
{
	struct img *m = small_tree();
	struct ek_node root = img_node(m, 0), node;
	struct listing l = {{0}, 0, 0};
	struct ek_dirent e;

	(void)state;
	/* Pages are cached: damage what a fresh image reads. */
	ek_image_free(m->image);
	m->image = NULL;
	ek_put_le16(img_block(m, 4) + 8, 0);
	assert_int_equal(ek_image_open(m->src, NULL, &m->image, &m->err),
			 EK_OK);
	assert_int_equal(ek_image_readdir(m->image, &root, list, &l, &m->err),
			 EK_CORRUPT);
	assert_int_equal(ek_image_find(m->image, &root, "file", 4, &e, &m->err),
			 EK_CORRUPT);
	assert_int_equal(ek_image_lookup(m->image, "/file", &node, &m->err),
			 EK_CORRUPT);
	img_free(m);
}

const struct CMUnitTest names_tests[] = {
	cmocka_unit_test(order),
	cmocka_unit_test(paths),
	cmocka_unit_test(long_names),
	cmocka_unit_test(many_names),
	cmocka_unit_test(dot_omitted),
	cmocka_unit_test(broken_block),
	UNIT_END,
};
