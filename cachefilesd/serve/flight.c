/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Flights: which runs of leaves are asked for, when, and what becomes of the
 * request. Demand is started at once while there is memory; what is wanted
 * when memory comes free is merged into runs. A reader whose leaves are
 * already in a flight of less urgency waits for that only as long as a request
 * of its own would take, or not much longer.
 */

#include "cachefilesd/serve/priv.h"

#include <stdlib.h>
#include <string.h>

/* Requests of one blob at a time, by urgency. */
static const uint32_t most_flights[EKD_WHYS] = {16, 12, 6, 2};
/* Quarters of the memory that each may use. */
static const uint32_t quarters[EKD_WHYS] = {4, 3, 2, 1};
/* Prefetches beside demand. */
#define PREFETCH_BESIDE 2
/* Beside a stalled demand request others are sent, up to so many for a leaf. */
#define HEDGES 2
/* A held flight for which there is no memory tries again after so long. */
#define HELD_AGAIN 20000

static bool covers(const struct ekd_flight *f, uint32_t leaf)
{
	return leaf >= f->pos && leaf < f->end;
}

const struct ekd_flight *ekd_flight_of(const struct ekd_served *s,
				       uint32_t leaf)
{
	const struct ekd_flight *best = NULL;

	for (const struct ekd_flight *f = s->flights; f; f = f->next)
		if (covers(f, leaf) && (!best || f->why < best->why))
			best = f;
	return best;
}

bool ekd_in_flight(const struct ekd_served *s, uint32_t leaf)
{
	return ekd_flight_of(s, leaf) != NULL;
}

/* How long a reader would wait for a request of his own. */
static int64_t fresh(const struct ekd_served *s)
{
	return ekd_path_expect(&s->path, s->leaves->leaf_size);
}

/* Until when a reader waits for @f; then he asks for himself. */
static int64_t patience(const struct ekd_served *s, const struct ekd_flight *f)
{
	int64_t stalled = fresh(s) * 8;

	if (f->why != EKD_WHY_DEMAND)
		return f->due + 2 * fresh(s) + 10000;
	if (stalled < ekd_stalled(s))
		stalled = ekd_stalled(s);
	return f->due + stalled;
}

/* Is it as well to wait for @f as to ask again? */
static bool good_enough(const struct ekd_served *s, const struct ekd_flight *f,
			int64_t now)
{
	if (f->state == EKD_FILLING)
		return true;
	if (f->why == EKD_WHY_DEMAND)
		return f->state == EKD_HELD || now <= patience(s, f);
	if (f->state == EKD_HELD || now > patience(s, f))
		return false;
	return f->due - now <= fresh(s) * (f->why == EKD_WHY_AHEAD ? 3 : 2);
}

/* A flight that a reader may wait for. */
static struct ekd_flight *cover(const struct ekd_served *s, uint32_t leaf,
				int64_t now)
{
	struct ekd_flight *late = NULL;
	unsigned n = 0;

	for (struct ekd_flight *f = s->flights; f; f = f->next) {
		if (!covers(f, leaf))
			continue;
		if (good_enough(s, f, now))
			return f;
		if (f->why == EKD_WHY_DEMAND && ++n == HEDGES)
			late = f;
	}
	return late;
}

bool ekd_may_start(const struct ekd_served *s, enum ekd_why why, uint64_t bytes)
{
	const struct ekd_serve *v = s->serve;
	uint64_t all = v->options.memory_max / 4 * quarters[why];
	uint64_t own = v->options.blob_max / 4 * quarters[why];

	if (s->closing)
		return false;
	/* Somebody who waits must get on. */
	if (why == EKD_WHY_DEMAND && !s->n_flights[why])
		return true;
	if (s->n_flights[why] >= most_flights[why])
		return false;
	if (why == EKD_WHY_PREFETCH && s->n_flights[EKD_WHY_DEMAND] &&
	    s->n_flights[why] >= PREFETCH_BESIDE)
		return false;
	if (why == EKD_WHY_COMPLETE && s->waiters)
		return false;
	return v->memory + bytes <= all && s->memory + bytes <= own;
}

