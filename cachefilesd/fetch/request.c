/* SPDX-License-Identifier: Apache-2.0 */

/* Requests: where each try goes, and what follows when one fails. */

#include "cachefilesd/fetch/priv.h"

#include <errno.h>
#include <stdio.h>

#define DOUBLINGS	6 /* of the back-off */
#define STREAM_PROGRESS (1u << 20)
#define MANIFESTS                                                              \
	"application/vnd.oci.image.manifest.v1+json, "                         \
	"application/vnd.oci.image.index.v1+json, "                            \
	"application/vnd.docker.distribution.manifest.v2+json, "               \
	"application/vnd.docker.distribution.manifest.list.v2+json"

ek_status ekd_request_new(enum ekd_kind kind, const struct ekd_reference *ref,
			  const char *name, struct ekd_request **rq,
			  struct ek_err *err)
{
	struct ekd_request *r;

	*rq = NULL;
	if (!ekd_reference_ok(ref))
		return ek_fail(err, EK_INVALID, "a reference that is not one");
	r = calloc(1, sizeof(*r));
	if (!r)
		return ek_fail(err, EK_NOMEM, "no memory for a request");
	r->kind = kind;
	r->ref = *ref;
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->deadline = EKD_NEVER;
	*rq = r;
	return EK_OK;
}

void ekd_request_free(struct ekd_request *rq)
{
	if (!rq)
		return;
	ekd_sha_free(rq->sha);
	ekd_wipe(rq->url);
	free(rq->buf);
	free(rq);
}

ek_status ekd_request_submit(struct ekd_fetch *f, struct ekd_request *rq,
			     uint64_t *id, struct ek_err *err)
{
	struct ekd_request **bucket;
	ek_status status = EK_OK;

	rq->wanted = rq->priority;
	pthread_mutex_lock(&f->lock);
	if (f->stop) {
		status = ek_fail(err, EK_CANCELLED, "fetch has ended");
	} else if (f->n_requests >= EKD_REQUESTS_MAX) {
		status = ek_fail(err, EK_LIMIT, "more than %d requests at once",
				 EKD_REQUESTS_MAX);
	} else {
		rq->id = ++f->last_id;
		if (id)
			*id = rq->id;
		bucket = &f->bucket[rq->id % EKD_BUCKETS];
		rq->next = *bucket;
		*bucket = rq;
		f->n_requests++;
		rq->touched = true;
		TAILQ_INSERT_TAIL(&f->touched, rq, touch);
	}
	pthread_mutex_unlock(&f->lock);
	if (status == EK_OK)
		curl_multi_wakeup(f->multi);
	return status;
}

void ekd_request_detach(struct ekd_request *rq)
{
	if (rq->state == EKD_QUEUED)
		ekd_unqueue(rq);
	else if (rq->state == EKD_WAITING)
		TAILQ_REMOVE(&rq->auth->waiters, rq, link);
	if (rq->http)
		ekd_http_stop(rq->http);
	rq->http = NULL;
	rq->state = EKD_NEW;
}

/* Out of what other threads see. */
static void forget(struct ekd_fetch *f, struct ekd_request *rq, bool ok)
{
	struct ekd_request **at;

	pthread_mutex_lock(&f->lock);
	at = &f->bucket[rq->id % EKD_BUCKETS];
	while (*at != rq)
		at = &(*at)->next;
	*at = rq->next;
	f->n_requests--;
	if (rq->touched)
		TAILQ_REMOVE(&f->touched, rq, touch);
	if (!ok)
		f->stats.failures++;
	pthread_mutex_unlock(&f->lock);
	TAILQ_REMOVE(&f->all, rq, all);
}

void ekd_request_end(struct ekd_fetch *f, struct ekd_request *rq,
		     const struct ek_err *err)
{
	struct ek_err why;

	ekd_request_detach(rq);
	forget(f, rq, err == NULL || err->status == EK_CANCELLED);
	if (!err) {
		rq->done(rq->arg, EK_OK, NULL, rq->buf, rq->got);
	} else {
		why = *err;
		ek_err_prefix(&why, "%s %.19s of %s/%s",
			      rq->manifest ? "manifest" : "blob", rq->name,
			      rq->ref.host, rq->ref.repo);
		rq->done(rq->arg, why.status, &why, NULL, 0);
	}
	ekd_request_free(rq);
}

/* The base URL of where the request goes now, for free(). */
static char *base_of(const struct ekd_fetch *f, const struct ekd_request *rq)
{
	const char *host = rq->ref.host;
	char *base;

	if (rq->endpoint < f->config.n_mirrors)
		return strdup(f->config.mirrors[rq->endpoint]);
	if (strcmp(host, "docker.io") == 0)
		host = "registry-1.docker.io";
	if (asprintf(&base, "%s://%s/",
		     ekd_listed((const char *const *)f->config.plain_http, host)
			     ? "http"
			     : "https",
		     host) < 0)
		return NULL;
	return base;
}

