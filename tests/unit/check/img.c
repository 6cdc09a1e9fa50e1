/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

#include "base/bytes.h"
#include "format/dirent.h"

#include <stdio.h>

#include <sys/stat.h>

#define META_BLOCK 4u

uint8_t *img_inode(struct img *m, unsigned nid)
{
	return m->bytes + META_BLOCK * IMG_BS + nid * EK_NID_SLOT;
}

void img_seal(struct img *m)
{
	uint8_t *at = m->bytes + EK_SB_OFFSET;

	assert_int_equal(ek_sb_encode(&m->sb, at, 256, NULL), EK_OK);
	ek_sb_seal(at, ek_sb_csum_len(IMG_BS));
}

static void put_root(struct img *m)
{
	struct ek_inode in = {.layout = EK_LAYOUT_INLINE,
			      .mode = S_IFDIR | 0755,
			      .nlink = 2,
			      .ino = 1,
			      .start = EK_NULL_BLK};
	struct ek_dent names[] = {
		{IMG_ROOT, (const uint8_t *)".", 1, EK_FT_DIR, 0},
		{IMG_ROOT, (const uint8_t *)"..", 2, EK_FT_DIR, 0},
		{IMG_A, (const uint8_t *)"a", 1, EK_FT_REG, 0},
		{IMG_B, (const uint8_t *)"b", 1, EK_FT_REG, 0},
	};
	uint8_t block[IMG_BS];
	uint32_t used = 0;

	assert_int_equal(ek_dirblock_take(names, 4, IMG_BS, &used), 4);
	in.size = used;
	assert_int_equal(ek_dirblock_encode(names, 4, block, IMG_BS, NULL),
			 EK_OK);
	memcpy(img_inode(m, IMG_ROOT) + EK_INODE_COMPACT, block, used);
	assert_int_equal(
		ek_inode_encode(&m->sb, &in, img_inode(m, IMG_ROOT), NULL),
		EK_OK);
}

/* A file of IMG_FILE bytes in one cluster, by full indexes. */
static void put_file(struct img *m, unsigned nid)
{
	struct ek_inode in = {.layout = EK_LAYOUT_ZFULL,
			      .mode = S_IFREG | 0644,
			      .nlink = 1,
			      .ino = nid,
			      .size = IMG_FILE,
			      .cblocks = 1};
	struct ek_zpiece piece = {
		.blk = IMG_DATA, .blocks = 1, .type = EK_ZT_HEAD1};
	uint8_t *at = img_inode(m, nid) + EK_INODE_COMPACT;
	struct ek_zhead head = {.lclusterbits = 9};
	struct ek_zgeom geom;
	uint64_t body = (uint64_t)(at - m->bytes);

	assert_int_equal(
		ek_inode_encode(&m->sb, &in, at - EK_INODE_COMPACT, NULL),
		EK_OK);
	assert_int_equal(
		ek_zhead_encode(&m->sb, EK_LAYOUT_ZFULL, &head, at, NULL),
		EK_OK);
	assert_int_equal(ek_zgeom_init(&m->sb, EK_LAYOUT_ZFULL, &head, IMG_FILE,
				       body, &geom, NULL),
			 EK_OK);
	assert_int_equal(ek_zindex_encode(&geom, 0, IMG_FILE, &piece, 1,
					  m->bytes + geom.base, NULL),
			 EK_OK);
}

/* IMG_FILE times 'x' as an LZ4 block, at the end of its cluster. */
static void put_data(struct img *m)
{
	static const uint8_t stream[] = {
		/* One literal, then a match of 594 bytes at distance 1. */
		0x1f,
		'x',
		1,
		0,
		255,
		255,
		65,
		/* The last five bytes are literals. */
		0x50,
		'x',
		'x',
		'x',
		'x',
		'x',
	};
	uint8_t *end = m->bytes + (IMG_DATA + 1) * IMG_BS;

	memcpy(end - sizeof(stream), stream, sizeof(stream));
}

struct img *img_new(void)
{
	struct img *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->sb.blkszbits = 9;
	m->sb.compat = EK_COMPAT_SB_CHKSUM | EK_COMPAT_MTIME;
	m->sb.incompat = EK_INCOMPAT_LZ4_0PADDING;
	m->sb.lz4_max_distance = 65535;
	m->sb.root_nid = IMG_ROOT;
	m->sb.inos = 3;
	m->sb.blocks = IMG_BLOCKS;
	m->sb.meta_blkaddr = META_BLOCK;
	put_root(m);
	put_file(m, IMG_A);
	put_file(m, IMG_B);
	put_data(m);
	img_seal(m);
	m->options.size = sizeof(m->options);
	m->options.workers = 1;
	return m;
}

static void on_finding(void *arg, const struct ek_finding *f)
{
	struct img *m = arg;
	size_t n = strlen(m->codes);

	m->handed_out++;
	snprintf(m->codes + n, sizeof(m->codes) - n, " %s", f->code);
}

ek_status img_check_source(struct img *m, struct ek_source *src)
{
	m->codes[0] = '\0';
	m->handed_out = 0;
	m->options.finding = on_finding;
	m->options.finding_arg = m;
	return ek_check(src, &m->options, &m->result, &m->err);
}

ek_status img_check(struct img *m)
{
	struct ek_source *src;
	ek_status status;

	assert_int_equal(ek_source_from_memory(m->bytes, IMG_SIZE, &src, NULL),
			 EK_OK);
	status = img_check_source(m, src);
	ek_source_free(src);
	return status;
}

int img_found(const struct img *m, const char *code)
{
	const char *at = m->codes;
	size_t n = strlen(code);

	while ((at = strstr(at, code))) {
		if (at[-1] == ' ' && (at[n] == ' ' || !at[n]))
			return 1;
		at += n;
	}
	return 0;
}
