/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Readers. What is here is answered at once; who lacks leaves waits in his
 * blob's list and gets each leaf copied as soon as it is verified, so an
 * eviction between fill and answer does him no harm.
 */

#include "cachefilesd/serve/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Times that a reader looks again at leaves that came and went. */
#define LOOKS 8

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void mark(struct ekd_read *r, uint32_t leaf)
{
	uint32_t i = leaf - r->own.first;

	r->own.got[i / 64] |= UINT64_C(1) << i % 64;
	r->own.missing--;
}

/* The part of leaf @leaf that @r asks for: *at in the blob; its length. */
static size_t part_of(const struct ekd_served *s, const struct ekd_read *r,
		      uint32_t leaf, uint64_t *at)
{
	uint64_t from = ekd_leaf_at(s, leaf);
	uint64_t to = from + ek_leaf_length(s->leaves, leaf);

	if (from < r->offset)
		from = r->offset;
	if (to > r->offset + r->n)
		to = r->offset + r->n;
	*at = from;
	return (size_t)(to - from);
}

void ekd_read_end(struct ekd_served *s, struct ekd_read *r, ek_status status,
		  const struct ek_err *err, struct ekd_read **out)
{
	uint64_t waited = (uint64_t)(ekd_now_us() - r->own.since);

	if (r->own.link) {
		*r->own.link = r->own.next;
		if (r->own.next)
			r->own.next->own.link = r->own.link;
		else
			s->waiters_end = r->own.link;
		r->own.link = NULL;
	}
	s->stats.waited++;
	s->stats.wait_us += waited;
	if (waited > s->stats.wait_max_us)
		s->stats.wait_max_us = waited;
	if (status != EK_OK)
		s->stats.failed++;
	r->own.status = status;
	r->own.sys = status == EK_OK ? 0 : err->sys;
	r->own.text = status == EK_OK ? NULL : strdup(err->text);
	r->own.next = *out;
	*out = r;
}

void ekd_read_answer(struct ekd_serve *v, struct ekd_read *out)
{
	struct ekd_read *next;

	for (; out; out = next) {
		struct ek_err err = {.text = ""};
		ek_status status = out->own.status;

		next = out->own.next;
		if (status != EK_OK) {
			ek_fail(&err, status, "%s",
				out->own.text ? out->own.text : "no memory");
			err.sys = out->own.sys;
			free(out->own.text);
		}
		ekd_serve_at(v, EKD_AT_COPIED);
		out->done(out, status, &err);
		ekd_serve_at(v, EKD_AT_ANSWERED);
	}
}

bool ekd_read_wanted(const struct ekd_served *s, uint32_t leaf)
{
	for (const struct ekd_read *r = s->waiters; r; r = r->own.next)
		if (ekd_wants(r, leaf))
			return true;
	return false;
}

const struct ekd_flight *ekd_read_flight(const struct ekd_served *s,
					 const struct ekd_read *r)
{
	const struct ekd_flight *f = NULL;

	for (uint32_t i = r->own.first; !f && i < r->own.end; i++)
		if (ekd_wants(r, i))
			f = ekd_flight_of(s, i);
	return f;
}

void ekd_read_deliver(struct ekd_served *s, uint32_t leaf, const uint8_t *bytes,
		      struct ekd_read **out)
{
	struct ekd_read *r, *next;
	uint64_t at;

	for (r = s->waiters; r; r = next) {
		size_t n;

		next = r->own.next;
		if (!ekd_wants(r, leaf))
			continue;
		n = part_of(s, r, leaf, &at);
		memcpy((uint8_t *)r->to + (at - r->offset),
		       bytes + (at - ekd_leaf_at(s, leaf)), n);
		mark(r, leaf);
		if (!r->own.missing)
			ekd_read_end(s, r, EK_OK, NULL, out);
	}
}

/* Is a request for leaf @leaf under way that may still answer a reader? */
static bool is_asked(const struct ekd_served *s, uint32_t leaf)
{
	const struct ekd_flight *f = ekd_flight_of(s, leaf);

	return f && (f->why == EKD_WHY_DEMAND || f->state != EKD_HELD);
}

/* *lost: a leaf of [first, end) that @r wants, none else is asked for it. */
static bool wants_any(const struct ekd_served *s, const struct ekd_read *r,
		      uint32_t first, uint32_t end, bool *lost)
{
	bool wants = false;

	*lost = false;
	if (first < r->own.first)
		first = r->own.first;
	for (; first < end && first < r->own.end; first++) {
		if (ekd_has(r, first))
			continue;
		wants = true;
		if (!is_asked(s, first))
			*lost = true;
	}
	return wants;
}

