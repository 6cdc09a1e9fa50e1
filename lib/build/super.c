/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/needs.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

static ek_status write_specials(struct ek_build *b, struct ek_err *err)
{
	for (uint32_t i = 0; i < b->tree->n_inodes; i++) {
		struct ek_tree_inode *inode = b->tree->inodes[i];

		if (!S_ISREG(inode->mode))
			EK_TRY(ek_special_write(b, inode, err));
	}
	if (b->shares.area_size)
		ek_zone_write(&b->zone, b->shares.area_pos, b->shares.area,
			      (size_t)b->shares.area_size);
	return EK_OK;
}

static ek_status write_zone(struct ek_build *b, struct ek_err *err)
{
	const uint8_t *chunk;
	size_t n;

	for (size_t i = 0; (chunk = ek_zone_chunk(&b->zone, i, &n)); i++) {
		EK_TRY(ek_build_append(b, chunk, n, err));
		if (b->hash)
			ek_hash_add(b->hash, chunk, n);
	}
	return EK_OK;
}

static void fill_super(struct ek_build *b)
{
	struct ek_sb *sb = &b->sb;

	sb->compat |= EK_COMPAT_MTIME;
	if (b->opt.xattr_filter)
		sb->compat |= EK_COMPAT_XATTR_FILTER;
	if (!b->opt.no_checksum)
		sb->compat |= EK_COMPAT_SB_CHKSUM;
	sb->inos = b->tree->n_inodes;
	sb->root_nid = ek_plan_of(b->tree->root->inode)->slot;
	sb->blocks = b->next_blk;
	sb->meta_blkaddr = (uint32_t)b->zone_blk;
	if (b->shares.n)
		sb->xattr_blkaddr = (uint32_t)b->zone_blk;
	if (b->opt.label)
		memcpy(sb->volume_name, b->opt.label, strlen(b->opt.label));
	/* What no file uses is not announced: a kernel may lack it. */
	if (sb->incompat & EK_INCOMPAT_COMPR_CFGS) {
		sb->algs = b->cfgs.algs;
	} else if (sb->incompat & EK_INCOMPAT_LZ4_0PADDING) {
		sb->lz4_max_distance = EK_LZ4_DISTANCE_MAX;
	}
}

static ek_status encode_head(struct ek_build *b, struct ek_err *err)
{
	size_t size = (size_t)b->head_blocks * b->bs, used;
	uint64_t at = ek_cfgs_offset(&b->sb), longs;

	memset(b->head, 0, size);
	EK_TRY(ek_sb_encode(&b->sb, b->head + EK_SB_OFFSET, size - EK_SB_OFFSET,
			    err));
	if (b->sb.incompat & EK_INCOMPAT_COMPR_CFGS)
		EK_TRY(ek_cfgs_encode(&b->cfgs, b->head + at, size - (size_t)at,
				      &used, err));
	if (b->sb.xattr_prefix_count) {
		at = (uint64_t)b->sb.xattr_prefix_start * 4;
		EK_TRY(ek_xattr_longs(b, b->head + at, size - (size_t)at,
				      &longs, err));
	}
	return ek_index_table(b, err);
}

static ek_status make_uuid(struct ek_build *b, struct ek_err *err)
{
	uint8_t *uuid = b->sb.uuid;
	uint8_t version = 4;

	switch (b->opt.uuid_mode) {
	case EK_UUID_CLEAR:
		return EK_OK;
	case EK_UUID_GIVEN:
		memcpy(uuid, b->opt.uuid, 16);
		return EK_OK;
	case EK_UUID_RANDOM:
		if (getrandom(uuid, 16, 0) != 16)
			return ek_fail_sys(err, errno, "random bytes");
		break;
	case EK_UUID_CONTENT:
		/* The head comes last: only now are its bytes known. */
		ek_hash_add(b->hash, b->head, (size_t)b->head_blocks * b->bs);
		ek_hash_get(b->hash, uuid);
		version = 8;
		break;
	}
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | version << 4);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return EK_OK;
}

static ek_status write_head(struct ek_build *b, struct ek_err *err)
{
	EK_TRY(encode_head(b, err));
	EK_TRY(make_uuid(b, err));
	EK_TRY(encode_head(b, err));
	if (!b->opt.no_checksum)
		ek_sb_seal(b->head + EK_SB_OFFSET, ek_sb_csum_len(b->bs));
	return ek_sink_write(b->sink, 0, b->head,
			     (size_t)b->head_blocks * b->bs, err);
}

static const char *oldest_kernel(const struct ek_build *b)
{
	struct ek_need needs[EK_NEEDS_MAX];
	size_t n;

	ek_needs(&b->sb, &b->cfgs, b->uses, needs, &n);
	return ek_need_text(&needs[n - 1]);
}

static void fill_stats(struct ek_build *b)
{
	struct ek_build_stats *s = b->stats;

	for (uint32_t i = 0; i < b->tree->n_inodes; i++) {
		const struct ek_tree_inode *inode = b->tree->inodes[i];

		if (S_ISREG(inode->mode))
			s->files++;
		else if (S_ISDIR(inode->mode))
			s->directories++;
		else if (S_ISLNK(inode->mode))
			s->symlinks++;
		else
			s->others++;
	}
	s->inodes = b->tree->n_inodes;
	s->bytes_in = b->total_bytes;
	s->blocks = b->next_blk;
	s->bytes_out = b->next_blk * b->bs;
	s->meta_blocks = b->head_blocks + b->zone.n_blocks;
	memcpy(s->uuid, b->sb.uuid, 16);
	s->build_time = b->sb.epoch;
	s->block_size = b->bs;
	s->blob_bytes = b->blob_blk * b->bs;
	s->devices = b->sb.extra_devices;
	s->oldest_kernel = oldest_kernel(b);
}

/*
 * Older erofs-utils (1.5 of Debian 12) look for attributes behind every inode,
 * also where there are none: behind the last one must be something to read.
 */
static ek_status pad_zone(struct ek_zone *zone, struct ek_err *err)
{
	uint32_t block;

	if (zone->inode_end < (uint64_t)zone->n_blocks * zone->bs)
		return EK_OK;
	return ek_zone_alloc_blocks(zone, 1, &block, err);
}

ek_status ek_build_finish(struct ek_build *b, struct ek_err *err)
{
	EK_TRY(ek_commit_until(b, b->tree->n_inodes, err));
	EK_TRY(ek_pend_flush(b->pend, &b->zone, err));
	EK_TRY(pad_zone(&b->zone, err));
	b->zone_blk = b->next_blk;
	EK_TRY(write_specials(b, err));
	EK_TRY(write_zone(b, err));
	if (b->blob)
		EK_TRY(ek_sink_resize(b->blob, b->blob_blk * b->bs, err));
	fill_super(b);
	EK_TRY(ek_compat_image(b, err));
	EK_TRY(write_head(b, err));
	EK_TRY(ek_sink_resize(b->sink, b->next_blk * b->bs, err));
	fill_stats(b);
	return EK_OK;
}
