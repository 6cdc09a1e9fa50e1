/* SPDX-License-Identifier: Apache-2.0 */

/* Servers: their queues, what may run at once, how they do. */

#include "cachefilesd/fetch/priv.h"

#include <stdio.h>

/* Beside demand at the same host. */
#define BACKGROUND_BESIDE_DEMAND 2

static bool is_used(const struct ekd_fetch *f, const struct ekd_host *host)
{
	const struct ekd_request *rq;

	TAILQ_FOREACH(rq, &f->all, all)
	if (rq->host == host || rq->home == host ||
	    (rq->auth && rq->auth->host == host))
		return true;
	return host->seen.running > 0;
}

/*
 * Hosts of storage change their names: forget one that is not used. Those with
 * tokens, which would have to be asked for again, go last.
 */
static bool make_room(struct ekd_fetch *f)
{
	struct ekd_host *host;

	TAILQ_FOREACH(host, &f->hosts, link)
	if (!is_used(f, host) && !ekd_auth_has(f, host))
		break;
	if (!host) {
		TAILQ_FOREACH(host, &f->hosts, link)
		if (!is_used(f, host) && ekd_auth_forget(f, host))
			break;
	}
	if (!host)
		return false;
	pthread_mutex_lock(&f->lock);
	TAILQ_REMOVE(&f->hosts, host, link);
	f->n_hosts--;
	pthread_mutex_unlock(&f->lock);
	ekd_host_free(host);
	return true;
}

ek_status ekd_host_get(struct ekd_fetch *f, const struct ekd_origin *origin,
		       struct ekd_host **host, struct ek_err *err)
{
	struct ekd_host *h;

	TAILQ_FOREACH(h, &f->hosts, link)
	if (strcmp(h->origin.name, origin->name) == 0) {
		*host = h;
		return EK_OK;
	}
	if (f->n_hosts >= EKD_HOSTS_MAX && !make_room(f))
		return ek_fail(err, EK_LIMIT, "more than %d hosts at once",
			       EKD_HOSTS_MAX);
	h = calloc(1, sizeof(*h));
	if (!h)
		return ek_fail(err, EK_NOMEM, "no memory for a host");
	h->origin = *origin;
	memcpy(h->seen.host, origin->host, sizeof(h->seen.host));
	for (int i = 0; i < EKD_PRIORITIES; i++)
		TAILQ_INIT(&h->queue[i]);
	pthread_mutex_lock(&f->lock);
	TAILQ_INSERT_TAIL(&f->hosts, h, link);
	f->n_hosts++;
	pthread_mutex_unlock(&f->lock);
	*host = h;
	return EK_OK;
}

void ekd_host_free(struct ekd_host *host)
{
	free(host);
}

void ekd_fetch_host_ok(struct ekd_fetch *f, struct ekd_host *host)
{
	host->rest_until = 0;
	pthread_mutex_lock(&f->lock);
	host->seen.last_ok_ms = ekd_wall_ms();
	pthread_mutex_unlock(&f->lock);
}

void ekd_host_failed(struct ekd_fetch *f, struct ekd_host *host,
		     const char *why)
{
	pthread_mutex_lock(&f->lock);
	host->seen.failures++;
	host->seen.last_error_ms = ekd_wall_ms();
	snprintf(host->seen.last_error, sizeof(host->seen.last_error), "%.255s",
		 why);
	pthread_mutex_unlock(&f->lock);
}

void ekd_queue(struct ekd_request *rq)
{
	rq->state = EKD_QUEUED;
	TAILQ_INSERT_TAIL(&rq->host->queue[rq->priority], rq, link);
}

void ekd_unqueue(struct ekd_request *rq)
{
	TAILQ_REMOVE(&rq->host->queue[rq->priority], rq, link);
	rq->state = EKD_NEW;
}

static bool may_start(const struct ekd_fetch *f, const struct ekd_host *host,
		      int priority)
{
	uint32_t most = f->config.connections;
	uint32_t others =
		host->running[EKD_READAHEAD] + host->running[EKD_BACKGROUND];
	uint32_t demand = host->running[EKD_DEMAND];

	if (priority == EKD_DEMAND)
		return demand < most;
	if (demand + others >= (most > 1 ? most - 1 : 1))
		return false;
	return priority == EKD_READAHEAD || demand == 0 ||
	       others < BACKGROUND_BESIDE_DEMAND;
}

/* Whether something was taken out of a queue. */
static bool run_host(struct ekd_fetch *f, struct ekd_host *host)
{
	struct ekd_request *rq;
	bool any = false;

	for (int p = 0; p < EKD_PRIORITIES; p++) {
		while ((rq = TAILQ_FIRST(&host->queue[p])) != NULL &&
		       may_start(f, host, p)) {
			ekd_unqueue(rq);
			any = true;
			if (ekd_auth_ready(f, rq))
				ekd_request_start(f, rq);
		}
	}
	return any;
}

static bool waits(const struct ekd_host *host)
{
	for (int p = 0; p < EKD_PRIORITIES; p++)
		if (!TAILQ_EMPTY(&host->queue[p]))
			return true;
	return false;
}

uint64_t ekd_hosts_run(struct ekd_fetch *f, uint64_t now)
{
	uint64_t due = EKD_NEVER;
	struct ekd_host *host;
	bool any;

	/* A start that fails may queue a request at a host before this one. */
	do {
		any = false;
		TAILQ_FOREACH(host, &f->hosts, link)
		if (host->busy_until <= now && run_host(f, host))
			any = true;
	} while (any);
	TAILQ_FOREACH(host, &f->hosts, link)
	if (host->busy_until > now && waits(host) && host->busy_until < due)
		due = host->busy_until;
	return due;
}
