/* SPDX-License-Identifier: Apache-2.0 */

/* The fetch thread, its begin and its end. */

#include "cachefilesd/fetch/priv.h"

#include <poll.h>
#include <unistd.h>

/* Connections that stay open for the next request, over all hosts. */
#define IDLE_CONNECTIONS 128L

static void take_new(struct ekd_fetch *f, struct ekd_request *rq,
		     enum ekd_priority priority)
{
	rq->priority = priority;
	TAILQ_INSERT_TAIL(&f->all, rq, all);
	if (rq->deadline < f->due)
		f->due = rq->deadline;
	ekd_request_go(f, rq);
}

static void take_raised(struct ekd_request *rq, enum ekd_priority to)
{
	bool queued = rq->state == EKD_QUEUED;

	if (rq->priority <= to)
		return;
	if (queued)
		ekd_unqueue(rq);
	rq->priority = to;
	if (queued)
		ekd_queue(rq);
	if (rq->http) {
		rq->http->host->running[rq->http->priority]--;
		rq->http->priority = to;
		rq->http->host->running[to]++;
	}
}

/* What other threads asked for. */
static bool take_touched(struct ekd_fetch *f)
{
	struct ek_err err;

	for (;;) {
		struct ekd_request *rq;
		enum ekd_priority to = EKD_BACKGROUND;
		bool cancelled = false, stop;

		pthread_mutex_lock(&f->lock);
		stop = f->stop;
		rq = TAILQ_FIRST(&f->touched);
		if (rq) {
			TAILQ_REMOVE(&f->touched, rq, touch);
			rq->touched = false;
			cancelled = rq->cancelled;
			to = rq->wanted;
		}
		pthread_mutex_unlock(&f->lock);
		if (!rq)
			return stop;
		if (!rq->known_to_thread) {
			rq->known_to_thread = true;
			if (cancelled || stop)
				TAILQ_INSERT_TAIL(&f->all, rq, all);
			else
				take_new(f, rq, to);
			if (!cancelled)
				continue;
		}
		if (cancelled) {
			ek_fail(&err, EK_CANCELLED, "given up");
			ekd_request_end(f, rq, &err);
		} else {
			take_raised(rq, to);
		}
	}
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int wait_ms(uint64_t due, uint64_t now)
{
	if (due <= now)
		return 0;
	/* libcurl's own timers shorten it. */
	return due - now > 60000 ? 60000 : (int)(due - now);
}

static void *run(void *arg)
{
	struct ekd_fetch *f = arg;
	struct ekd_request *rq;
	struct ek_err err;
	uint64_t now, due;
	int running;

	while (!take_touched(f)) {
		if (f->secrets)
			ekd_secrets_take(f->secrets);
		curl_multi_perform(f->multi, &running);
		ekd_http_finish(f);
		now = ekd_now();
		if (f->due <= now)
			ekd_requests_timers(f, now);
		due = ekd_http_timers(f, now);
		due = least(due, ekd_hosts_run(f, now));
		/* Those that were just started have times of their own. */
		due = least(due, ekd_http_timers(f, now));
		due = least(due, f->due);
		if (curl_multi_poll(f->multi, NULL, 0, wait_ms(due, ekd_now()),
				    NULL) != CURLM_OK)
			poll(NULL, 0, 10); /* no memory: do not spin */
	}
	ek_fail(&err, EK_CANCELLED, "fetch ends");
	while ((rq = TAILQ_FIRST(&f->all)) != NULL)
		ekd_request_end(f, rq, &err);
	return NULL;
}

static ek_status set_up(struct ekd_fetch *f,
			const struct ekd_fetch_options *options,
			struct ek_err *err)
{
	int sys;

	EKD_TRY(ekd_config_copy(options, &f->config, err));
	f->multi = curl_multi_init();
	f->share = curl_share_init();
	if (!f->multi || !f->share)
		return ek_fail(err, EK_NOMEM, "no memory for libcurl");
	curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
	curl_multi_setopt(f->multi, CURLMOPT_PIPELINING,
			  (long)CURLPIPE_NOTHING);
	/* So that a new connection need not greet from the beginning. */
	curl_share_setopt(f->share, CURLSHOPT_SHARE,
			  CURL_LOCK_DATA_SSL_SESSION);
	if (f->config.credentials)
		EKD_TRY(ekd_secrets_new(f, &f->secrets, err));
	sys = ekd_thread(&f->thread, run, f);
	if (sys != 0)
		return ek_fail_sys(err, sys, "a thread for fetching");
	f->started = true;
	return EK_OK;
}

ek_status ekd_fetch_new(const struct ekd_fetch_options *options,
			struct ekd_fetch **fetch, struct ek_err *err)
{
	struct ekd_fetch *f;
	ek_status status;

	*fetch = NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return ek_fail(err, EK_IO, "libcurl cannot start");
	f = calloc(1, sizeof(*f));
	if (!f) {
		curl_global_cleanup();
		return ek_fail(err, EK_NOMEM, "no memory for fetching");
	}
	pthread_mutex_init(&f->lock, NULL);
	TAILQ_INIT(&f->touched);
	TAILQ_INIT(&f->hosts);
	TAILQ_INIT(&f->known);
	TAILQ_INIT(&f->all);
	TAILQ_INIT(&f->running);
	TAILQ_INIT(&f->auths);
	f->due = EKD_NEVER;
	f->random = ekd_wall_ms() << 20 ^ ekd_now() ^ (uint64_t)getpid() << 40;
	f->random |= 1; /* zero would stay zero */
	status = set_up(f, options, err);
	if (status != EK_OK) {
		ekd_fetch_free(f);
		return status;
	}
	*fetch = f;
	return EK_OK;
}

void ekd_fetch_free(struct ekd_fetch *fetch)
{
	struct ekd_host *host;

	if (!fetch)
		return;
	pthread_mutex_lock(&fetch->lock);
	fetch->stop = true;
	pthread_mutex_unlock(&fetch->lock);
	if (fetch->started) {
		curl_multi_wakeup(fetch->multi);
		pthread_join(fetch->thread, NULL);
	}
	ekd_secrets_free(fetch->secrets);
	while (!TAILQ_EMPTY(&fetch->running))
		ekd_http_stop(TAILQ_FIRST(&fetch->running));
	ekd_auth_free_all(fetch);
	ekd_known_free_all(fetch);
	while ((host = TAILQ_FIRST(&fetch->hosts)) != NULL) {
		TAILQ_REMOVE(&fetch->hosts, host, link);
		ekd_host_free(host);
	}
	if (fetch->multi)
		curl_multi_cleanup(fetch->multi);
	if (fetch->share)
		curl_share_cleanup(fetch->share);
	ekd_config_free(&fetch->config);
	pthread_mutex_destroy(&fetch->lock);
	free(fetch);
	curl_global_cleanup();
}
