/* SPDX-License-Identifier: Apache-2.0 */

/* The scheduler itself and the blobs that it serves: made, ended, counted. */

#include "cachefilesd/serve/priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const ekd_serve_steps[] = {
	[EKD_AT_MISSED] = "serve:missed",
	[EKD_AT_STARTED] = "serve:started",
	[EKD_AT_ARRIVED] = "serve:arrived",
	[EKD_AT_FILLED] = "serve:filled",
	[EKD_AT_COPIED] = "serve:copied",
	[EKD_AT_ANSWERED] = "serve:answered",
	[EKD_AT_WRONG] = "serve:wrong",
	[EKD_AT_RETRIED] = "serve:retried",
	[EKD_AT_FAILED] = "serve:failed",
	[EKD_AT_AHEAD] = "serve:ahead",
	[EKD_AT_PREFETCH] = "serve:prefetch",
	[EKD_AT_COMPLETE] = "serve:complete",
	NULL,
};

int64_t ekd_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

void ekd_serve_at(struct ekd_serve *v, enum ekd_serve_step step)
{
	if (v->options.step)
		v->options.step(v->options.step_arg, ekd_serve_steps[step]);
}

void ekd_serve_log(struct ekd_serve *v, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (!v->options.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	v->options.log(v->options.log_arg, line);
}

void ekd_note_error(struct ekd_served *s, const struct ek_err *err)
{
	size_t n = strnlen(err->text, sizeof(s->stats.last_error) - 1);

	memcpy(s->stats.last_error, err->text, n);
	s->stats.last_error[n] = '\0';
}

static void defaults(struct ekd_serve_options *o)
{
	if (!o->deadline_ms)
		o->deadline_ms = 30000;
	if (!o->background_ms)
		o->background_ms = 120000;
	if (!o->fetch_max || o->fetch_max > EKD_RANGE_MAX)
		o->fetch_max = 4u << 20;
	if (!o->ahead_max)
		o->ahead_max = 16u << 20;
	if (!o->fill_threads)
		o->fill_threads = 2;
	if (!o->memory_max)
		o->memory_max = 32u << 20;
	if (!o->blob_max)
		o->blob_max = 24u << 20;
	if (!o->wrong_tries)
		o->wrong_tries = 4;
	if (!o->stalled_ms)
		o->stalled_ms = 2000;
	if (!o->pause_ms)
		o->pause_ms = 1000;
}

static void stop_threads(struct ekd_serve *v)
{
	pthread_mutex_lock(&v->lock);
	v->stop = true;
	pthread_cond_broadcast(&v->fill_wake);
	pthread_cond_broadcast(&v->pacer_wake);
	pthread_mutex_unlock(&v->lock);
	for (uint32_t i = 0; i < v->n_fillers; i++)
		pthread_join(v->fillers[i], NULL);
	if (v->pacer_runs)
		pthread_join(v->pacer, NULL);
}

static ek_status start_threads(struct ekd_serve *v, struct ek_err *err)
{
	uint32_t n = v->options.fill_threads;
	int sys;

	v->fillers = calloc(n, sizeof(*v->fillers));
	if (!v->fillers)
		return ek_fail(err, EK_NOMEM, "no memory for threads");
	for (; v->n_fillers < n; v->n_fillers++) {
		sys = pthread_create(&v->fillers[v->n_fillers], NULL,
				     ekd_filler, v);
		if (sys)
			return ek_fail_sys(err, sys, "thread that fills");
	}
	sys = pthread_create(&v->pacer, NULL, ekd_pacer, v);
	if (sys)
		return ek_fail_sys(err, sys, "thread that keeps time");
	v->pacer_runs = true;
	return EK_OK;
}

ek_status ekd_serve_new(const struct ekd_serve_options *options,
			struct ekd_serve **serve, struct ek_err *err)
{
	struct ekd_serve *v = calloc(1, sizeof(*v));
	pthread_condattr_t attr;
	ek_status status;

	if (!v)
		return ek_fail(err, EK_NOMEM, "no memory for the scheduler");
	if (options)
		v->options = *options;
	defaults(&v->options);
	pthread_mutex_init(&v->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&v->pacer_wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&v->fill_wake, NULL);
	pthread_cond_init(&v->quiet, NULL);
	v->to_fill_end = &v->to_fill;
	v->later_end = &v->later;
	v->wake_at = EKD_NEVER;
	status = start_threads(v, err);
	if (status != EK_OK) {
		ekd_serve_free(v);
		return status;
	}
	*serve = v;
	return EK_OK;
}

void ekd_serve_free(struct ekd_serve *v)
{
	if (!v)
		return;
	stop_threads(v);
	pthread_cond_destroy(&v->quiet);
	pthread_cond_destroy(&v->fill_wake);
	pthread_cond_destroy(&v->pacer_wake);
	pthread_mutex_destroy(&v->lock);
	free(v->fillers);
	free(v);
}

static ek_status check_blob(const struct ekd_serve *v,
			    const struct ekd_blob *blob, struct ek_err *err)
{
	uint32_t leaf = ekd_blob_leaves(blob)->leaf_size;

	if (leaf > v->options.fetch_max || leaf > v->options.blob_max / 4 ||
	    leaf > v->options.memory_max / 4)
		return ek_fail(
			err, EK_INVALID,
			"%s: a leaf of %u bytes is more than one request "
			"may have",
			ekd_blob_name(blob), leaf);
	return EK_OK;
}

ek_status ekd_served_open(struct ekd_serve *v, struct ekd_blob *blob,
			  struct ekd_backend *backend,
			  void (*complete)(void *arg), void *arg,
			  struct ekd_served **served, struct ek_err *err)
{
	struct ekd_served *s = NULL;
	ek_status status = check_blob(v, blob, err);

	if (status == EK_OK) {
		s = calloc(1, sizeof(*s));
		if (s)
			s->missed = calloc(1, ekd_blob_leaves(blob)->n / 8 + 1);
		if (s && !s->missed) {
			free(s);
			s = NULL;
		}
		if (!s)
			status = ek_fail(err, EK_NOMEM, "no memory for %s",
					 ekd_blob_name(blob));
	}
	if (!s) {
		backend->free(backend);
		return status;
	}
	s->serve = v;
	s->blob = blob;
	s->leaves = ekd_blob_leaves(blob);
	s->backend = backend;
	s->complete = complete;
	s->complete_arg = arg;
	s->waiters_end = &s->waiters;
	pthread_mutex_init(&s->touch_lock, NULL);
	pthread_mutex_lock(&v->lock);
	s->next = v->list;
	v->list = s;
	pthread_mutex_unlock(&v->lock);
	*served = s;
	ekd_tell_complete(s);
	return EK_OK;
}

/* The lock is held. */
static void cancel_flights(struct ekd_served *s)
{
	struct ekd_flight *f, *next;

	for (f = s->flights; f; f = next) {
		next = f->next;
		if (f->state == EKD_HELD)
			ekd_flight_free(f);
		else if (f->state == EKD_FETCHING)
			s->backend->cancel(s->backend, f->id);
	}
}

static void unlink_served(struct ekd_served *s)
{
	struct ekd_served **link = &s->serve->list;

	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
}

void ekd_served_close(struct ekd_served *s)
{
	struct ekd_read *out = NULL;
	struct ekd_serve *v;
	struct ek_err err;

	if (!s)
		return;
	v = s->serve;
	ek_fail(&err, EK_CANCELLED, "%s is served no more",
		ekd_blob_name(s->blob));
	pthread_mutex_lock(&v->lock);
	s->closing = true;
	s->completing = false;
	s->head = s->n_list = 0;
	while (s->waiters)
		ekd_read_end(s, s->waiters, EK_CANCELLED, &err, &out);
	cancel_flights(s);
	pthread_mutex_unlock(&v->lock);
	ekd_read_answer(v, out);
	pthread_mutex_lock(&v->lock);
	while (s->flights || s->holds || v->answering)
		pthread_cond_wait(&v->quiet, &v->lock);
	unlink_served(s);
	pthread_mutex_unlock(&v->lock);
	s->backend->free(s->backend);
	pthread_mutex_destroy(&s->touch_lock);
	free(s->missed);
	free(s->list);
	free(s);
}

static uint32_t count_waiters(const struct ekd_served *s)
{
	uint32_t n = 0;

	for (const struct ekd_read *r = s->waiters; r; r = r->own.next)
		n++;
	return n;
}

/* Those that pause before they try again are under way too. */
static uint32_t count_flights(const struct ekd_served *s)
{
	uint32_t n = 0;

	for (const struct ekd_flight *f = s->flights; f; f = f->next)
		n++;
	return n;
}

static uint64_t present_bytes(const struct ekd_served *s)
{
	uint64_t n = (uint64_t)ekd_blob_present(s->blob) * s->leaves->leaf_size;

	return n < s->leaves->blob_size ? n : s->leaves->blob_size;
}

void ekd_served_stats(struct ekd_served *s, struct ekd_served_stats *stats)
{
	struct ekd_serve *v = s->serve;

	pthread_mutex_lock(&v->lock);
	*stats = s->stats;
	stats->waiting = count_waiters(s);
	stats->under_way = count_flights(s);
	stats->prefetch_listed = (uint32_t)(s->n_list - s->head);
	stats->completing = s->completing;
	pthread_mutex_unlock(&v->lock);
	stats->size = s->leaves->blob_size;
	stats->present = present_bytes(s);
	stats->complete = ekd_blob_complete(s->blob);
	stats->reads = atomic_load(&s->reads);
	stats->hits = atomic_load(&s->hits);
	stats->asked = atomic_load(&s->asked);
}

void ekd_serve_stats(struct ekd_serve *v, struct ekd_serve_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	pthread_mutex_lock(&v->lock);
	stats->memory = v->memory;
	stats->memory_peak = v->memory_peak;
	for (const struct ekd_served *s = v->list; s; s = s->next) {
		stats->blobs++;
		stats->waiting += count_waiters(s);
		stats->under_way += count_flights(s);
	}
	pthread_mutex_unlock(&v->lock);
}