uint32_t ekd_flight_leaves(const struct ekd_served *s, enum ekd_why why)
{
	const struct ekd_serve_options *o = &s->serve->options;
	uint64_t most = o->fetch_max;
	uint64_t bytes = most;

	if (why != EKD_WHY_DEMAND && why != EKD_WHY_COMPLETE) {
		int64_t time = s->path.rtt < 30000 ? 30000 : s->path.rtt;

		/* About two round trips of transfer; unknown: half a MiB. */
		bytes = s->path.rate
				? s->path.rate / 1000000 * 2 * (uint64_t)time
				: 512u << 10;
		if (bytes < 128u << 10)
			bytes = 128u << 10;
	}
	if (most > o->blob_max / 4)
		most = o->blob_max / 4;
	if (most > o->memory_max / 4)
		most = o->memory_max / 4;
	if (bytes > most)
		bytes = most;
	bytes /= s->leaves->leaf_size;
	return bytes ? (uint32_t)bytes : 1;
}

static void link_flight(struct ekd_served *s, struct ekd_flight *f)
{
	f->next = s->flights;
	s->flights = f;
}

static struct ekd_flight *new_flight(struct ekd_served *s, enum ekd_why why,
				     uint32_t first, uint32_t end,
				     struct ek_err *err)
{
	struct ekd_flight *f = calloc(1, sizeof(*f));

	if (!f) {
		ek_fail(err, EK_NOMEM, "no memory for a request");
		return NULL;
	}
	f->served = s;
	f->why = why;
	f->first = f->pos = first;
	f->end = end;
	return f;
}

void ekd_flight_free(struct ekd_flight *f)
{
	struct ekd_flight **link = &f->served->flights;

	while (*link && *link != f)
		link = &(*link)->next;
	if (*link)
		*link = f->next;
	free(f->bytes);
	free(f);
}

static void account(struct ekd_flight *f, bool more)
{
	struct ekd_served *s = f->served;
	uint64_t bytes = ekd_run_bytes(s, f->first, f->end);

	if (more) {
		s->n_flights[f->why]++;
		s->memory += bytes;
		s->serve->memory += bytes;
		if (s->serve->memory > s->serve->memory_peak)
			s->serve->memory_peak = s->serve->memory;
	} else {
		s->n_flights[f->why]--;
		s->memory -= bytes;
		s->serve->memory -= bytes;
	}
}

static void over(struct ekd_flight *f, struct ekd_read **out)
{
	struct ekd_served *s = f->served;
	struct ekd_serve *v = s->serve;
	bool demand = f->why == EKD_WHY_DEMAND;

	account(f, false);
	ekd_flight_free(f);
	/* Who waited for this one in vain asks for himself. */
	if (!demand)
		ekd_plan_all(s, out);
	ekd_plan_starved(v, out);
	if (ekd_has_background(v))
		ekd_pacer_at(v, 0);
}

/* The request of @f failed; the lock is held. */
static void failed(struct ekd_flight *f, ek_status status,
		   const struct ek_err *err, struct ekd_read **out)
{
	struct ekd_served *s = f->served;

	/* Nobody may wait for it any more. */
	f->pos = f->end;
	s->stats.request_failures++;
	ekd_note_error(s, err);
	ekd_serve_at(s->serve, EKD_AT_FAILED);
	if (f->why == EKD_WHY_DEMAND)
		ekd_read_fail(s, f->first, f->end, f->started, status, err,
			      out);
	else if (f->why >= EKD_WHY_PREFETCH && !s->closing)
		ekd_background_failed(s, f, err);
}

void ekd_flight_end(struct ekd_flight *f)
{
	struct ekd_serve *v = f->served->serve;
	struct ekd_read *out = NULL;

	pthread_mutex_lock(&v->lock);
	/* From here on @f no more keeps its blob from being closed. */
	v->answering++;
	over(f, &out);
	pthread_mutex_unlock(&v->lock);
	ekd_read_answer(v, out);
	pthread_mutex_lock(&v->lock);
	v->answering--;
	pthread_cond_broadcast(&v->quiet);
	pthread_mutex_unlock(&v->lock);
}

static void end_failed(struct ekd_flight *f, ek_status status,
		       const struct ek_err *err)
{
	struct ekd_serve *v = f->served->serve;
	struct ekd_read *out = NULL;

	pthread_mutex_lock(&v->lock);
	failed(f, status, err, &out);
	pthread_mutex_unlock(&v->lock);
	ekd_read_answer(v, out);
	ekd_flight_end(f);
}