void ekd_read_fail(struct ekd_served *s, uint32_t first, uint32_t end,
		   int64_t asked, ek_status status, const struct ek_err *err,
		   struct ekd_read **out)
{
	struct ekd_read *r, *next;

	for (r = s->waiters; r; r = next) {
		int64_t again = ekd_now_us();
		bool lost;

		next = r->own.next;
		if (!wants_any(s, r, first, end, &lost))
			continue;
		if (lost && r->own.since <= asked) {
			ekd_read_end(s, r, status, err, out);
			continue;
		}
		if (!lost)
			again += ekd_stalled(s);
		if (again < r->own.recheck)
			r->own.recheck = again;
		ekd_pacer_at(s->serve, r->own.recheck);
	}
}

/*
 * Whether one of leaves [first, end) is not here, but on its way: the store may
 * be busy with it, and who asks the store for it waits for as long as that
 * takes. Whoever fetches it hands it out anyway.
 */
static bool on_its_way(struct ekd_served *s, uint32_t first, uint32_t end)
{
	bool on = false;

	while (first < end && ekd_blob_here(s->blob, first))
		first++;
	if (first == end)
		return false;
	pthread_mutex_lock(&s->serve->lock);
	for (; first < end && !on; first++)
		on = !ekd_blob_here(s->blob, first) && ekd_in_flight(s, first);
	pthread_mutex_unlock(&s->serve->lock);
	return on;
}

/* Take the leaves that are here. */
static ek_status gather(struct ekd_served *s, struct ekd_read *r,
			struct ek_err *err)
{
	uint64_t at;

	for (uint32_t i = r->own.first; i < r->own.end; i++) {
		ek_status status;
		size_t n;

		if (ekd_has(r, i) || on_its_way(s, i, i + 1))
			continue;
		n = part_of(s, r, i, &at);
		status = ekd_blob_read(s->blob, at,
				       (uint8_t *)r->to + (at - r->offset), n,
				       err);
		if (status == EK_OK)
			mark(r, i);
		else if (status != EK_NOTFOUND)
			return status;
	}
	return EK_OK;
}

/* Did a leaf come that @r has not, so that it should look again? */
static bool came(struct ekd_served *s, const struct ekd_read *r)
{
	for (uint32_t i = r->own.first; i < r->own.end; i++)
		if (!ekd_has(r, i) && !ekd_in_flight(s, i) &&
		    ekd_blob_here(s->blob, i))
			return true;
	return false;
}

static void link_waiter(struct ekd_served *s, struct ekd_read *r)
{
	r->own.next = NULL;
	r->own.link = s->waiters_end;
	*s->waiters_end = r;
	s->waiters_end = &r->own.next;
}

static void refuse(struct ekd_read *r, const struct ek_err *err)
{
	r->done(r, err->status, err);
}

/* The lock is held: @r needs leaves that are not here. */
static void join(struct ekd_served *s, struct ekd_read *r,
		 struct ekd_read **out)
{
	struct ek_err err;

	if (s->closing) {
		ek_fail(&err, EK_CANCELLED, "%s is served no more",
			ekd_blob_name(s->blob));
		ekd_read_end(s, r, EK_CANCELLED, &err, out);
		return;
	}
	link_waiter(s, r);
	ekd_serve_at(s->serve, EKD_AT_MISSED);
	ekd_plan(s, r, out);
}

static void wait_for(struct ekd_served *s, struct ekd_read *r)
{
	struct ekd_serve *v = s->serve;
	struct ekd_read *out = NULL;
	struct ek_err err;

	for (int looks = 0;; looks++) {
		ek_status status = gather(s, r, &err);

		if (status == EK_OK && !r->own.missing) {
			count(&s->hits, 1);
			r->done(r, EK_OK, NULL);
			return;
		}
		if (status != EK_OK) {
			refuse(r, &err);
			return;
		}
		pthread_mutex_lock(&v->lock);
		if (looks < LOOKS && came(s, r)) {
			pthread_mutex_unlock(&v->lock);
			continue;
		}
		join(s, r, &out);
		pthread_mutex_unlock(&v->lock);
		ekd_read_answer(v, out);
		return;
	}
}

static ek_status check_read(const struct ekd_served *s,
			    const struct ekd_read *r, struct ek_err *err)
{
	uint64_t size = s->leaves->blob_size;

	if (!r->n || r->n > EKD_READ_MAX)
		return ek_fail(err, EK_INVALID, "a read of %zu bytes", r->n);
	if (r->offset > size || r->n > size - r->offset)
		return ek_fail(err, EK_INVALID, "%s: read beyond the end",
			       ekd_blob_name(s->blob));
	if ((r->offset + r->n - 1) / s->leaves->leaf_size -
		    r->offset / s->leaves->leaf_size >=
	    EKD_READ_LEAVES)
		return ek_fail(err, EK_INVALID, "a read of too many leaves");
	return EK_OK;
}

