/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

#include <pthread.h>

#define FILE_SIZE 60000u
#define EXTENT	  10000u

/* A file of six deflate extents (r=4), attributes, chunks and a directory. */
static struct img *rich_img(void)
{
	struct img *m = img_new();
	struct ek_inode in = img_file(EK_LAYOUT_ZFULL, FILE_SIZE);
	struct ek_inode chunk = img_file(EK_LAYOUT_CHUNK, 3 * IMG_BS);
	uint64_t after = ek_zhead_pos(img_pos(1) + 32) + 8;
	uint8_t raw[EXTENT], *p = m->bytes + ek_round_up(after, 16);
	struct ek_zrecord r = {.pa = 40 * IMG_BS + 5};

	m->sb.incompat = EK_INCOMPAT_LZ4_0PADDING | EK_INCOMPAT_COMPR_CFGS |
			 EK_INCOMPAT_48BIT | EK_INCOMPAT_CHUNKED_FILE;
	m->cfgs.algs = 0xf;
	img_put(m, 1, &in, "coded");
	ek_put_le32(m->bytes + after - 8, FILE_SIZE / EXTENT);
	ek_put_le16(m->bytes + after - 4, 0x5);
	for (unsigned i = 0; i < FILE_SIZE / EXTENT; i++) {
		img_fill(raw, 1, i * EXTENT, EXTENT);
		r.la = i * EXTENT;
		r.plen = (uint32_t)img_deflate(raw, EXTENT, m->bytes + r.pa);
		r.plen |= 3u << EK_ZX_FMT_SHIFT;
		ek_zrecord_encode(16, &r, p + 16 * i);
		r.pa += r.plen & EK_ZX_PLEN_MASK;
	}
	chunk.xattr_icount = ek_xattr_icount(20);
	img_put(m, 2, &chunk, "chunks");
	p = m->bytes + img_pos(2) + 32 + 12;
	p[0] = 2;
	p[1] = EK_XATTR_USER;
	memcpy(p + 4, "ab", 2);
	ek_put_le32(p + 8, 60);
	ek_put_le32(p + 12, 0xffffffff);
	ek_put_le32(p + 16, 60);
	return m;
}

struct reader {
	struct img *m;
	unsigned number;
	unsigned wrong;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	struct ek_node node;
	uint8_t got[777];
	struct ek_err err;

	if (ek_image_lookup(r->m->image, "/coded", &node, &err) != EK_OK)
		r->wrong++;
	for (unsigned k = 0; k < 60; k++) {
		uint64_t at = (uint64_t)(k * 7919u + r->number * 3001u) %
			      (FILE_SIZE - sizeof(got));

		if (ek_image_read(r->m->image, &node, at, got, sizeof(got),
				  &err) != EK_OK ||
		    !img_same(got, 1, at, sizeof(got)))
			r->wrong++;
	}
	return NULL;
}

static void threads(void **state)
{
	struct img *m = rich_img();
	pthread_t t[4];
	struct reader r[4];

	(void)state;
	img_must_open(m);
	for (unsigned i = 0; i < 4; i++) {
		r[i] = (struct reader){m, i, 0};
		assert_int_equal(pthread_create(&t[i], NULL, read_all, &r[i]),
				 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(r[i].wrong, 0);
	}
	img_free(m);
}

struct walk {
	struct ek_image *image;
	unsigned left; /* what may still be looked at */
	unsigned seen;
};

static ek_status on_xattr(void *arg, const struct ek_xattr *x,
			  struct ek_err *err)
{
	struct walk *w = arg;

	(void)x;
	(void)err;
	w->seen++;
	return EK_OK;
}

static ek_status on_entry(void *arg, const struct ek_dirent *e,
			  struct ek_err *err)
{
	static uint8_t got[FILE_SIZE];
	struct walk *w = arg;
	struct ek_node node;

	if (w->left-- == 0)
		return ek_fail(err, EK_CANCELLED, "enough");
	if (ek_image_node(w->image, e->nid, &node, NULL) != EK_OK)
		return EK_OK;
	w->seen++;
	(void)ek_image_xattrs(w->image, &node, on_xattr, w, NULL);
	(void)ek_image_read(w->image, &node, 0, got,
			    (size_t)ek_min(node.size, sizeof(got)), NULL);
	return EK_OK;
}

/* Any byte of the metadata may say anything: all calls come back. */
static void flips(void **state)
{
	struct img *m = rich_img();
	struct ek_image_options o = {.size = sizeof(o), .ignore_checksum = 1};
	uint64_t s = 88172645463325252u;
	unsigned seen = 0;

	(void)state;
	img_must_open(m);
	for (unsigned i = 0; i < 1500; i++) {
		struct walk w = {NULL, 30, 0};
		uint64_t at;
		uint8_t old;
		struct ek_node root;

		s ^= s << 13;
		s ^= s >> 7;
		s ^= s << 17;
		/* Superblock, inodes 0 to 2, or the root's names. */
		at = i % 4 == 0	  ? 1024 + s % 176
		     : i % 4 == 1 ? 4 * IMG_BS + s % 100
				  : img_pos(0) + s % 768;
		old = m->bytes[at];
		m->bytes[at] = (uint8_t)(s >> 32);
		if (ek_image_open(m->src, &o, &w.image, NULL) == EK_OK) {
			assert_int_equal(ek_image_root(w.image, &root, NULL),
					 EK_OK);
			(void)ek_image_readdir(w.image, &root, on_entry, &w,
					       NULL);
			ek_image_free(w.image);
		}
		m->bytes[at] = old;
		seen += w.seen;
	}
	/* Most of the damage must have let something through. */
	assert_true(seen > 1500);
	img_free(m);
}

const struct CMUnitTest hostile_tests[] = {
	cmocka_unit_test(threads),
	cmocka_unit_test(flips),
	UNIT_END,
};
