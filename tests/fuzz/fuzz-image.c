/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/image.h>

#include "base/bytes.h"
#include "format/sb.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * The input is an image: open it, walk all names, map and read all data, read
 * attributes and targets. Magic and checksum are put right first, so that
 * damage of the superblock gets further than its sum. Inodes, steps and bytes
 * have budgets, since an image of a few bytes may describe a huge tree.
 */
#define NODES_MAX 400
#define EXTENTS	  600
#define BYTES_MAX ((uint64_t)8 << 20)
#define ENTRIES	  4000
#define DEPTH	  12
#define PIECE	  5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct ek_image *image;
	const struct ek_node *dir; /* that is being listed */
	unsigned nodes, extents, entries, depth;
	uint64_t bytes;
	uint8_t piece[PIECE];
};

static ek_status on_xattr(void *arg, const struct ek_xattr *x,
			  struct ek_err *err)
{
	struct fuzz *f = arg;

	/* Every byte must be there: the sanitizer looks. */
	for (size_t i = 0; i < x->value_len; i++)
		f->piece[0] ^= x->value[i];
	if (strlen(x->name) > x->name_len)
		abort();
	return f->entries++ < ENTRIES ? EK_OK
				      : ek_fail(err, EK_CANCELLED, "enough");
}

static void extents(struct fuzz *f, const struct ek_node *node)
{
	struct ek_extent x;
	uint64_t start, end;

	(void)ek_image_node_range(f->image, node, &start, &end, NULL);
	for (uint64_t at = 0; at < node->size && f->extents < EXTENTS;) {
		f->extents++;
		if (ek_image_map(f->image, node, at, &x, NULL) != EK_OK)
			return;
		if (x.logical > at || x.logical_length == 0 ||
		    x.logical + x.logical_length <= at ||
		    x.logical + x.logical_length > node->size)
			abort();
		at = x.logical + x.logical_length;
	}
}

static void content(struct fuzz *f, const struct ek_node *node)
{
	for (uint64_t at = 0; at < node->size && f->bytes < BYTES_MAX;) {
		size_t n = (size_t)ek_min(PIECE, node->size - at);

		f->bytes += n;
		if (ek_image_read(f->image, node, at, f->piece, n, NULL) !=
		    EK_OK)
			return;
		at += n;
	}
}

static ek_status on_entry(void *arg, const struct ek_dirent *e,
			  struct ek_err *err);

static void visit(struct fuzz *f, const struct ek_node *node)
{
	char *target;

	if (f->nodes++ >= NODES_MAX)
		return;
	(void)ek_image_xattrs(f->image, node, on_xattr, f, NULL);
	if (S_ISDIR(node->mode) && f->depth < DEPTH) {
		const struct ek_node *outer = f->dir;

		f->depth++;
		f->dir = node;
		(void)ek_image_readdir(f->image, node, on_entry, f, NULL);
		f->dir = outer;
		f->depth--;
	}
	if (S_ISLNK(node->mode) &&
	    ek_image_readlink(f->image, node, &target, NULL) == EK_OK)
		free(target);
	if (S_ISREG(node->mode) || S_ISDIR(node->mode)) {
		extents(f, node);
		content(f, node);
	}
}

static ek_status on_entry(void *arg, const struct ek_dirent *e,
			  struct ek_err *err)
{
	struct fuzz *f = arg;
	struct ek_dirent found;
	struct ek_node node;

	if (f->entries++ >= ENTRIES)
		return ek_fail(err, EK_CANCELLED, "enough");
	if (e->name_len == 0 || e->name_len > 255 ||
	    memchr(e->name, '/', e->name_len))
		abort();
	/* A listed name need not be found, where the order is broken. */
	if (ek_image_find(f->image, f->dir, e->name, e->name_len, &found,
			  NULL) == EK_OK &&
	    found.name_len != e->name_len)
		abort();
	if (ek_image_node(f->image, e->nid, &node, NULL) == EK_OK)
		visit(f, &node);
	return EK_OK;
}

static void repair(uint8_t *p, size_t n)
{
	uint32_t len;

	if (n < EK_SB_OFFSET + EK_SB_SIZE_MIN)
		return;
	p += EK_SB_OFFSET;
	ek_put_le32(p, EK_SB_MAGIC);
	if (p[0x0c] < EK_BLKSZBITS_MIN || p[0x0c] > EK_BLKSZBITS_MAX)
		p[0x0c] = 12;
	len = ek_sb_csum_len(UINT32_C(1) << p[0x0c]);
	if (len <= n - EK_SB_OFFSET)
		ek_sb_seal(p, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ek_source *src = NULL;
	uint8_t *copy = malloc(size + 1);
	struct ek_node root;
	struct fuzz f = {0};

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	repair(copy, size);
	if (ek_source_from_memory(copy, size, &src, NULL) != EK_OK)
		abort();
	if (ek_image_open(src, NULL, &f.image, NULL) == EK_OK) {
		if (ek_image_root(f.image, &root, NULL) != EK_OK)
			abort();
		visit(&f, &root);
		ek_image_free(f.image);
	}
	ek_source_free(src);
	free(copy);
	return 0;
}
