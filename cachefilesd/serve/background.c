/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is fetched though no reader asked: listed ranges in their order, over
 * all blobs, and blobs to be made complete. One request at a time is chosen,
 * on the pacer's thread, which all deadlines hang on: the store is only asked
 * what it can tell at once. Leaves that it is busy with are passed over.
 */

#include "cachefilesd/serve/priv.h"

#include <stdlib.h>
#include <string.h>

/* Ranges that a blob may have listed. */
#define LISTED_MAX (1u << 16)
/* Ranges behind the first that may be merged into its request. */
#define LOOK_AHEAD 64
/* Rounds of one prefetch, each of several tries of the backend. */
#define PREFETCH_TRIES 3
/* Leaves that one look at the store covers, which takes microseconds. */
#define SCAN 4096
/* The longest pause after failures of completion, in milliseconds. */
#define PASS_WAIT_MAX 60000
/* Passes without a failure after which a blob should be whole. */
#define PASSES 2
/* The part of a pause that is made before the next pass over a blob. */
#define PASS_PAUSE 5

static ek_status append(struct ekd_served *s, uint32_t first, uint32_t end,
			struct ek_err *err)
{
	if (s->n_list > s->head && s->list[s->n_list - 1].end == first) {
		s->list[s->n_list - 1].end = end;
		return EK_OK;
	}
	if (s->n_list == s->list_room && s->head > s->n_list / 2) {
		memmove(s->list, s->list + s->head,
			(s->n_list - s->head) * sizeof(*s->list));
		s->n_list -= s->head;
		s->head = 0;
	}
	if (s->n_list - s->head >= LISTED_MAX)
		return ek_fail(err, EK_LIMIT,
			       "%s: more than %u ranges to be prefetched",
			       ekd_blob_name(s->blob), LISTED_MAX);
	if (s->n_list == s->list_room) {
		size_t room = s->list_room ? 2 * s->list_room : 64;
		struct ekd_listed *p = realloc(s->list, room * sizeof(*p));

		if (!p)
			return ek_fail(err, EK_NOMEM, "no memory for ranges");
		s->list = p;
		s->list_room = room;
	}
	s->list[s->n_list++] = (struct ekd_listed){
		.seq = s->serve->seq++, .first = first, .end = end};
	return EK_OK;
}

ek_status ekd_served_prefetch(struct ekd_served *s, uint64_t offset, uint64_t n,
			      struct ek_err *err)
{
	uint64_t size = s->leaves->blob_size, leaf = s->leaves->leaf_size;
	ek_status status;

	if (offset >= size || !n)
		return EK_OK;
	if (n > size - offset)
		n = size - offset;
	pthread_mutex_lock(&s->serve->lock);
	if (s->closing)
		status = ek_fail(err, EK_CANCELLED, "%s is served no more",
				 ekd_blob_name(s->blob));
	else
		status =
			append(s, (uint32_t)(offset / leaf),
			       (uint32_t)((offset + n + leaf - 1) / leaf), err);
	ekd_pacer_at(s->serve, 0);
	pthread_mutex_unlock(&s->serve->lock);
	return status;
}

static void begin_pass(struct ekd_served *s)
{
	uint32_t present = ekd_blob_present(s->blob);

	s->cursor = 0;
	s->pass_failed = s->pass_fetched = s->passed_over = false;
	if (s->most_present < present)
		s->most_present = present;
}

void ekd_served_complete(struct ekd_served *s, bool on)
{
	pthread_mutex_lock(&s->serve->lock);
	if (on && !s->completing) {
		begin_pass(s);
		s->passes = s->most_present = 0;
		s->pass_wait = s->serve->options.pause_ms;
		s->pass_at = 0;
	}
	s->completing = on && !s->closing && !ekd_blob_complete(s->blob);
	ekd_pacer_at(s->serve, 0);
	pthread_mutex_unlock(&s->serve->lock);
}

bool ekd_has_background(const struct ekd_serve *v)
{
	for (const struct ekd_served *s = v->list; s; s = s->next)
		if (s->n_list > s->head || s->completing)
			return true;
	return false;
}