static void count_bytes(struct ekd_served *s, enum ekd_why why, uint64_t n)
{
	s->stats.fetched += n;
	switch (why) {
	case EKD_WHY_DEMAND:
		s->stats.demand += n;
		break;
	case EKD_WHY_AHEAD:
		s->stats.ahead += n;
		break;
	case EKD_WHY_PREFETCH:
		s->stats.prefetched += n;
		break;
	default:
		s->stats.completed += n;
	}
}

/* Called by the backend. */
static void arrived(void *arg, ek_status status, const struct ek_err *err,
		    const uint8_t *bytes, size_t n)
{
	struct ekd_flight *f = arg;
	struct ekd_served *s = f->served;
	struct ekd_serve *v = s->serve;
	uint64_t want = ekd_run_bytes(s, f->first, f->end);
	struct ek_err why;
	uint8_t *copy = NULL;

	if (status == EK_OK && n != want) {
		status = ek_fail(
			&why, EK_CORRUPT, "%s: %zu bytes came instead of %llu",
			ekd_blob_name(s->blob), n, (unsigned long long)want);
		err = &why;
	}
	if (status == EK_OK && !s->backend->done_may_block) {
		copy = malloc(n);
		if (copy)
			memcpy(copy, bytes, n);
		else
			status = ek_fail(&why, EK_NOMEM,
					 "no memory for %zu "
					 "bytes",
					 n);
		err = &why;
	}
	/* The lock: whoever started it is through with that. */
	pthread_mutex_lock(&v->lock);
	f->state = EKD_FILLING;
	if (status == EK_OK) {
		ekd_path_note(s, f, ekd_now_us());
		count_bytes(s, f->why, n);
		ekd_serve_at(v, EKD_AT_ARRIVED);
	}
	f->bytes = copy;
	if (copy)
		ekd_fill_later(f);
	pthread_mutex_unlock(&v->lock);
	if (status != EK_OK)
		end_failed(f, status, err);
	else if (!copy)
		ekd_fill(f, bytes);
}

/* Send the request of a flight that is in the list. */
static ek_status send_request(struct ekd_flight *f, struct ek_err *err)
{
	struct ekd_served *s = f->served;
	const struct ekd_serve_options *o = &s->serve->options;
	static const enum ekd_priority priorities[EKD_WHYS] = {
		EKD_DEMAND, EKD_READAHEAD, EKD_READAHEAD, EKD_BACKGROUND};
	uint64_t bytes = ekd_run_bytes(s, f->first, f->end);
	bool demand = f->why == EKD_WHY_DEMAND;
	ek_status status;

	f->state = EKD_FETCHING;
	f->started = ekd_now_us();
	f->due = f->started + ekd_path_expect(&s->path, bytes);
	account(f, true);
	if (s->memory == bytes)
		s->path.busy_since = 0;
	status = s->backend->start(s->backend, ekd_leaf_at(s, f->first),
				   (size_t)bytes, priorities[f->why],
				   demand ? o->deadline_ms : o->background_ms,
				   arrived, f, &f->id, err);
	if (status != EK_OK)
		return status;
	s->stats.requests++;
	ekd_serve_at(s->serve, EKD_AT_STARTED);
	return EK_OK;
}

ek_status ekd_flight_start(struct ekd_served *s, enum ekd_why why,
			   uint32_t first, uint32_t end, struct ek_err *err)
{
	struct ekd_flight *f;
	ek_status status;

	if (!ekd_may_start(s, why, ekd_run_bytes(s, first, end)))
		return ek_fail(err, EK_LIMIT, "too much is under way");
	f = new_flight(s, why, first, end, err);
	if (!f)
		return EK_NOMEM;
	link_flight(s, f);
	status = send_request(f, err);
	if (status != EK_OK) {
		ekd_note_error(s, err);
		account(f, false);
		ekd_flight_free(f);
	}
	return status;
}

