/* SPDX-License-Identifier: Apache-2.0 */
#include "dump/stats.h"

#include "dump/dump.h"
#include "dump/walk.h"

#include <string.h>
#include <sys/stat.h>

#define DEVICE_SLOT 128
#define SB_OFFSET   1024

static const char *const endings[STATS_ENDINGS] = {
	".txt",	 ".so",	 ".xml", ".apk", ".odex",
	".vdex", ".oat", ".rc",	 ".otf", "others",
};

const char *stats_ending(unsigned i)
{
	return endings[i];
}

static unsigned ending_of(const struct ek_dirent *entry)
{
	unsigned i;

	for (i = 0; i < STATS_ENDINGS - 1; i++) {
		size_t n = strlen(endings[i]);

		if (entry->name_len >= n &&
		    memcmp(entry->name + entry->name_len - n, endings[i], n) ==
			    0)
			break;
	}
	return i;
}

static unsigned size_class(uint64_t bytes)
{
	unsigned i = 0;

	for (uint64_t kib = bytes >> 10; kib && i < STATS_SIZES - 1; kib >>= 1)
		i++;
	return i;
}

struct collect {
	struct ek_image *image;
	struct stats *s;
	uint32_t block_size;
};

/* Blocks on the primary device that hold the data of @node. */
static ek_status add_data(const struct collect *c, const struct ek_node *node,
			  struct ek_err *err)
{
	const uint32_t elsewhere = EK_EXTENT_INLINE | EK_EXTENT_FRAGMENT;
	struct ek_extent x;
	ek_status st = EK_OK;

	for (uint64_t at = 0; at < node->size && st == EK_OK;
	     at = x.logical + x.logical_length) {
		st = ek_image_map(c->image, node, at, &x, err);
		if (st != EK_OK)
			break;
		if ((x.flags & EK_EXTENT_MAPPED) && !(x.flags & elsewhere) &&
		    x.device == 0)
			st = ranges_add(&c->s->meta, x.physical,
					x.physical + x.physical_length,
					c->block_size, err);
	}
	return st;
}

static ek_status on_xattr(void *arg, const struct ek_xattr *x,
			  struct ek_err *err)
{
	struct collect *c = arg;

	c->s->xattrs++;
	if (!x->shared || x->in_metabox)
		return EK_OK;
	return ranges_add(&c->s->meta, x->position, x->position + x->stored,
			  c->block_size, err);
}

/* Metadata of one inode: itself, its attributes, names and targets. */
static ek_status add_meta(struct collect *c, const struct ek_node *node,
			  struct ek_err *err)
{
	uint64_t start, end;
	ek_status st;

	st = ek_image_node_range(c->image, node, &start, &end, err);
	if (st == EK_OK && !(node->nid >> 63))
		st = ranges_add(&c->s->meta, start, end, c->block_size, err);
	if (st == EK_OK)
		st = ek_image_xattrs(c->image, node, on_xattr, c, err);
	if (st == EK_OK && (S_ISDIR(node->mode) || S_ISLNK(node->mode)))
		st = add_data(c, node, err);
	return st;
}

static void count(struct collect *c, const struct ek_dirent *entry,
		  const struct ek_node *node)
{
	struct stats *s = c->s;
	uint64_t stored = dump_stored(c->image, node);

	s->inodes++;
	s->types[dump_type_number(node->mode)]++;
	if (node->layout == EK_LAYOUT_COMPRESSED_FULL ||
	    node->layout == EK_LAYOUT_COMPRESSED_COMPACT)
		s->compressed++;
	if (!S_ISREG(node->mode))
		return;
	s->bytes += node->size;
	s->stored += stored;
	s->sizes[size_class(node->size)]++;
	s->stored_sizes[size_class(stored)]++;
	if (entry)
		s->endings[ending_of(entry)]++;
}

static ek_status on_name(void *arg, struct walk *w,
			 const struct ek_dirent *entry,
			 const struct ek_node *node, bool first,
			 struct ek_err *err)
{
	struct collect *c = arg;

	(void)w;
	c->s->names++;
	if (!first)
		return EK_OK;
	count(c, entry, node);
	return add_meta(c, node, err);
}

/* Superblock, device table, and the inodes that no name stands for. */
static ek_status add_fixed(struct collect *c, struct ek_err *err)
{
	const struct ek_image_info *info = ek_image_info(c->image);
	uint64_t table = info->device_table;
	struct ek_node node;
	ek_status st;

	st = ranges_add(&c->s->meta, SB_OFFSET, info->header_end, c->block_size,
			err);
	if (st == EK_OK && info->n_devices)
		st = ranges_add(&c->s->meta, table,
				table + (uint64_t)info->n_devices * DEVICE_SLOT,
				c->block_size, err);
	if (st == EK_OK && info->packed_nid) {
		st = ek_image_node(c->image, info->packed_nid, &node, err);
		if (st == EK_OK)
			st = add_meta(c, &node, err);
	}
	if (st == EK_OK && (info->feature_incompat & 0x100)) {
		st = ek_image_node(c->image, info->metabox_nid, &node, err);
		if (st == EK_OK)
			st = add_meta(c, &node, err);
		if (st == EK_OK)
			st = add_data(c, &node, err);
	}
	return st;
}

ek_status stats_collect(struct ek_image *image, struct stats *s,
			struct ek_err *err)
{
	struct collect c = {.image = image,
			    .s = s,
			    .block_size = ek_image_info(image)->block_size};
	ek_status st;

	memset(s, 0, sizeof(*s));
	st = add_fixed(&c, err);
	if (st == EK_OK)
		st = walk_image(image, on_name, &c, err);
	ranges_join(&s->meta);
	s->meta_blocks = ranges_blocks(&s->meta);
	return st;
}

void stats_free(struct stats *s)
{
	ranges_free(&s->meta);
}
