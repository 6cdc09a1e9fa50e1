/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The thread that keeps time: readers past their deadline, readers that have
 * waited for another's request for long enough, requests whose pause is over,
 * and background work. It sleeps when there is none of these.
 */

#include "cachefilesd/serve/priv.h"

#include <errno.h>
#include <time.h>

void ekd_pacer_at(struct ekd_serve *v, int64_t at)
{
	if (at >= v->wake_at)
		return;
	v->wake_at = at;
	pthread_cond_signal(&v->pacer_wake);
}

/* The lock is held. */
static void expire(struct ekd_served *s, struct ekd_read *r,
		   struct ekd_read **out)
{
	const struct ekd_flight *f = ekd_read_flight(s, r);
	struct ekd_fetch_info info = {.attempts = 0};
	struct ek_err err;

	if (!f || f->state != EKD_FETCHING ||
	    s->backend->info(s->backend, f->id, &info, NULL) != EK_OK)
		info.last_error[0] = '\0';
	ek_fail(&err, EK_IO, "%s: nothing came within %u ms%s%s",
		ekd_blob_name(s->blob), s->serve->options.deadline_ms,
		info.last_error[0] ? ": " : "", info.last_error);
	err.sys = ETIMEDOUT;
	ekd_note_error(s, &err);
	ekd_read_end(s, r, EK_IO, &err, out);
}

static void look_at_readers(struct ekd_served *s, int64_t now, int64_t *next,
			    struct ekd_read **out)
{
	struct ekd_read *r, *after;

	for (r = s->waiters; r; r = after) {
		after = r->own.next;
		if (r->own.deadline <= now) {
			expire(s, r, out);
			continue;
		}
		if (r->own.recheck <= now && !ekd_plan(s, r, out)) {
			/* Others may be gone too. */
			*next = now;
			return;
		}
		after = r->own.next;
		*next = ekd_sooner(*next,
				   ekd_sooner(r->own.deadline, r->own.recheck));
	}
}

static void look_at_held(struct ekd_served *s, int64_t now, int64_t *next,
			 struct ekd_read **out)
{
	struct ekd_flight *f, *after;

	for (f = s->flights; f; f = after) {
		after = f->next;
		if (f->state != EKD_HELD)
			continue;
		if (f->due <= now && !ekd_flight_resume(f, out)) {
			*next = now;
			return;
		}
		if (f->state == EKD_HELD)
			*next = ekd_sooner(*next, f->due);
	}
}

/* One round; when the next is due. The lock is held but for answers. */
static int64_t look_round(struct ekd_serve *v)
{
	struct ekd_read *out = NULL;
	int64_t now = ekd_now_us(), next = EKD_NEVER;

	for (struct ekd_served *s = v->list; s; s = s->next) {
		look_at_readers(s, now, &next, &out);
		look_at_held(s, now, &next, &out);
	}
	if (out) {
		v->answering++;
		pthread_mutex_unlock(&v->lock);
		ekd_read_answer(v, out);
		pthread_mutex_lock(&v->lock);
		v->answering--;
		pthread_cond_broadcast(&v->quiet);
		return now;
	}
	if (ekd_background(v, now, &next))
		return now;
	return next;
}

static void sleep_until(struct ekd_serve *v)
{
	struct timespec at;

	if (v->wake_at == EKD_NEVER) {
		pthread_cond_wait(&v->pacer_wake, &v->lock);
		return;
	}
	at.tv_sec = v->wake_at / 1000000;
	at.tv_nsec = v->wake_at % 1000000 * 1000;
	pthread_cond_timedwait(&v->pacer_wake, &v->lock, &at);
}

void *ekd_pacer(void *arg)
{
	struct ekd_serve *v = arg;

	pthread_mutex_lock(&v->lock);
	while (!v->stop) {
		int64_t next;

		/* Who needs it sooner says so meanwhile. */
		v->wake_at = EKD_NEVER;
		next = look_round(v);
		v->wake_at = ekd_sooner(v->wake_at, next);
		while (!v->stop && v->wake_at > ekd_now_us())
			sleep_until(v);
		/* Round after round, others get a turn. */
		pthread_mutex_unlock(&v->lock);
		pthread_mutex_lock(&v->lock);
	}
	pthread_mutex_unlock(&v->lock);
	return NULL;
}
