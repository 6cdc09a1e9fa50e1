/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/dirent.h"

#include <string.h>

/* Most entries in a block of 4096: names of one byte. */
#define BLOCK_ENTRIES (4096u / (EK_DIRENT_SIZE + 1))

/* Goes through a directory with "." and ".." at their sorted places. */
struct walk {
	const struct ek_tree_node *node;
	uint32_t next;	   /* child */
	unsigned int dots; /* of the two; 1 from the start: without "." */
};

static const char *const dot_names[] = {".", ".."};

/* Whether the next entry is a dot entry. */
static bool dot_is_next(const struct walk *w)
{
	const struct ek_tree_node *child;

	if (w->dots == 2)
		return false;
	if (w->next == w->node->n_children)
		return true;
	child = w->node->children[w->next];
	return ek_name_cmp((const uint8_t *)dot_names[w->dots], w->dots + 1,
			   (const uint8_t *)child->name, child->name_len) < 0;
}

static bool walk_done(const struct walk *w)
{
	return w->dots == 2 && w->next == w->node->n_children;
}

static uint32_t next_len(const struct walk *w)
{
	if (dot_is_next(w))
		return w->dots + 1;
	return w->node->children[w->next]->name_len;
}

static void walk_step(struct walk *w)
{
	if (dot_is_next(w))
		w->dots++;
	else
		w->next++;
}

uint64_t ek_dir_size(const struct ek_build *b, const struct ek_tree_node *node)
{
	struct walk w = {.node = node, .dots = b->opt.dot_omitted};
	uint32_t used = 0, bs = b->bs;
	uint64_t blocks = 0;

	while (!walk_done(&w)) {
		uint32_t len = next_len(&w);

		if (!ek_dirblock_fits(used, len, bs)) {
			blocks++;
			used = 0;
		}
		used += EK_DIRENT_SIZE + len;
		walk_step(&w);
	}
	return blocks * bs + used;
}

static void get(const struct walk *w, struct ek_dent *d)
{
	const struct ek_tree_node *node = w->node, *to;

	memset(d, 0, sizeof(*d));
	d->namelen = (uint16_t)next_len(w);
	if (!dot_is_next(w)) {
		to = node->children[w->next];
		d->name = (const uint8_t *)to->name;
	} else {
		to = w->dots && node->parent ? node->parent : node;
		d->name = (const uint8_t *)dot_names[w->dots];
	}
	d->nid = ek_plan_of(to->inode)->slot;
	d->type = ek_ftype_of_mode((uint16_t)to->inode->mode);
}

ek_status ek_dir_blocks(const struct ek_build *b,
			const struct ek_tree_node *node, ek_dir_block_fn fn,
			void *arg, struct ek_err *err)
{
	struct ek_dent ents[BLOCK_ENTRIES];
	struct walk w = {.node = node, .dots = b->opt.dot_omitted};
	uint32_t bs = b->bs;
	uint8_t block[4096];

	while (!walk_done(&w)) {
		uint32_t used = 0;
		size_t n = 0;

		while (!walk_done(&w) &&
		       ek_dirblock_fits(used, next_len(&w), bs)) {
			get(&w, &ents[n]);
			used += EK_DIRENT_SIZE + ents[n++].namelen;
			walk_step(&w);
		}
		EK_TRY(ek_dirblock_encode(ents, n, block, bs, err));
		EK_TRY(fn(arg, block, walk_done(&w) ? used : bs, err));
	}
	return EK_OK;
}
