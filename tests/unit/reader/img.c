/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

static void add_name(struct img *m, const char *name, uint64_t nid,
		     uint8_t type)
{
	struct ek_dent *d = &m->names[m->n_names++];

	assert_true(m->n_names <= IMG_NAMES);
	d->nid = nid;
	d->name = (const uint8_t *)name;
	d->namelen = (uint16_t)strlen(name);
	d->type = type;
}

struct img *img_new(void)
{
	struct img *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->bytes = calloc(1, IMG_MAX);
	assert_non_null(m->bytes);
	m->size = IMG_MAX;
	m->sb.blkszbits = 12;
	m->sb.compat = EK_COMPAT_SB_CHKSUM;
	m->sb.root_nid = img_nid(0);
	m->sb.blocks = IMG_MAX / IMG_BS;
	m->sb.epoch = 1000;
	m->cfgs.lz4_max_distance = 65535;
	m->cfgs.lz4_max_pclusterblks = 4;
	m->cfgs.lzma_dict_size = 65536;
	m->cfgs.deflate_windowbits = 15;
	m->cfgs.zstd_windowlog = 15;
	add_name(m, ".", img_nid(0), EK_FT_DIR);
	add_name(m, "..", img_nid(0), EK_FT_DIR);
	return m;
}

void img_free(struct img *m)
{
	ek_image_free(m->image);
	ek_source_free(m->src);
	free(m->bytes);
	free(m);
}

uint64_t img_pos(unsigned slot)
{
	assert_true(slot < IMG_SLOTS);
	return IMG_BS + 256u * slot;
}

uint64_t img_nid(unsigned slot)
{
	return img_pos(slot) / 32;
}

struct ek_inode img_file(uint8_t layout, uint64_t size)
{
	struct ek_inode in = {
		.layout = layout,
		.mode = S_IFREG | 0644,
		.nlink = 1,
		.size = size,
		.mtime = 1000,
	};

	return in;
}

void img_put(struct img *m, unsigned slot, const struct ek_inode *in,
	     const char *name)
{
	uint8_t core[64];

	assert_int_equal(ek_inode_encode(&m->sb, in, core, &m->err), EK_OK);
	memcpy(m->bytes + img_pos(slot), core, ek_inode_core(in));
	if (name)
		add_name(m, name, img_nid(slot), ek_ftype_of_mode(in->mode));
}

uint8_t *img_after(struct img *m, unsigned slot, const struct ek_inode *in)
{
	return m->bytes + img_pos(slot) + ek_inode_body(in);
}

uint8_t *img_block(struct img *m, unsigned block)
{
	assert_true(block < IMG_MAX / IMG_BS);
	return m->bytes + (size_t)block * IMG_BS;
}

static int by_name(const void *a, const void *b)
{
	const struct ek_dent *x = a, *y = b;

	return ek_name_cmp(x->name, x->namelen, y->name, y->namelen);
}

static void put_root(struct img *m)
{
	struct ek_inode in = img_file(EK_LAYOUT_PLAIN, 0);
	uint32_t used;

	/* A test that has put a root of its own keeps it. */
	if (ek_get_le16(m->bytes + img_pos(0) + 4) != 0)
		return;
	qsort(m->names, m->n_names, sizeof(m->names[0]), by_name);
	assert_int_equal(ek_dirblock_take(m->names, m->n_names, IMG_BS, &used),
			 m->n_names);
	assert_int_equal(ek_dirblock_encode(m->names, m->n_names,
					    img_block(m, 4), IMG_BS, &m->err),
			 EK_OK);
	in.mode = S_IFDIR | 0755;
	in.nlink = 2;
	in.size = used;
	in.start = 4;
	img_put(m, 0, &in, NULL);
}

void img_seal(struct img *m)
{
	size_t used;

	if (ek_sb_incompat(&m->sb, EK_INCOMPAT_COMPR_CFGS)) {
		m->sb.algs = m->cfgs.algs;
		assert_int_equal(
			ek_cfgs_encode(&m->cfgs,
				       m->bytes + ek_cfgs_offset(&m->sb), 1024,
				       &used, &m->err),
			EK_OK);
	}
	assert_int_equal(
		ek_sb_encode(&m->sb, m->bytes + EK_SB_OFFSET, 1024, &m->err),
		EK_OK);
	ek_sb_seal(m->bytes + EK_SB_OFFSET, ek_sb_csum_len(IMG_BS));
}

ek_status img_open(struct img *m, const struct ek_image_options *options)
{
	put_root(m);
	img_seal(m);
	assert_null(m->src);
	assert_int_equal(
		ek_source_from_memory(m->bytes, m->size, &m->src, &m->err),
		EK_OK);
	return ek_image_open(m->src, options, &m->image, &m->err);
}

void img_must_open(struct img *m)
{
	m->err.text[0] = 0;
	if (img_open(m, NULL) != EK_OK)
		assert_string_equal(m->err.text, "");
}

struct ek_node img_node(struct img *m, unsigned slot)
{
	struct ek_node node;

	if (ek_image_node(m->image, img_nid(slot), &node, &m->err) != EK_OK)
		assert_string_equal(m->err.text, "");
	return node;
}

uint8_t img_byte(unsigned seed, uint64_t i)
{
	uint64_t x = (i + 1) * UINT64_C(0x9E3779B97F4A7C15) + seed * 77u;

	/* Mixed well: a codec must not find a pattern. */
	x ^= x >> 31;
	x *= UINT64_C(0xBF58476D1CE4E5B9);
	return (uint8_t)(x >> 56);
}

void img_fill(uint8_t *to, unsigned seed, uint64_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = img_byte(seed, from + i);
}

int img_same(const uint8_t *p, unsigned seed, uint64_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != img_byte(seed, from + i))
			return 0;
	return 1;
}

size_t img_lz4(const uint8_t *in, size_t n, uint8_t *out)
{
	size_t at = 0, left;

	if (n < 15) {
		out[at++] = (uint8_t)(n << 4);
	} else {
		out[at++] = 0xf0;
		for (left = n - 15; left >= 255; left -= 255)
			out[at++] = 255;
		out[at++] = (uint8_t)left;
	}
	memcpy(out + at, in, n);
	return at + n;
}

size_t img_deflate(const uint8_t *in, size_t n, uint8_t *out)
{
	out[0] = 1;
	ek_put_le16(out + 1, (uint16_t)n);
	ek_put_le16(out + 3, (uint16_t)~n);
	memcpy(out + 5, in, n);
	return n + 5;
}

size_t img_zstd(const uint8_t *in, size_t n, uint8_t *out)
{
	uint32_t header = (uint32_t)(n << 3 | 1); /* raw, the last block */

	assert_true(n < 256);
	ek_put_le32(out, 0xFD2FB528u);
	out[4] = 0x20; /* single segment, size in one byte */
	out[5] = (uint8_t)n;
	out[6] = (uint8_t)header;
	out[7] = (uint8_t)(header >> 8);
	out[8] = (uint8_t)(header >> 16);
	memcpy(out + 9, in, n);
	return n + 9;
}
