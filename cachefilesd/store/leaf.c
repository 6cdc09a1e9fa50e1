/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leaves: filled, read, compared. The word of a leaf goes
 *	absent -> busy -> present	a fill
 *	present -> busy -> absent	an eviction, which raises the epoch
 *	suspect -> busy -> present or absent	a comparison after a crash
 * and only who made it busy writes to its place in the data file. A reader
 * takes bytes only if the word is the same before and after it read them.
 */

#include "cachefilesd/store/priv.h"

#include <errno.h>

/* Leaves that one pread() may cover, and tries when they keep changing. */
#define RUN_MAX	   64u
#define READ_TRIES 8

void ekd_account(struct ekd_store *s, uint64_t more, uint64_t less)
{
	pthread_mutex_lock(&s->lock);
	s->stats.bytes += more;
	s->stats.bytes -= less;
	pthread_mutex_unlock(&s->lock);
}

void ekd_blob_dirty(struct ekd_blob *b, uint64_t bytes)
{
	struct ekd_store *s = b->store;
	bool due;

	atomic_store(&b->dirty, true);
	pthread_mutex_lock(&s->lock);
	due = !s->dirty;
	if (due)
		s->dirty_since_ms = ekd_store_now_ms();
	s->dirty = true;
	s->dirty_bytes += bytes;
	due |= s->dirty_bytes >= s->options.checkpoint_bytes;
	if (due)
		pthread_cond_signal(&s->keeper_wake);
	pthread_mutex_unlock(&s->lock);
}

void ekd_leaf_release(struct ekd_blob *b, uint32_t i, uint32_t word)
{
	atomic_store(&b->words[i], word);
	pthread_mutex_lock(&b->wait_lock);
	pthread_cond_broadcast(&b->settled);
	pthread_mutex_unlock(&b->wait_lock);
}

bool ekd_leaf_unclaim(struct ekd_blob *b, uint32_t i)
{
	uint8_t bit = (uint8_t)(1u << i % 8);

	return atomic_fetch_and(&b->claimed[i / 8], (uint8_t)~bit) & bit;
}

void ekd_leaf_punch(struct ekd_blob *b, uint32_t first, uint32_t n)
{
	uint64_t size = b->leaves->leaf_size;

	/* The last may be short: its block goes too. */
	ekd_punch(b->store, b->fd, first * size, n * size, NULL);
}

static uint32_t wait_idle(struct ekd_blob *b, uint32_t i)
{
	uint32_t word = atomic_load(&b->words[i]);

	if (!(word & EKD_BUSY))
		return word;
	pthread_mutex_lock(&b->wait_lock);
	while ((word = atomic_load(&b->words[i])) & EKD_BUSY)
		pthread_cond_wait(&b->settled, &b->wait_lock);
	pthread_mutex_unlock(&b->wait_lock);
	return word;
}

/* Whether the file holds leaf @i. */
static bool holds(struct ekd_blob *b, uint32_t i)
{
	size_t n = ek_leaf_length(b->leaves, i);
	uint8_t *bytes = malloc(n);
	bool same = bytes &&
		    ekd_pread(b->fd, "data", ekd_leaf_start(b, i), bytes, n,
			      NULL) == EK_OK &&
		    ek_leaf_verify(b->leaves, i, bytes, n, NULL) == EK_OK;

	free(bytes);
	return same;
}

/*
 * It is here, unless a sync failed meanwhile (@failures were before): then it
 * may be lost with those that ekd_forget_unsynced() has seen.
 */
static ek_status settle(struct ekd_blob *b, uint32_t i, uint32_t epoch,
			uint32_t failures, struct ek_err *err)
{
	bool good;

	pthread_mutex_lock(&b->wait_lock);
	good = atomic_load(&b->sync_failures) == failures;
	if (good)
		atomic_fetch_add(&b->present, 1);
	atomic_store(&b->words[i], good ? epoch | EKD_PRESENT : epoch);
	pthread_cond_broadcast(&b->settled);
	pthread_mutex_unlock(&b->wait_lock);
	return good ? EK_OK
		    : ek_fail_sys(err, EIO,
				  "%s: the disk did not take the data",
				  b->entry->name);
}

/* Before a leaf settles, so that who sees it sees it counted. */
static void count_compared(struct ekd_store *s, int recovered, int dropped,
			   uint64_t gone)
{
	pthread_mutex_lock(&s->lock);
	s->stats.recovered_leaves += (uint64_t)recovered;
	s->stats.dropped_leaves += (uint64_t)dropped;
	s->stats.bytes -= gone;
	pthread_mutex_unlock(&s->lock);
}