static ek_status host_of(struct ekd_fetch *f, const char *url,
			 struct ekd_host **host, struct ek_err *err)
{
	struct ekd_origin origin;

	EKD_TRY(ekd_origin_of(url, &origin, err));
	if (!ekd_config_allows(&f->config, &origin))
		return ekd_fail_io(err, EACCES,
				   "%s is not among the hosts for plain HTTP",
				   origin.host);
	return ekd_host_get(f, &origin, host, err);
}

/* The endpoint's host; mirrors that rest are passed over. */
static ek_status find_home(struct ekd_fetch *f, struct ekd_request *rq,
			   char **base, struct ek_err *err)
{
	uint64_t now = ekd_now();

	for (;; rq->endpoint++) {
		*base = base_of(f, rq);
		if (!*base)
			return ek_fail(err, EK_NOMEM, "no memory for a URL");
		EKD_TRY(host_of(f, *base, &rq->home, err));
		if (rq->endpoint >= f->config.n_mirrors ||
		    (rq->home->rest_until <= now &&
		     rq->home->busy_until <= now))
			return EK_OK;
		free(*base);
		*base = NULL;
	}
}

static ek_status find_url(struct ekd_fetch *f, struct ekd_request *rq,
			  struct ek_err *err)
{
	char *base = NULL;
	ek_status status;
	bool blamed;

	if (!rq->manifest) {
		rq->url = ekd_known_get(f, rq, &blamed);
		if (rq->fresh) {
			ekd_wipe(rq->url);
			rq->url = NULL;
		}
		rq->known = rq->url != NULL;
		if (blamed)
			rq->endpoint = (uint32_t)f->config.n_mirrors;
	}
	status = find_home(f, rq, &base, err);
	if (status == EK_OK && !rq->url)
		status = ekd_place_of(
			base, rq->ref.repo, rq->manifest, rq->name,
			rq->endpoint < f->config.n_mirrors ? rq->ref.host
							   : NULL,
			&rq->url, err);
	free(base);
	return status;
}

void ekd_request_go(struct ekd_fetch *f, struct ekd_request *rq)
{
	ek_status status = EK_OK;
	struct ek_err err;

	if (!rq->url)
		status = find_url(f, rq, &err);
	if (status == EK_OK)
		status = host_of(f, rq->url, &rq->host, &err);
	if (status != EK_OK) {
		ekd_request_failed(f, rq, EKD_FINAL, &err);
		return;
	}
	if (rq->host->busy_until >= rq->deadline) {
		ekd_fail_io(&err, EIO,
			    "%s: wants to be asked again after the deadline "
			    "only",
			    rq->host->origin.host);
		ekd_request_failed(f, rq, EKD_FINAL, &err);
		return;
	}
	ekd_queue(rq);
}

static void note_start(struct ekd_fetch *f, struct ekd_request *rq)
{
	pthread_mutex_lock(&f->lock);
	rq->seen.attempts++;
	snprintf(rq->seen.host, sizeof(rq->seen.host), "%s",
		 rq->host->origin.host);
	pthread_mutex_unlock(&f->lock);
}

void ekd_request_start(struct ekd_fetch *f, struct ekd_request *rq)
{
	struct ekd_http_ask ask = {.url = rq->url};
	char range[48];
	struct ek_err err;

	rq->got = 0;
	rq->skip = 0;
	rq->complete = false;
	rq->sent_generation = 0;
	if (rq->auth && rq->auth->state == EKD_AUTH_READY) {
		rq->sent_generation = rq->auth->generation;
		ask.authorization = rq->auth->header;
	}
	if (rq->kind == EKD_RANGE)
		snprintf(range, sizeof(range), "%llu-%llu",
			 (unsigned long long)rq->offset,
			 (unsigned long long)(rq->offset + rq->n - 1));
	else if (rq->kind == EKD_STREAM && rq->streamed > 0)
		snprintf(range, sizeof(range), "%llu-",
			 (unsigned long long)rq->streamed);
	else
		range[0] = '\0';
	ask.range = range[0] ? range : NULL;
	ask.accept = rq->manifest ? MANIFESTS : NULL;
	ask.client_cert = rq->host == rq->home;
	rq->progress = rq->streamed;
	note_start(f, rq);
	if (ekd_http_start(f, rq->host, &ask, rq, NULL, &rq->http, &err) !=
	    EK_OK) {
		ekd_request_failed(f, rq, EKD_AGAIN, &err);
		return;
	}
	rq->state = EKD_RUNNING;
}