void ekd_background_failed(struct ekd_served *s, const struct ekd_flight *f,
			   const struct ek_err *err)
{
	int64_t pause = s->serve->options.pause_ms * INT64_C(1000);
	struct ek_err no;

	if (f->why == EKD_WHY_COMPLETE) {
		s->pass_failed = true;
		s->pass_at = ekd_now_us() + s->pass_wait * INT64_C(1000);
		s->pass_wait = s->pass_wait * 2 < PASS_WAIT_MAX
				       ? s->pass_wait * 2
				       : PASS_WAIT_MAX;
		ekd_serve_log(s->serve, "%s: completion: %s",
			      ekd_blob_name(s->blob), err->text);
		return;
	}
	if (f->tries + 1 < PREFETCH_TRIES &&
	    ekd_flight_hold(s, f->why, f->first, f->end, f->tries + 1,
			    ekd_now_us() + (pause << f->tries), &no) == EK_OK)
		return;
	s->stats.prefetch_failed++;
	ekd_serve_log(s->serve, "%s: prefetch given up: %s",
		      ekd_blob_name(s->blob), err->text);
}

void ekd_background_full(struct ekd_served *s, const struct ek_err *err)
{
	if (!ekd_has_background(s->serve))
		return;
	/* Readers come first for what room there may be. */
	for (struct ekd_served *o = s->serve->list; o; o = o->next) {
		o->stats.prefetch_failed += (uint32_t)(o->n_list - o->head);
		o->head = o->n_list = 0;
		o->completing = false;
	}
	ekd_serve_log(s->serve, "prefetch and completion end: %s", err->text);
}

static bool to_be_fetched(const struct ekd_served *s, uint32_t leaf)
{
	return ekd_blob_absent(s->blob, leaf) && !ekd_in_flight(s, leaf);
}

/*
 * The first missing run in [*first, *end) that is not under way. False: there
 * is none.
 */
static bool find_missing(struct ekd_served *s, uint32_t *first, uint32_t *end)
{
	uint32_t to;

	while (*first < *end && !to_be_fetched(s, *first)) {
		if (!ekd_blob_here(s->blob, *first) &&
		    !ekd_in_flight(s, *first))
			s->passed_over = true;
		++*first;
	}
	to = *first;
	while (to < *end && to_be_fetched(s, to))
		to++;
	*end = to;
	return *first < to;
}

/* Take what follows the first listed range from further ones. */
static void absorb(struct ekd_served *s, uint32_t most)
{
	struct ekd_listed *l = &s->list[s->head];
	size_t end = s->head + LOOK_AHEAD;

	if (end > s->n_list)
		end = s->n_list;
	for (size_t i = s->head + 1; i < end && l->end - l->first < most; i++) {
		struct ekd_listed *o = &s->list[i];

		if (o->first > l->end || o->end <= l->end ||
		    o->first < l->first)
			continue;
		l->end = o->end;
		/* An empty range is passed over when its turn comes. */
		o->first = o->end;
		i = s->head;
	}
}

static void advance(struct ekd_served *s, uint32_t to)
{
	struct ekd_listed *l = &s->list[s->head];

	if (l->first < to)
		l->first = to;
	if (l->first >= l->end)
		s->head++;
	if (s->head == s->n_list)
		s->head = s->n_list = 0;
}

/* False: nothing can be started for @s now. */
static bool prefetch_one(struct ekd_served *s)
{
	uint32_t most = ekd_flight_leaves(s, EKD_WHY_PREFETCH);
	struct ekd_listed l;
	uint32_t first, end;
	struct ek_err err;
	ek_status status;

	absorb(s, most);
	l = s->list[s->head];
	first = l.first;
	end = l.end - l.first < most ? l.end : l.first + most;
	if (!find_missing(s, &first, &end)) {
		advance(s, end);
		return true;
	}
	status = ekd_flight_start(s, EKD_WHY_PREFETCH, first, end, &err);
	if (status == EK_LIMIT)
		return false;
	if (status == EK_OK)
		ekd_serve_at(s->serve, EKD_AT_PREFETCH);
	else
		s->stats.prefetch_failed++;
	advance(s, end);
	return true;
}