/* All of it, if all of it is here. */
static ek_status read_here(struct ekd_served *s, struct ekd_read *r,
			   struct ek_err *err)
{
	r->own.first = (uint32_t)(r->offset / s->leaves->leaf_size);
	r->own.end =
		1 + (uint32_t)((r->offset + r->n - 1) / s->leaves->leaf_size);
	if (on_its_way(s, r->own.first, r->own.end))
		return EK_NOTFOUND;
	return ekd_blob_read(s->blob, r->offset, r->to, r->n, err);
}

static void prepare(struct ekd_served *s, struct ekd_read *r)
{
	uint32_t first = r->own.first, end = r->own.end;
	int64_t now = ekd_now_us();

	memset(&r->own, 0, sizeof(r->own));
	r->own.since = now;
	r->own.deadline = now + s->serve->options.deadline_ms * INT64_C(1000);
	r->own.recheck = EKD_NEVER;
	r->own.first = first;
	r->own.end = end;
	r->own.missing = end - first;
}

/*
 * Whoever was answered may close the blob, but for those who hold it. A read
 * that is here and has nothing to be read ahead of it does without.
 */
static void hold(struct ekd_served *s)
{
	pthread_mutex_lock(&s->serve->lock);
	s->holds++;
	pthread_mutex_unlock(&s->serve->lock);
}

static void let_go(struct ekd_served *s)
{
	struct ekd_serve *v = s->serve;

	pthread_mutex_lock(&v->lock);
	s->holds--;
	pthread_cond_broadcast(&v->quiet);
	pthread_mutex_unlock(&v->lock);
}

void ekd_served_read(struct ekd_served *s, struct ekd_read *r)
{
	struct ekd_ahead ahead, beside = {0, 0};
	struct ek_err err;
	ek_status status;
	bool held;

	if (check_read(s, r, &err) != EK_OK) {
		refuse(r, &err);
		return;
	}
	count(&s->reads, 1);
	count(&s->asked, r->n);
	ahead = ekd_touch(s, r->offset, r->n);
	status = read_here(s, r, &err);
	held = status == EK_NOTFOUND || ahead.from < ahead.to;
	if (held)
		hold(s);
	if (status == EK_OK) {
		count(&s->hits, 1);
		r->done(r, EK_OK, NULL);
	} else if (status == EK_NOTFOUND) {
		prepare(s, r);
		beside = ekd_beside(s, r->own.first, r->own.end);
		wait_for(s, r);
	} else {
		refuse(r, &err);
	}
	if (ahead.from < ahead.to)
		ekd_ahead_start(s, ahead);
	if (beside.from < beside.to)
		ekd_beside_start(s, beside);
	if (held)
		let_go(s);
}

struct sync_read {
	struct ekd_read read;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
	ek_status status;
	struct ek_err *err;
};

static void sync_done(struct ekd_read *r, ek_status status,
		      const struct ek_err *err)
{
	struct sync_read *y = r->arg;

	pthread_mutex_lock(&y->lock);
	y->over = true;
	y->status = status;
	if (status != EK_OK && y->err)
		*y->err = *err;
	pthread_cond_signal(&y->cond);
	pthread_mutex_unlock(&y->lock);
}

ek_status ekd_served_pread(struct ekd_served *s, uint64_t offset, void *to,
			   size_t n, struct ek_err *err)
{
	struct sync_read y = {.read = {.done = sync_done}, .err = err};
	uint8_t *p = to;

	pthread_mutex_init(&y.lock, NULL);
	pthread_cond_init(&y.cond, NULL);
	y.read.arg = &y;
	while (n && y.status == EK_OK) {
		/* Small leaves allow no more in one read. */
		size_t part = n < (1u << 18) ? n : (1u << 18);

		y.over = false;
		y.read.offset = offset;
		y.read.n = part;
		y.read.to = p;
		ekd_served_read(s, &y.read);
		pthread_mutex_lock(&y.lock);
		while (!y.over)
			pthread_cond_wait(&y.cond, &y.lock);
		pthread_mutex_unlock(&y.lock);
		offset += part;
		p += part;
		n -= part;
	}
	pthread_cond_destroy(&y.cond);
	pthread_mutex_destroy(&y.lock);
	return y.status;
}