ek_status ekd_flight_hold(struct ekd_served *s, enum ekd_why why,
			  uint32_t first, uint32_t end, uint32_t tries,
			  int64_t due, struct ek_err *err)
{
	struct ekd_flight *f = new_flight(s, why, first, end, err);

	if (!f)
		return EK_NOMEM;
	f->state = EKD_HELD;
	f->tries = tries;
	f->due = due;
	link_flight(s, f);
	ekd_pacer_at(s->serve, due);
	return EK_OK;
}

bool ekd_flight_resume(struct ekd_flight *f, struct ekd_read **out)
{
	struct ekd_served *s = f->served;
	struct ek_err err;
	ek_status status;

	for (uint32_t i = f->first; i < f->end; i++)
		if (ekd_read_wanted(s, i))
			f->why = EKD_WHY_DEMAND;
	if (!ekd_may_start(s, f->why, ekd_run_bytes(s, f->first, f->end))) {
		f->due = ekd_now_us() + HELD_AGAIN;
		return true;
	}
	status = send_request(f, &err);
	if (status == EK_OK)
		return true;
	failed(f, status, &err, out);
	over(f, out);
	return false;
}

static bool wanted_alone(const struct ekd_served *s, uint32_t leaf, int64_t now)
{
	return ekd_read_wanted(s, leaf) && !cover(s, leaf, now);
}

/* Leaf *first and its neighbours that are wanted and that nobody fetches. */
static void widen(const struct ekd_served *s, uint32_t *first, uint32_t *end,
		  int64_t now)
{
	uint32_t most = ekd_flight_leaves(s, EKD_WHY_DEMAND);

	*end = *first + 1;
	while (*end < s->leaves->n && *end - *first < most &&
	       wanted_alone(s, *end, now))
		++*end;
	while (*first > 0 && *end - *first < most &&
	       wanted_alone(s, *first - 1, now))
		--*first;
}

/* Somebody waits for @f: it is urgent now. */
static void raise_it(struct ekd_served *s, struct ekd_flight *f)
{
	if (f->why == EKD_WHY_DEMAND || f->raised || f->state != EKD_FETCHING ||
	    !s->backend->raise)
		return;
	f->raised = true;
	s->backend->raise(s->backend, f->id, EKD_DEMAND);
}

bool ekd_plan(struct ekd_served *s, struct ekd_read *r, struct ekd_read **out)
{
	int64_t now = ekd_now_us(), recheck = EKD_NEVER;
	bool joined = false;
	struct ek_err err;

	for (uint32_t i = r->own.first, end; i < r->own.end; i = end) {
		struct ekd_flight *f;
		uint32_t first = i;
		ek_status status;

		end = i + 1;
		if (ekd_has(r, i))
			continue;
		f = cover(s, i, now);
		if (f) {
			joined = true;
			raise_it(s, f);
			/* Past it, there is nothing more to be tried. */
			if (patience(s, f) > now)
				recheck = ekd_sooner(recheck, patience(s, f));
			continue;
		}
		widen(s, &first, &end, now);
		if (ekd_in_flight(s, i))
			s->stats.doubled++;
		status = ekd_flight_start(s, EKD_WHY_DEMAND, first, end, &err);
		if (status == EK_LIMIT) {
			s->starved = true;
			break;
		}
		if (status != EK_OK) {
			ekd_read_fail(s, first, end, now, status, &err, out);
			if (!r->own.link)
				return false;
			/* It waits for another, and tries this later. */
			recheck = ekd_sooner(recheck, now + ekd_stalled(s));
			continue;
		}
		recheck = ekd_sooner(recheck, patience(s, s->flights));
	}
	if (joined)
		s->stats.joined++;
	r->own.recheck = recheck;
	ekd_pacer_at(s->serve,
		     recheck < r->own.deadline ? recheck : r->own.deadline);
	return true;
}

void ekd_plan_all(struct ekd_served *s, struct ekd_read **out)
{
	struct ekd_read *r = s->waiters;

	s->starved = false;
	while (r && !s->starved)
		/* A failure takes others from the list too: begin again. */
		r = ekd_plan(s, r, out) ? r->own.next : s->waiters;
}

void ekd_plan_starved(struct ekd_serve *v, struct ekd_read **out)
{
	for (struct ekd_served *s = v->list; s; s = s->next)
		if (s->starved)
			ekd_plan_all(s, out);
}