static bool any_flight(const struct ekd_served *s, enum ekd_why why)
{
	for (const struct ekd_flight *f = s->flights; f; f = f->next)
		if (f->why == why)
			return true;
	return false;
}

/*
 * Leaves were passed over, since the store was at them, and the pass cost
 * nothing or there are more leaves than ever: it does not count. Were it not
 * for the latter, what is fetched and evicted would be so for ever.
 */
static bool goes_on(const struct ekd_served *s)
{
	return s->passed_over && (!s->pass_fetched ||
				  ekd_blob_present(s->blob) > s->most_present);
}

/* All of the blob was looked at. False: nothing to be done now. */
static bool end_pass(struct ekd_served *s, int64_t now)
{
	int64_t again =
		now + s->serve->options.pause_ms * INT64_C(1000) / PASS_PAUSE;
	struct ek_err err;

	if (any_flight(s, EKD_WHY_COMPLETE))
		return false;
	if (ekd_blob_complete(s->blob)) {
		s->completing = false;
	} else if (s->pass_failed || goes_on(s) || ++s->passes < PASSES) {
		/* What failed, or what others fetched and may have failed. */
		if (s->pass_failed)
			s->passes = 0;
		begin_pass(s);
		if (s->pass_at < again)
			s->pass_at = again;
	} else {
		/* What came was evicted: going on would never end. */
		s->completing = false;
		ek_fail(&err, EK_IO, "%s: no room to keep it whole",
			ekd_blob_name(s->blob));
		ekd_note_error(s, &err);
		ekd_serve_log(s->serve, "completion ends: %s", err.text);
	}
	return true;
}

static void pay(struct ekd_serve *v, uint64_t bytes, int64_t now)
{
	uint64_t rate = v->options.complete_rate;

	if (!rate)
		return;
	if (v->complete_at < now)
		v->complete_at = now;
	v->complete_at += (int64_t)(bytes * 1000000 / rate);
}

/* False: nothing can be started for @s now. */
static bool complete_one(struct ekd_served *s, int64_t now)
{
	uint32_t most = ekd_flight_leaves(s, EKD_WHY_COMPLETE);
	uint32_t first = s->cursor, end = first + SCAN, n = s->leaves->n;
	struct ek_err err;
	ek_status status;

	if (first >= n)
		return end_pass(s, now);
	if (end > n)
		end = n;
	s->cursor = end;
	if (!find_missing(s, &first, &end))
		return true;
	if (end - first > most)
		end = first + most;
	s->cursor = end;
	status = ekd_flight_start(s, EKD_WHY_COMPLETE, first, end, &err);
	if (status == EK_LIMIT) {
		s->cursor = first;
		return false;
	}
	if (status == EK_OK)
		pay(s->serve, ekd_run_bytes(s, first, end), now);
	s->pass_fetched = true;
	s->pass_failed |= status != EK_OK;
	return true;
}

static struct ekd_served *next_listed(struct ekd_serve *v)
{
	struct ekd_served *best = NULL;

	for (struct ekd_served *s = v->list; s; s = s->next)
		if (s->n_list > s->head &&
		    ekd_may_start(s, EKD_WHY_PREFETCH, s->leaves->leaf_size) &&
		    (!best ||
		     s->list[s->head].seq < best->list[best->head].seq))
			best = s;
	return best;
}

bool ekd_background(struct ekd_serve *v, int64_t now, int64_t *next)
{
	struct ekd_served *s = next_listed(v);

	if (s && prefetch_one(s))
		return true;
	for (s = v->list; s; s = s->next) {
		int64_t at = v->complete_at;

		if (!s->completing || s->n_list > s->head)
			continue;
		if (at < s->pass_at)
			at = s->pass_at;
		if (at > now) {
			*next = at < *next ? at : *next;
			continue;
		}
		if (ekd_may_start(s, EKD_WHY_COMPLETE, s->leaves->leaf_size) &&
		    complete_one(s, now))
			return true;
	}
	return false;
}