/* Leaf @i is busy and was suspect. */
static void compare(struct ekd_blob *b, uint32_t i, uint32_t epoch)
{
	struct ekd_store *s = b->store;
	uint32_t n = ek_leaf_length(b->leaves, i);
	uint32_t failures = atomic_load(&b->sync_failures);
	bool same = holds(b, i);

	atomic_fetch_sub(&b->suspects, 1);
	if (!same && !ekd_stays(b))
		ekd_leaf_punch(b, i, 1);
	count_compared(s, same, !same, same ? 0 : n);
	if (same)
		ekd_leaf_unclaim(b, i);
	if (!same)
		ekd_leaf_release(b, i, epoch);
	else if (settle(b, i, epoch, failures, NULL) != EK_OK)
		count_compared(s, -1, 1, n);
	ekd_blob_dirty(b, n);
}

uint32_t ekd_leaf_settle(struct ekd_blob *b, uint32_t i)
{
	for (;;) {
		uint32_t word = wait_idle(b, i);
		uint32_t epoch = word & ~(uint32_t)EKD_FLAGS;

		if (!(word & EKD_SUSPECT))
			return word;
		if (atomic_compare_exchange_strong(&b->words[i], &word,
						   epoch | EKD_BUSY))
			compare(b, i, epoch);
	}
}

bool ekd_blob_here(const struct ekd_blob *b, uint32_t i)
{
	EKD_BUG_ON(i >= b->leaves->n);
	/* One that is busy or suspect is not present. */
	return atomic_load(&b->words[i]) & EKD_PRESENT;
}

bool ekd_blob_absent(const struct ekd_blob *b, uint32_t i)
{
	EKD_BUG_ON(i >= b->leaves->n);
	return !(atomic_load(&b->words[i]) & EKD_FLAGS);
}

void ekd_blob_missing(struct ekd_blob *b, uint32_t first, uint32_t end,
		      uint32_t *from, uint32_t *to)
{
	EKD_BUG_ON(first > end || end > b->leaves->n);
	while (first < end && ekd_leaf_settle(b, first) & EKD_PRESENT)
		first++;
	*from = first;
	while (first < end && !(ekd_leaf_settle(b, first) & EKD_PRESENT))
		first++;
	*to = first;
}

/*
 * Make leaf @i busy; *word is what it was. False: it is here already. A
 * suspect is simply written again.
 */
static bool claim(struct ekd_blob *b, uint32_t i, uint32_t *word)
{
	for (;;) {
		*word = wait_idle(b, i);
		if (*word & EKD_PRESENT)
			return false;
		if (atomic_compare_exchange_strong(
			    &b->words[i], word,
			    (*word & ~(uint32_t)EKD_FLAGS) | EKD_BUSY))
			return true;
	}
}

/* Write, and make room when the disk has none. */
static ek_status write_leaf(struct ekd_blob *b, uint32_t i, const void *bytes,
			    size_t n, struct ek_err *err)
{
	struct ekd_store *s = b->store;
	uint64_t at = ekd_leaf_start(b, i);
	ek_status status;

	for (int tries = 0;; tries++) {
		struct ek_err why;

		status = ekd_pwrite(s, b->fd, "data", at, bytes, n, &why);
		if (status == EK_OK)
			return EK_OK;
		/* What fitted is of no use. */
		if (!ekd_stays(b))
			ekd_leaf_punch(b, i, 1);
		if (!ekd_is_full(status, &why) || tries == 4 ||
		    ekd_make_room(s, n, NULL) != EK_OK) {
			if (err)
				*err = why;
			return status;
		}
	}
}

static void count_fill(struct ekd_store *s, size_t n)
{
	pthread_mutex_lock(&s->lock);
	s->stats.fills++;
	s->stats.fill_bytes += n;
	pthread_mutex_unlock(&s->lock);
}

