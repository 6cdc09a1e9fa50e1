/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Readers that read in order are told from those that jump, and what they will
 * want is fetched before they ask; so is what lies beside the places where
 * others jump to. The window grows with the run, so that what
 * is fetched for nothing stays a part of what was asked for; it ends at what
 * the way to the backend can have under way.
 */

#include "cachefilesd/serve/priv.h"

#include <string.h>

/* Reads that far before or behind the expected place belong to the run. */
#define SLACK (256u << 10)
/* No reading ahead before a run is so long. */
#define RUN_MIN (256u << 10)
/* From here on it is likely that it goes on, and taken for granted. */
#define RUN_LIKELY (1u << 20)
#define RUN_SURE   (2u << 20)
/* New requests are started when so much of the window is free. */
#define STEPS 8
/*
 * Where somebody waited twice within so many leaves, more is likely to be
 * wanted (a library that is being linked): some leaves on each side are
 * fetched, as long as they are no more than this part of what was asked for.
 */
#define NEAR	     16
#define BESIDE	     2
#define BESIDE_SHARE 3

static bool reads_ahead(const struct ekd_served *s)
{
	return s->serve->options.ahead_max >= s->leaves->leaf_size;
}

static struct ekd_stream *stream_of(struct ekd_served *s, uint64_t offset)
{
	struct ekd_stream *oldest = &s->streams[0];

	for (int i = 0; i < EKD_STREAMS; i++) {
		struct ekd_stream *t = &s->streams[i];

		if (t->used && offset + SLACK >= t->next &&
		    offset <= t->next + SLACK && offset >= t->start)
			return t;
		if (t->used < oldest->used)
			oldest = t;
	}
	memset(oldest, 0, sizeof(*oldest));
	oldest->start = oldest->next = oldest->ahead = offset;
	return oldest;
}

static struct ekd_ahead window_of(struct ekd_served *s, struct ekd_stream *t)
{
	uint64_t path = atomic_load(&s->window), size = s->leaves->blob_size;
	uint64_t run = t->next - t->start, window, to;
	struct ekd_ahead none = {0, 0}, ahead;

	/* With holes it is no run but luck. */
	if (t->asked < run / 4 * 3) {
		t->start = t->next;
		t->asked = 0;
		return none;
	}
	if (run < RUN_MIN)
		return none;
	window = run < RUN_LIKELY ? run / 2 : run < RUN_SURE ? run : 2 * run;
	if (window > s->serve->options.ahead_max)
		window = s->serve->options.ahead_max;
	if (path && window > path)
		window = path;
	to = size - t->next < window ? size : t->next + window;
	ahead.from = t->ahead > t->next ? t->ahead : t->next;
	/* Not in morsels, but for the last. */
	if (to <= ahead.from || (to < size && to - ahead.from < window / STEPS))
		return none;
	ahead.to = to;
	t->ahead = to;
	return ahead;
}

struct ekd_ahead ekd_touch(struct ekd_served *s, uint64_t offset, size_t n)
{
	struct ekd_ahead ahead = {0, 0};
	struct ekd_stream *t;

	if (ekd_blob_complete(s->blob) && !atomic_load(&s->trace))
		return ahead;
	pthread_mutex_lock(&s->touch_lock);
	if (s->trace)
		ekd_trace_note(s->trace, s->trace_index, offset, n);
	s->near_left += (int64_t)(n / BESIDE_SHARE);
	t = stream_of(s, offset);
	t->used = ++s->clock;
	t->asked += n;
	if (offset + n > t->next) {
		t->next = offset + n;
		if (reads_ahead(s))
			ahead = window_of(s, t);
	}
	pthread_mutex_unlock(&s->touch_lock);
	return ahead;
}

static bool was_missed(const struct ekd_served *s, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to && i < s->leaves->n; i++)
		if (s->missed[i / 8] >> i % 8 & 1)
			return true;
	return false;
}

