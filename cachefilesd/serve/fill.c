/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What came is verified and stored leaf by leaf (the store does both), and
 * each leaf goes to its readers at once. Wrong leaves are asked for again:
 * another mirror, or the registry itself, may have the right ones.
 */

#include "cachefilesd/serve/priv.h"

#include <errno.h>

/* Microseconds before the third round; doubled for each further one. */
#define WRONG_PAUSE 50000

void ekd_fill_later(struct ekd_flight *f)
{
	struct ekd_serve *v = f->served->serve;
	struct ekd_flight ***end =
		f->why == EKD_WHY_DEMAND ? &v->to_fill_end : &v->later_end;

	f->queued = NULL;
	**end = f;
	*end = &f->queued;
	pthread_cond_signal(&v->fill_wake);
}

static struct ekd_flight *take(struct ekd_flight **list,
			       struct ekd_flight ***end)
{
	struct ekd_flight *f = *list;

	if (!f)
		return NULL;
	*list = f->queued;
	if (!*list)
		*end = list;
	return f;
}

void *ekd_filler(void *arg)
{
	struct ekd_serve *v = arg;

	pthread_mutex_lock(&v->lock);
	for (;;) {
		struct ekd_flight *f = take(&v->to_fill, &v->to_fill_end);

		if (!f)
			f = take(&v->later, &v->later_end);
		if (f) {
			pthread_mutex_unlock(&v->lock);
			ekd_fill(f, f->bytes);
			pthread_mutex_lock(&v->lock);
			continue;
		}
		if (v->stop)
			break;
		pthread_cond_wait(&v->fill_wake, &v->lock);
	}
	pthread_mutex_unlock(&v->lock);
	return NULL;
}

void ekd_tell_complete(struct ekd_served *s)
{
	struct ekd_serve *v = s->serve;
	bool tell;

	if (!ekd_blob_complete(s->blob))
		return;
	pthread_mutex_lock(&v->lock);
	tell = !s->told && !s->closing;
	s->told = true;
	s->completing = false;
	pthread_mutex_unlock(&v->lock);
	if (!tell)
		return;
	ekd_serve_at(v, EKD_AT_COMPLETE);
	if (s->complete)
		s->complete(s->complete_arg);
}

static bool is_full(ek_status status, const struct ek_err *err)
{
	return status == EK_IO && (err->sys == ENOSPC || err->sys == EDQUOT);
}

/* Leaf @i could not be stored, for another reason than its bytes. */
static void not_stored(struct ekd_flight *f, uint32_t i, ek_status status,
		       const struct ek_err *err, struct ekd_read **out)
{
	struct ekd_served *s = f->served;

	ekd_note_error(s, err);
	if (is_full(status, err)) {
		s->stats.no_room++;
		ekd_background_full(s, err);
	}
	ekd_read_fail(s, i, i + 1, EKD_NEVER, status, err, out);
}

/*
 * Verify, store and hand out leaf @i. *wrong: not its bytes.
 */
static void fill_leaf(struct ekd_flight *f, uint32_t i, const uint8_t *bytes,
		      bool *wrong)
{
	struct ekd_served *s = f->served;
	struct ekd_serve *v = s->serve;
	struct ekd_read *out = NULL;
	struct ek_err err;
	ek_status status;

	status = ekd_blob_fill(s->blob, i, bytes, ek_leaf_length(s->leaves, i),
			       &err);
	if (status == EK_OK)
		ekd_serve_at(v, EKD_AT_FILLED);
	pthread_mutex_lock(&v->lock);
	f->pos = i + 1;
	*wrong = status == EK_DIFFERS;
	if (status == EK_OK) {
		ekd_read_deliver(s, i, bytes, &out);
	} else if (*wrong) {
		s->stats.wrong++;
		ekd_note_error(s, &err);
		ekd_serve_at(v, EKD_AT_WRONG);
	} else {
		not_stored(f, i, status, &err, &out);
	}
	pthread_mutex_unlock(&v->lock);
	ekd_read_answer(v, out);
}

/* Nobody wants leaf @i, and it is here: it is through. */
static bool needless(struct ekd_flight *f, uint32_t i)
{
	struct ekd_served *s = f->served;
	uint32_t from, to;
	bool wanted;

	ekd_blob_missing(s->blob, i, i + 1, &from, &to);
	if (from < to)
		return false;
	pthread_mutex_lock(&s->serve->lock);
	wanted = ekd_read_wanted(s, i);
	if (!wanted)
		f->pos = i + 1;
	pthread_mutex_unlock(&s->serve->lock);
	return !wanted;
}

/* Leaves [first, end) of @f were wrong: again, or give up. */
static void retry(struct ekd_flight *f, uint32_t first, uint32_t end)
{
	struct ekd_served *s = f->served;
	struct ekd_serve *v = s->serve;
	struct ekd_read *out = NULL;
	uint32_t tries = f->tries + 1;
	int64_t due = ekd_now_us();
	ek_status status = EK_OK;
	struct ek_err err;

	ekd_serve_log(v, "%s: leaves %u to %u are wrong, round %u of %u",
		      ekd_blob_name(s->blob), first, end - 1, tries,
		      v->options.wrong_tries);
	if (s->backend->blame)
		s->backend->blame(s->backend);
	if (tries > 1)
		due += WRONG_PAUSE << (tries < 10 ? tries - 2 : 8);
	pthread_mutex_lock(&v->lock);
	if (s->closing) {
		status = ek_fail(&err, EK_CANCELLED, "%s is served no more",
				 ekd_blob_name(s->blob));
	} else if (tries < v->options.wrong_tries) {
		status = ekd_flight_hold(s, f->why, first, end, tries, due,
					 &err);
		if (status == EK_OK)
			ekd_serve_at(v, EKD_AT_RETRIED);
	} else {
		status = ek_fail(&err, EK_CORRUPT,
				 "%s: leaf %u is wrong, %u times",
				 ekd_blob_name(s->blob), first, tries);
	}
	if (status != EK_OK) {
		ekd_note_error(s, &err);
		if (f->why == EKD_WHY_DEMAND)
			ekd_read_fail(s, first, end, f->started, status, &err,
				      &out);
		else if (f->why >= EKD_WHY_PREFETCH && !s->closing)
			ekd_background_failed(s, f, &err);
	}
	pthread_mutex_unlock(&v->lock);
	ekd_read_answer(v, out);
}

void ekd_fill(struct ekd_flight *f, const uint8_t *bytes)
{
	struct ekd_served *s = f->served;
	uint32_t bad = f->end; /* first of a run of wrong ones */

	for (uint32_t i = f->first; i < f->end; i++) {
		uint64_t at = ekd_leaf_at(s, i) - ekd_leaf_at(s, f->first);
		bool wrong = false;

		if (!needless(f, i))
			fill_leaf(f, i, bytes + at, &wrong);
		if (wrong && bad == f->end)
			bad = i;
		if (!wrong && bad < i) {
			retry(f, bad, i);
			bad = f->end;
		}
	}
	if (bad < f->end)
		retry(f, bad, f->end);
	ekd_tell_complete(s);
	ekd_flight_end(f);
}