static ek_status put_leaf(struct ekd_blob *b, uint32_t i, uint32_t word,
			  const void *bytes, size_t n, struct ek_err *err)
{
	struct ekd_store *s = b->store;
	uint32_t epoch = word & ~(uint32_t)EKD_FLAGS;
	uint32_t failures = atomic_load(&b->sync_failures);
	ek_status status;

	if (word & EKD_SUSPECT) {
		/* Its room is counted; what it holds is now overwritten. */
		atomic_fetch_sub(&b->suspects, 1);
	} else {
		status = ekd_reserve(s, n, err);
		if (status != EK_OK) {
			ekd_leaf_release(b, i, word);
			return status;
		}
	}
	ekd_step(s, EKD_STEP_RESERVED);
	status = write_leaf(b, i, bytes, n, err);
	if (status != EK_OK) {
		ekd_account(s, 0, n);
		ekd_leaf_release(b, i, epoch);
		ekd_blob_dirty(b, 0);
		return status;
	}
	ekd_step(s, EKD_STEP_WRITTEN);
	ekd_leaf_unclaim(b, i);
	atomic_store(&b->used[i], atomic_fetch_add(&s->tick, 1) + 1);
	status = settle(b, i, epoch, failures, err);
	if (status != EK_OK)
		ekd_account(s, 0, n);
	else
		count_fill(s, n);
	ekd_blob_dirty(b, n);
	ekd_step(s, EKD_STEP_PRESENT);
	return status;
}

ek_status ekd_blob_fill(struct ekd_blob *b, uint32_t i, const void *bytes,
			size_t n, struct ek_err *err)
{
	ek_status status;
	uint32_t word;

	if (i >= b->leaves->n)
		return ek_fail(err, EK_INVALID, "%s has no leaf %u",
			       b->entry->name, i);
	status = ek_leaf_verify(b->leaves, i, bytes, n, err);
	if (status == EK_DIFFERS) {
		pthread_mutex_lock(&b->store->lock);
		b->store->stats.refused_fills++;
		pthread_mutex_unlock(&b->store->lock);
	}
	if (status != EK_OK)
		return status;
	if (!claim(b, i, &word))
		return EK_OK;
	return put_leaf(b, i, word, bytes, n, err);
}

static void touch(struct ekd_blob *b, uint32_t i)
{
	uint32_t now = atomic_load(&b->store->tick);

	/* Unchanged, the line stays shared between the readers' CPUs. */
	if (atomic_load(&b->used[i]) != now)
		atomic_store(&b->used[i], now);
}

static ek_status missing(struct ekd_blob *b, uint32_t i, struct ek_err *err)
{
	return ek_fail(err, EK_NOTFOUND, "%s: leaf %u is not here",
		       b->entry->name, i);
}

/*
 * Read a range inside leaves [first, last], at most RUN_MAX. *again: a leaf
 * went while it was read.
 */
static ek_status read_run(struct ekd_blob *b, uint32_t first, uint32_t last,
			  uint64_t offset, void *to, size_t n, bool *again,
			  struct ek_err *err)
{
	uint32_t words[RUN_MAX];

	for (uint32_t i = first; i <= last; i++) {
		words[i - first] = ekd_leaf_settle(b, i);
		if (!(words[i - first] & EKD_PRESENT))
			return missing(b, i, err);
	}
	EKD_TRY(ekd_pread(b->fd, "data", offset, to, n, err));
	*again = false;
	for (uint32_t i = first; i <= last; i++) {
		if (atomic_load(&b->words[i]) != words[i - first])
			*again = true;
		touch(b, i);
	}
	return EK_OK;
}

static ek_status read_steady(struct ekd_blob *b, uint64_t offset, void *to,
			     size_t n, struct ek_err *err)
{
	uint32_t first = (uint32_t)(offset / b->leaves->leaf_size);
	uint32_t last = (uint32_t)((offset + n - 1) / b->leaves->leaf_size);
	bool again;

	for (int tries = 0; tries < READ_TRIES; tries++) {
		EKD_TRY(read_run(b, first, last, offset, to, n, &again, err));
		if (!again)
			return EK_OK;
	}
	return missing(b, first, err);
}

ek_status ekd_blob_read(struct ekd_blob *b, uint64_t offset, void *to, size_t n,
			struct ek_err *err)
{
	uint64_t size = b->leaves->blob_size;
	uint64_t run = (uint64_t)RUN_MAX * b->leaves->leaf_size;
	uint8_t *p = to;

	if (offset > size || n > size - offset)
		return ek_fail(err, EK_INVALID, "%s: range beyond the end",
			       b->entry->name);
	while (n) {
		uint64_t room = run - offset % b->leaves->leaf_size;
		size_t part = n < room ? n : (size_t)room;

		EKD_TRY(read_steady(b, offset, p, part, err));
		p += part;
		offset += part;
		n -= part;
	}
	return EK_OK;
}