struct ekd_ahead ekd_beside(struct ekd_served *s, uint32_t first, uint32_t end)
{
	struct ekd_ahead beside = {0, 0};
	uint32_t low = first < NEAR ? 0 : first - NEAR;

	pthread_mutex_lock(&s->touch_lock);
	if (reads_ahead(s) && atomic_load(&s->far) && s->near_left > 0 &&
	    (was_missed(s, low, first) || was_missed(s, end, end + NEAR))) {
		beside.from =
			ekd_leaf_at(s, first < BESIDE ? 0 : first - BESIDE);
		beside.to = ekd_leaf_at(s, end + BESIDE);
		if (beside.to > s->leaves->blob_size)
			beside.to = s->leaves->blob_size;
	}
	for (; first < end; first++)
		s->missed[first / 8] |= (uint8_t)(1u << first % 8);
	pthread_mutex_unlock(&s->touch_lock);
	return beside;
}

/*
 * No more than up to @at was started of what should go to @to. Others may have
 * planned further meanwhile: they begin there again too, or a gap would stay.
 */
static void fell_short(struct ekd_served *s, uint64_t at, uint64_t to)
{
	pthread_mutex_lock(&s->touch_lock);
	for (int i = 0; i < EKD_STREAMS; i++) {
		struct ekd_stream *t = &s->streams[i];

		if (t->used && t->start <= at && t->ahead >= to)
			t->ahead = at;
	}
	pthread_mutex_unlock(&s->touch_lock);
}

/* Start [*first, end) but for what is under way. False: no more now. */
static bool start_run(struct ekd_served *s, uint32_t *first, uint32_t end,
		      uint64_t *bytes)
{
	uint32_t most = ekd_flight_leaves(s, EKD_WHY_AHEAD);
	struct ek_err err;

	while (*first < end) {
		uint32_t to = *first + 1;

		if (ekd_in_flight(s, *first)) {
			++*first;
			continue;
		}
		while (to < end && to - *first < most && !ekd_in_flight(s, to))
			to++;
		if (ekd_flight_start(s, EKD_WHY_AHEAD, *first, to, &err) !=
		    EK_OK)
			return false;
		ekd_serve_at(s->serve, EKD_AT_AHEAD);
		*bytes += ekd_run_bytes(s, *first, to);
		*first = to;
	}
	return true;
}

/*
 * Start what is missing of @ahead, up to leaf *at; the bytes of it. *less: not
 * all could be started.
 */
static uint64_t start_missing(struct ekd_served *s, struct ekd_ahead ahead,
			      uint32_t *at, bool *less)
{
	uint32_t leaf = s->leaves->leaf_size, to;
	uint32_t end = (uint32_t)((ahead.to + leaf - 1) / leaf);
	uint64_t bytes = 0;
	bool more = true;

	*at = (uint32_t)(ahead.from / leaf);
	while (more && *at < end) {
		if (!ekd_blob_absent(s->blob, *at)) {
			++*at;
			continue;
		}
		to = *at + 1;
		while (to < end && ekd_blob_absent(s->blob, to))
			to++;
		pthread_mutex_lock(&s->serve->lock);
		more = start_run(s, at, to, &bytes);
		pthread_mutex_unlock(&s->serve->lock);
	}
	*less = !more;
	return bytes;
}

void ekd_ahead_start(struct ekd_served *s, struct ekd_ahead ahead)
{
	uint32_t at;
	bool less;

	start_missing(s, ahead, &at, &less);
	if (less)
		fell_short(s, ekd_leaf_at(s, at), ahead.to);
}

void ekd_beside_start(struct ekd_served *s, struct ekd_ahead beside)
{
	uint32_t at;
	bool less;
	uint64_t bytes = start_missing(s, beside, &at, &less);

	pthread_mutex_lock(&s->touch_lock);
	s->near_left -= (int64_t)bytes;
	pthread_mutex_unlock(&s->touch_lock);
}
