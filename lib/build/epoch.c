/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

/*
 * The time of the superblock. Inodes that have it are half as large, so it may
 * be one that many have rather than the newest.
 */

/* Times that are counted at most, a power of two; more are not worth it. */
#define TIMES 16384u
/* Places of a time in the table; what finds none is not counted. */
#define PROBES 32u

struct count {
	int64_t time;
	uint32_t n; /* 0: none */
};

static struct count *count_of(struct count *counts, int64_t time)
{
	uint64_t i = (uint64_t)time * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	for (uint32_t k = 0; k < PROBES; k++) {
		struct count *c = &counts[(i + k) % TIMES];

		if (c->n == 0 || c->time == time)
			return c;
	}
	return NULL;
}

/* The whole second that most inodes have; of several the latest. */
static struct count commonest(const struct ek_tree *tree, struct count *counts)
{
	struct count best = {0};

	for (uint32_t i = 0; i < tree->n_inodes; i++) {
		const struct ek_tree_inode *in = tree->inodes[i];
		struct count *c;

		c = in->mtime_nsec ? NULL : count_of(counts, in->mtime);
		if (!c)
			continue;
		c->time = in->mtime;
		c->n++;
		if (c->n > best.n || (c->n == best.n && c->time > best.time))
			best = *c;
	}
	return best;
}

/*
 * With 48-bit addresses small inodes have whole seconds from that time on: the
 * oldest within their reach of @newest, and how many those are.
 */
static struct count oldest(const struct ek_tree *tree, int64_t newest)
{
	struct count c = {.time = newest};

	for (uint32_t i = 0; i < tree->n_inodes; i++) {
		const struct ek_tree_inode *in = tree->inodes[i];

		if (in->mtime_nsec ||
		    (uint64_t)newest - (uint64_t)in->mtime > UINT32_MAX)
			continue;
		if (in->mtime < c.time)
			c.time = in->mtime;
		c.n++;
	}
	return c;
}

/* Inodes that are small with the time that is set. */
static uint32_t small_now(const struct ek_build *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->tree->n_inodes; i++)
		n += b->tree->inodes[i]->mtime == b->sb.epoch &&
		     b->tree->inodes[i]->mtime_nsec == b->sb.fixed_nsec;
	return n;
}

/* Another time than the newest when that is worth a block. */
static ek_status prefer_common(struct ek_build *b, struct ek_err *err)
{
	uint64_t gain = EK_INODE_EXTENDED - EK_INODE_COMPACT;
	struct count best;

	if (b->opt.wide) {
		best = oldest(b->tree, b->sb.epoch);
	} else {
		struct count *counts = calloc(TIMES, sizeof(*counts));

		if (!counts)
			return ek_fail(err, EK_NOMEM, "no memory for times");
		best = commonest(b->tree, counts);
		free(counts);
	}
	if (best.n * gain < small_now(b) * gain + b->bs)
		return EK_OK;
	b->sb.epoch = best.time;
	b->sb.fixed_nsec = 0;
	return EK_OK;
}

bool ek_time_newer(int64_t a, uint32_t a_nsec, int64_t b, uint32_t b_nsec)
{
	return a > b || (a == b && a_nsec > b_nsec);
}

ek_status ek_build_epoch(struct ek_build *b, struct ek_err *err)
{
	const struct ek_tree *tree = b->tree;

	if (b->opt.time_mode != EK_TIME_KEEP) {
		b->sb.epoch = b->opt.fixed_time;
		return EK_OK;
	}
	b->sb.epoch = INT64_MIN;
	for (uint32_t i = 0; i < tree->n_inodes; i++) {
		const struct ek_tree_inode *in = tree->inodes[i];

		if (!ek_time_newer(in->mtime, in->mtime_nsec, b->sb.epoch,
				   b->sb.fixed_nsec))
			continue;
		b->sb.epoch = in->mtime;
		b->sb.fixed_nsec = in->mtime_nsec;
	}
	/* Where all inodes are alike there is nothing to choose. */
	if (b->opt.inode_form != EK_FORM_AUTO || b->opt.ignore_mtime)
		return EK_OK;
	return prefer_common(b, err);
}