void ekd_request_rest(struct ekd_fetch *f, struct ekd_request *rq,
		      uint64_t wake, const struct ek_err *err)
{
	struct ek_err why = *err;

	if (wake >= rq->deadline) {
		ek_err_prefix(&why, "no time for another try");
		ekd_request_end(f, rq, &why);
		return;
	}
	rq->state = EKD_RESTING;
	rq->wake = wake;
	if (wake < f->due)
		f->due = wake;
}

/* A try is over: its traces go, and the counters hear of it. */
static void clear_try(struct ekd_fetch *f, struct ekd_request *rq,
		      enum ekd_failure how, const struct ek_err *err)
{
	if (rq->host)
		ekd_host_failed(f, rq->host, err->text);
	pthread_mutex_lock(&f->lock);
	snprintf(rq->seen.last_error, sizeof(rq->seen.last_error), "%.255s",
		 err->text);
	pthread_mutex_unlock(&f->lock);
	if (how == EKD_OFFLINE && rq->endpoint < f->config.n_mirrors &&
	    rq->host == rq->home && rq->home) {
		rq->home->rest_until = ekd_now() + EKD_MIRROR_REST_MS;
		ekd_fetch_say(f, "mirror passed over for a while: %s",
			      err->text);
	}
	ekd_wipe(rq->url);
	rq->url = NULL;
	rq->host = NULL;
	rq->auth = NULL;
	rq->hops = 0;
	rq->challenged = 0;
	rq->state = EKD_NEW;
	/* Not for a byte or two: that would go on for ever. */
	if (rq->streamed - rq->progress >= STREAM_PROGRESS)
		rq->tries = 0;
}

void ekd_request_failed(struct ekd_fetch *f, struct ekd_request *rq,
			enum ekd_failure how, const struct ek_err *err)
{
	struct ek_err why = *err;
	uint64_t now = ekd_now(), busy, wake;
	uint32_t doublings;

	busy = rq->host ? rq->host->busy_until : 0;
	clear_try(f, rq, how, &why);
	if (rq->known) {
		/* The signed URL ran out, or its server is down: ask anew. */
		rq->known = false;
		rq->fresh = true;
		ekd_known_set(f, rq, NULL);
		ekd_request_go(f, rq);
		return;
	}
	if (rq->endpoint < f->config.n_mirrors) {
		rq->endpoint++;
		ekd_request_go(f, rq);
		return;
	}
	if (how == EKD_FINAL || ++rq->tries >= f->config.tries) {
		ekd_request_end(f, rq, &why);
		return;
	}
	pthread_mutex_lock(&f->lock);
	f->stats.retries++;
	pthread_mutex_unlock(&f->lock);
	rq->endpoint = 0;
	doublings = rq->tries - 1 < DOUBLINGS ? rq->tries - 1 : DOUBLINGS;
	wake = now + ekd_jitter(f, (uint64_t)f->config.backoff_ms << doublings);
	if (wake < busy)
		wake = busy;
	ekd_fetch_say(f, "try %u of %u failed: %s", rq->tries, f->config.tries,
		      why.text);
	ekd_request_rest(f, rq, wake, &why);
}

static void too_late(struct ekd_fetch *f, struct ekd_request *rq)
{
	struct ek_err err;

	if (rq->seen.last_error[0])
		ekd_fail_io(&err, ETIMEDOUT,
			    "not within the deadline; the last failure: %s",
			    rq->seen.last_error);
	else
		ekd_fail_io(&err, ETIMEDOUT, "%s: no answer in time",
			    rq->host ? rq->host->origin.host : rq->ref.host);
	if (rq->host)
		ekd_host_failed(f, rq->host, err.text);
	/* Others need not wait as long for the same mirror. */
	if (rq->state == EKD_RUNNING && rq->host == rq->home &&
	    rq->endpoint < f->config.n_mirrors)
		rq->home->rest_until = ekd_now() + EKD_MIRROR_REST_MS;
	ekd_request_end(f, rq, &err);
}

void ekd_requests_timers(struct ekd_fetch *f, uint64_t now)
{
	struct ekd_request *rq, *next;

	f->due = EKD_NEVER;
	for (rq = TAILQ_FIRST(&f->all); rq; rq = next) {
		next = TAILQ_NEXT(rq, all);
		if (rq->deadline <= now) {
			too_late(f, rq);
			continue;
		}
		if (rq->state == EKD_RESTING && rq->wake <= now) {
			rq->state = EKD_NEW;
			if (rq->deadline < f->due)
				f->due = rq->deadline;
			ekd_request_go(f, rq);
			continue;
		}
		if (rq->deadline < f->due)
			f->due = rq->deadline;
		if (rq->state == EKD_RESTING && rq->wake < f->due)
			f->due = rq->wake;
	}
}
