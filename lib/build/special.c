/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>

/*
 * Directories, symlinks, devices, FIFOs, sockets. They get a place when their
 * turn comes and are written when all places are known. Their blocks are in
 * the zone: names and targets are metadata.
 */

static uint64_t data_size(const struct ek_tree_inode *inode)
{
	if (S_ISDIR(inode->mode))
		return ek_plan_of(inode)->size;
	return S_ISLNK(inode->mode) ? inode->size : 0;
}

/* Whole blocks, and in @tail the bytes that are inline. */
static uint64_t split(const struct ek_build *b,
		      const struct ek_tree_inode *inode, uint32_t *tail)
{
	uint64_t size = data_size(inode);

	*tail = 0;
	if (!ek_plan_of(inode)->tail)
		return ek_div_up(size, b->bs);
	*tail = (uint32_t)(size % b->bs);
	return size / b->bs;
}

ek_status ek_special_place(struct ek_build *b, struct ek_tree_inode *inode,
			   struct ek_err *err)
{
	struct ek_plan *plan = inode->plan;
	struct ek_pend_item item = {.inode = inode};
	uint64_t blocks;
	uint32_t tail;

	plan->tail = ek_build_tail_ok(b, inode, data_size(inode) % b->bs);
	blocks = split(b, inode, &tail);
	if (blocks > UINT32_MAX)
		return ek_build_fail(inode, err, EK_LIMIT,
				     "the directory is too large");
	item.size = (uint64_t)ek_plan_head(plan) + tail;
	item.cross = tail == 0;
	item.blocks = (uint32_t)blocks;
	return ek_pend_add(b->pend, &b->zone, &item, NULL, err);
}

/* Where the blocks of an inode's data go in the zone. */
struct place {
	struct ek_build *b;
	uint64_t next;	/* the next whole block */
	uint64_t whole; /* blocks left */
	uint64_t tail;
};

static ek_status put_block(void *arg, const uint8_t *block, size_t n,
			   struct ek_err *err)
{
	struct place *p = arg;

	(void)err;
	if (p->whole == 0) {
		ek_zone_write(&p->b->zone, p->tail, block, n);
		return EK_OK;
	}
	ek_zone_write(&p->b->zone, p->next, block, n);
	p->next += p->b->bs;
	p->whole--;
	return EK_OK;
}

static ek_status put_target(struct place *p, const char *target, uint64_t size,
			    struct ek_err *err)
{
	for (uint64_t at = 0; at < size; at += p->b->bs)
		EK_TRY(put_block(p, (const uint8_t *)target + at,
				 (size_t)ek_min(p->b->bs, size - at), err));
	return EK_OK;
}

ek_status ek_special_write(struct ek_build *b, struct ek_tree_inode *inode,
			   struct ek_err *err)
{
	const struct ek_plan *plan = inode->plan;
	uint64_t pos = (uint64_t)plan->slot * EK_NID_SLOT;
	struct place p = {
		.b = b,
		.next = (uint64_t)plan->blk * b->bs,
		.tail = pos + ek_plan_head(plan),
	};
	struct ek_inode in;
	uint32_t tail;

	p.whole = split(b, inode, &tail);
	ek_build_inode_fill(b, inode, &in);
	in.layout = plan->tail ? EK_LAYOUT_INLINE : EK_LAYOUT_PLAIN;
	if (p.whole)
		in.start = b->zone_blk + plan->blk;
	else if (plan->tail)
		in.start = EK_NULL_BLK;
	EK_TRY(ek_build_inode_head(b, inode, &in, err));
	ek_zone_write(&b->zone, pos, b->record.data, b->record.len);
	if (S_ISDIR(inode->mode))
		return ek_dir_blocks(b, inode->first, put_block, &p, err);
	if (S_ISLNK(inode->mode))
		return put_target(&p, inode->target, inode->size, err);
	return EK_OK;
}
