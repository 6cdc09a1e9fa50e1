/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Checkpoints: data synced, then the map. And the keeper, a thread that makes
 * them, and that compares suspects while there are any; it sleeps otherwise.
 */

#include "cachefilesd/store/priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* Suspects of one blob that are compared between two looks at the clock. */
#define SLICE 64u

/* The leaves that are here now: all were written before the sync to come. */
static void snapshot(const struct ekd_blob *b, uint8_t *bits)
{
	for (uint32_t i = 0; i < b->leaves->n; i++)
		if (atomic_load(&b->words[i]) & EKD_PRESENT)
			bits[i / 8] |= (uint8_t)(1u << i % 8);
}

/*
 * After a sync that failed the kernel may have forgotten what it could not
 * write, so what was not synced before counts no more. A fill that is under
 * way learns of it before it tells that its leaf is here.
 */
static void forget_unsynced(struct ekd_blob *b)
{
	pthread_mutex_lock(&b->wait_lock);
	atomic_fetch_add(&b->sync_failures, 1);
	pthread_mutex_unlock(&b->wait_lock);
	ekd_forget_unsynced(b);
}

/* map_lock is held. */
static ek_status checkpoint(struct ekd_blob *b, uint8_t *bits,
			    struct ek_err *err)
{
	size_t bytes = ekd_map_bytes(b->leaves->n);
	struct ekd_map was = b->map;
	uint8_t *old = b->disk;
	ek_status status;

	snapshot(b, bits);
	status = ekd_datasync(b->store, b->fd, "data", err);
	if (status != EK_OK) {
		forget_unsynced(b);
		return status;
	}
	ekd_step(b->store, EKD_STEP_SYNCED);
	EKD_TRY(ekd_map_stamp(b, err));
	if (memcmp(old, bits, bytes) == 0 && was.inode == b->map.inode &&
	    was.ctime_s == b->map.ctime_s && was.ctime_ns == b->map.ctime_ns)
		return EK_OK;
	b->disk = bits;
	status = ekd_map_write(b, err);
	b->disk = old;
	/* They are synced, whatever became of the map. */
	memcpy(old, bits, bytes);
	if (status != EK_OK)
		b->map.inode = 0; /* unlike the next stamp: write again */
	return status;
}

ek_status ekd_blob_checkpoint(struct ekd_blob *b, struct ek_err *err)
{
	ek_status status = EK_OK;
	uint8_t *bits;

	pthread_mutex_lock(&b->map_lock);
	if (atomic_exchange(&b->dirty, false)) {
		bits = calloc(ekd_map_bytes(b->leaves->n) + 1, 1);
		if (bits)
			status = checkpoint(b, bits, err);
		else
			status = ek_fail(err, EK_NOMEM, "no memory for a map");
		free(bits);
		if (status != EK_OK)
			ekd_blob_dirty(b, 0);
	}
	pthread_mutex_unlock(&b->map_lock);
	return status;
}

ek_status ekd_store_checkpoint(struct ekd_store *s, struct ek_err *err)
{
	struct ekd_blob **blobs;
	ek_status status, one;
	size_t n;

	pthread_mutex_lock(&s->work);
	pthread_mutex_lock(&s->lock);
	s->dirty = false;
	s->dirty_bytes = 0;
	pthread_mutex_unlock(&s->lock);
	status = ekd_hold_all(s, &blobs, &n, err);
	for (size_t k = 0; k < n; k++) {
		one = ekd_blob_checkpoint(blobs[k],
					  status == EK_OK ? err : NULL);
		if (status == EK_OK)
			status = one;
	}
	for (size_t k = 0; k < n; k++)
		ekd_blob_unhold(blobs[k]);
	free(blobs);
	pthread_mutex_lock(&s->lock);
	s->stats.checkpoints++;
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&s->work);
	return status;
}

/* From where the last slice ended, around once at most. */
static void compare_slice(struct ekd_blob *b)
{
	uint32_t n = b->leaves->n;
	unsigned left = SLICE;

	if (!atomic_load(&b->suspects))
		return;
	for (uint32_t k = 0; k < n && left; k++) {
		uint32_t i = b->cursor++;

		if (b->cursor == n)
			b->cursor = 0;
		if (!(atomic_load(&b->words[i]) & EKD_SUSPECT))
			continue;
		ekd_leaf_settle(b, i);
		left--;
	}
}

/* Compare some suspects; whether any are left. */
static bool compare_some(struct ekd_store *s)
{
	struct ekd_blob **blobs;
	bool more = false;
	size_t n;

	pthread_mutex_lock(&s->work);
	if (ekd_hold_all(s, &blobs, &n, NULL) != EK_OK)
		n = 0;
	for (size_t k = 0; k < n; k++) {
		compare_slice(blobs[k]);
		more |= atomic_load(&blobs[k]->suspects) != 0;
		ekd_blob_unhold(blobs[k]);
	}
	free(blobs);
	pthread_mutex_unlock(&s->work);
	return more;
}

/* store->lock is held, released while it works. */
static void compare_suspects(struct ekd_store *s)
{
	bool more;

	s->suspects = false;
	pthread_mutex_unlock(&s->lock);
	more = compare_some(s);
	pthread_mutex_lock(&s->lock);
	s->suspects |= more;
}

static bool due(const struct ekd_store *s)
{
	return s->dirty && (s->dirty_bytes >= s->options.checkpoint_bytes ||
			    ekd_store_now_ms() - s->dirty_since_ms >=
				    s->options.checkpoint_ms);
}

static void nap(struct ekd_store *s)
{
	int64_t until = s->dirty_since_ms + s->options.checkpoint_ms;
	struct timespec t = {
		.tv_sec = (time_t)(until / 1000),
		.tv_nsec = (long)(until % 1000 * 1000000),
	};

	if (s->dirty)
		pthread_cond_timedwait(&s->keeper_wake, &s->lock, &t);
	else
		pthread_cond_wait(&s->keeper_wake, &s->lock);
}

static void *keeper(void *arg)
{
	struct ekd_store *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		if (due(s)) {
			pthread_mutex_unlock(&s->lock);
			/* What fails is dirty again, and tried again. */
			ekd_store_checkpoint(s, NULL);
			pthread_mutex_lock(&s->lock);
		} else if (s->suspects) {
			compare_suspects(s);
		} else {
			nap(s);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

ek_status ekd_keeper_start(struct ekd_store *s, struct ek_err *err)
{
	sigset_t all, before;
	int sys;

	/* Signals are for the threads of the program. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	sys = pthread_create(&s->keeper, NULL, keeper, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (sys)
		return ek_fail_sys(err, sys, "cannot start a thread");
	s->keeper_runs = true;
	return EK_OK;
}

void ekd_keeper_stop(struct ekd_store *s)
{
	if (!s->keeper_runs)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->keeper_wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->keeper, NULL);
}
