/* SPDX-License-Identifier: Apache-2.0 */

/* Where the bytes of a file are: flat and chunk-based layouts. */

#include "reader/reader.h"

#include "base/bytes.h"
#include "base/try.h"
#include "format/chunk.h"

#include <string.h>

void ek_node_inode(const struct ek_node *node, struct ek_inode *in)
{
	memset(in, 0, sizeof(*in));
	in->extended = node->extended;
	in->layout = node->layout;
	in->mode = (uint16_t)node->mode;
	in->xattr_icount = ek_xattr_icount(node->xattr_size);
	in->size = node->size;
	in->start = node->null_address ? EK_NULL_BLK : node->startblk;
	in->cblocks = node->startblk;
	in->chunk_format = node->chunk_format;
}

ek_status ek_map_device(struct ek_image *image, unsigned int id, uint64_t pa,
			struct ek_extent *x, struct ek_err *err)
{
	unsigned int device = 0;
	uint64_t shift;

	x->device = 0;
	x->physical = pa;
	if (!image->flattened) {
		EK_TRY(ek_device_resolve(&image->sb, image->slots, id, pa,
					 &device, &x->physical, err));
		x->device = (uint16_t)device;
		return EK_OK;
	}
	/* All devices lie one after the other on the primary one. */
	if (id > image->sb.extra_devices)
		return ek_fail(err, EK_CORRUPT, "no device %u", id);
	if (id > 0 && (!ek_mul(image->slots[id - 1].uniaddr,
			       image->info.block_size, &shift) ||
		       !ek_add(pa, shift, &x->physical)))
		return ek_fail(err, EK_CORRUPT,
			       "address %llu on device %u does not fit",
			       (unsigned long long)pa, id);
	return EK_OK;
}

static ek_status map_flat(struct ek_image *image, const struct ek_node *node,
			  uint64_t offset, struct ek_extent *x,
			  struct ek_err *err)
{
	uint32_t bs = image->info.block_size;
	struct ek_inode in;
	uint64_t blocks, pos;

	ek_node_inode(node, &in);
	blocks = ek_inode_block_bytes(&image->sb, &in);
	if (offset < blocks) {
		x->logical_length = blocks;
		if (node->null_address) {
			if (node->layout == EK_LAYOUT_FLAT_INLINE)
				return ek_fail(err, EK_CORRUPT,
					       "full blocks without address");
			return EK_OK;
		}
		x->flags = EK_EXTENT_MAPPED;
		x->physical_length = blocks;
		if (!ek_mul(node->startblk, bs, &pos))
			return ek_fail(err, EK_CORRUPT,
				       "block address does not fit");
		return ek_map_device(image, 0, pos, x, err);
	}
	x->logical = blocks;
	x->logical_length = node->size - blocks;
	x->physical_length = x->logical_length;
	x->flags = EK_EXTENT_MAPPED | EK_EXTENT_INLINE;
	if (ek_node_in_box(node))
		x->flags |= EK_EXTENT_METABOX;
	x->physical = node->position + ek_inode_body(&in);
	if (!ek_tail_fits(x->physical, x->logical_length, bs))
		return ek_fail(err, EK_CORRUPT,
			       "inline data crosses a block boundary");
	return EK_OK;
}

static ek_status map_chunk(struct ek_image *image, const struct ek_node *node,
			   uint64_t offset, struct ek_extent *x,
			   struct ek_err *err)
{
	struct ek_chunk_map map;
	struct ek_chunk chunk;
	struct ek_inode in;
	uint8_t entry[8];
	uint64_t i, pos;

	ek_node_inode(node, &in);
	EK_TRY(ek_chunk_map_init(&image->sb, &in, node->position, &map, err));
	i = offset >> map.chunkbits;
	EK_TRY(ek_meta_read(image, ek_node_in_box(node), map.pos + i * map.unit,
			    entry, map.unit, err));
	ek_chunk_decode(&map, entry, &chunk);
	x->logical = i << map.chunkbits;
	x->logical_length =
		ek_min(UINT64_C(1) << map.chunkbits, node->size - x->logical);
	if (chunk.blk == EK_NULL_BLK)
		return EK_OK;
	x->flags = EK_EXTENT_MAPPED;
	x->physical_length = x->logical_length;
	if (!ek_mul(chunk.blk, image->info.block_size, &pos))
		return ek_fail(err, EK_CORRUPT, "block address does not fit");
	return ek_map_device(image, chunk.device, pos, x, err);
}

ek_status ek_image_map(struct ek_image *image, const struct ek_node *node,
		       uint64_t offset, struct ek_extent *extent,
		       struct ek_err *err)
{
	ek_status st;

	memset(extent, 0, sizeof(*extent));
	if (!ek_mode_has_data((uint16_t)node->mode))
		return ek_fail(err, EK_INVALID,
			       "inode %llu is of a type without data",
			       (unsigned long long)node->nid);
	if (offset >= node->size)
		return ek_fail(err, EK_INVALID,
			       "offset %llu is not below the size %llu",
			       (unsigned long long)offset,
			       (unsigned long long)node->size);
	switch (node->layout) {
	case EK_LAYOUT_FLAT_PLAIN:
	case EK_LAYOUT_FLAT_INLINE:
		st = map_flat(image, node, offset, extent, err);
		break;
	case EK_LAYOUT_CHUNK_BASED:
		st = map_chunk(image, node, offset, extent, err);
		break;
	default:
		st = ek_map_compressed(image, node, offset, extent, err);
		break;
	}
	if (st != EK_OK && err)
		(void)ek_err_prefix(err, "inode %llu, byte %llu",
				    (unsigned long long)node->nid,
				    (unsigned long long)offset);
	return st;
}

ek_status ek_image_node_range(struct ek_image *image,
			      const struct ek_node *node, uint64_t *start,
			      uint64_t *end, struct ek_err *err)
{
	struct ek_chunk_map map;
	struct ek_inode in;

	ek_node_inode(node, &in);
	*start = node->position;
	if (!ek_add(node->position, ek_inode_body(&in), end))
		return ek_fail(err, EK_CORRUPT, "inode %llu does not fit",
			       (unsigned long long)node->nid);
	if (!ek_mode_has_data((uint16_t)node->mode) || node->size == 0)
		return EK_OK;
	switch (node->layout) {
	case EK_LAYOUT_FLAT_PLAIN:
		return EK_OK;
	case EK_LAYOUT_FLAT_INLINE:
		*end += node->size - ek_inode_block_bytes(&image->sb, &in);
		return EK_OK;
	case EK_LAYOUT_CHUNK_BASED:
		EK_TRY(ek_chunk_map_init(&image->sb, &in, node->position, &map,
					 err));
		*end = map.pos + map.count * map.unit;
		return EK_OK;
	default:
		return ek_map_indexes(image, node, end, err);
	}
}
