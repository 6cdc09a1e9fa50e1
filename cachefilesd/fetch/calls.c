/* SPDX-License-Identifier: Apache-2.0 */

/* The calls of fetch.h: requests made, and waited for where a call blocks. */

#include "cachefilesd/fetch/priv.h"

static uint64_t after(uint32_t ms)
{
	return ekd_now() + ms;
}

static ek_status check_priority(enum ekd_priority priority, struct ek_err *err)
{
	if (priority != EKD_DEMAND && priority != EKD_READAHEAD &&
	    priority != EKD_BACKGROUND)
		return ek_fail(err, EK_INVALID, "a priority that is not one");
	return EK_OK;
}

ek_status ekd_fetch_range(struct ekd_fetch *fetch,
			  const struct ekd_reference *ref, const char *digest,
			  uint64_t offset, size_t n, enum ekd_priority priority,
			  uint32_t deadline_ms, ekd_fetched done, void *arg,
			  uint64_t *id, struct ek_err *err)
{
	struct ekd_request *rq;
	ek_status status;

	if (!ekd_digest_ok(digest))
		return ek_fail(err, EK_INVALID, "a digest that is not one");
	if (n == 0 || n > EKD_RANGE_MAX || offset > INT64_MAX - n)
		return ek_fail(err, EK_INVALID, "a range of %zu bytes", n);
	EKD_TRY(check_priority(priority, err));
	EKD_TRY(ekd_request_new(EKD_RANGE, ref, digest, &rq, err));
	rq->offset = offset;
	rq->n = n;
	rq->priority = priority;
	rq->deadline = after(deadline_ms ? deadline_ms : 1);
	rq->done = done;
	rq->arg = arg;
	status = ekd_request_submit(fetch, rq, id, err);
	if (status != EK_OK)
		ekd_request_free(rq);
	return status;
}

/* Somebody who waits for a request. */
struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool ended;
	ek_status status;
	struct ek_err err;
	uint8_t *bytes;
	size_t n;
	/* Of a stream. */
	ekd_write write;
	void *arg;
};

static void waiter_done(void *arg, ek_status status, const struct ek_err *err,
			const uint8_t *bytes, size_t n)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->lock);
	w->status = status;
	if (err)
		w->err = *err;
	if (status == EK_OK && !w->write) {
		w->bytes = malloc(n ? n : 1);
		w->n = n;
		if (!w->bytes)
			w->status = ek_fail(&w->err, EK_NOMEM,
					    "no memory for a body");
		else if (n)
			memcpy(w->bytes, bytes, n);
	}
	w->ended = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static ek_status waiter_write(void *arg, const uint8_t *bytes, size_t n,
			      struct ek_err *err)
{
	struct waiter *w = arg;

	return w->write(w->arg, bytes, n, err);
}

/* Submit and wait; @rq is gone afterwards. */
static ek_status wait_for(struct ekd_fetch *f, struct ekd_request *rq,
			  struct waiter *w, struct ek_err *err)
{
	ek_status status;

	if (pthread_equal(pthread_self(), f->thread)) {
		ekd_request_free(rq);
		return ek_fail(err, EK_INVALID,
			       "a call that blocks, from a callback");
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	rq->done = waiter_done;
	rq->write = w->write ? waiter_write : NULL;
	rq->arg = w;
	status = ekd_request_submit(f, rq, NULL, err);
	if (status == EK_OK) {
		pthread_mutex_lock(&w->lock);
		while (!w->ended)
			pthread_cond_wait(&w->cond, &w->lock);
		pthread_mutex_unlock(&w->lock);
		status = w->status;
		if (status != EK_OK && err)
			*err = w->err;
	} else {
		ekd_request_free(rq);
	}
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	return status;
}

static ek_status small(struct ekd_fetch *f, const struct ekd_reference *ref,
		       bool manifest, const char *name, uint8_t **bytes,
		       size_t *n, char *media, struct ek_err *err)
{
	struct waiter w = {.bytes = NULL};
	struct ekd_request *rq;

	*bytes = NULL;
	*n = 0;
	EKD_TRY(ekd_request_new(EKD_SMALL, ref, name, &rq, err));
	rq->manifest = manifest;
	rq->priority = EKD_DEMAND;
	rq->deadline = after(f->config.small_ms);
	rq->media = media;
	if (media)
		media[0] = '\0';
	EKD_TRY(wait_for(f, rq, &w, err));
	*bytes = w.bytes;
	*n = w.n;
	return EK_OK;
}

static ek_status check_digest(const char *digest, struct ek_err *err)
{
	if (!ekd_digest_ok(digest))
		return ek_fail(err, EK_INVALID, "a digest that is not one");
	return EK_OK;
}

ek_status ekd_fetch_manifest(struct ekd_fetch *fetch,
			     const struct ekd_reference *ref,
			     const char *digest, uint8_t **bytes, size_t *n,
			     char media[128], struct ek_err *err)
{
	const char *name = digest;

	*bytes = NULL;
	if (digest[0])
		EKD_TRY(check_digest(digest, err));
	else
		name = ref->digest[0] ? ref->digest : ref->tag;
	if (!name[0])
		return ek_fail(err, EK_INVALID,
			       "a reference without tag and digest");
	return small(fetch, ref, true, name, bytes, n, media, err);
}

ek_status ekd_fetch_small_blob(struct ekd_fetch *fetch,
			       const struct ekd_reference *ref,
			       const char *digest, uint8_t **bytes, size_t *n,
			       struct ek_err *err)
{
	*bytes = NULL;
	EKD_TRY(check_digest(digest, err));
	return small(fetch, ref, false, digest, bytes, n, NULL, err);
}

static bool is_index(const char *media)
{
	return strcmp(media, "application/vnd.oci.image.index.v1+json") == 0 ||
	       strcmp(media, "application/vnd.docker.distribution.manifest."
			     "list.v2+json") == 0;
}

ek_status ekd_fetch_image(struct ekd_fetch *fetch,
			  const struct ekd_reference *ref, const char *platform,
			  uint8_t **bytes, size_t *n, char digest[72],
			  char media[128], struct ek_err *err)
{
	ek_status status;

	EKD_TRY(ekd_fetch_manifest(fetch, ref, "", bytes, n, media, err));
	if (is_index(media)) {
		status = ekd_index_choose(*bytes, *n, platform, digest, err);
		free(*bytes);
		*bytes = NULL;
		if (status != EK_OK)
			return ek_err_prefix(err, "%s/%s", ref->host,
					     ref->repo);
		EKD_TRY(ekd_fetch_manifest(fetch, ref, digest, bytes, n, media,
					   err));
		if (is_index(media)) {
			free(*bytes);
			*bytes = NULL;
			return ek_fail(err, EK_UNSUPPORTED,
				       "%s/%s: an index within an index",
				       ref->host, ref->repo);
		}
	}
	status = ekd_sha_of(*bytes, *n, digest, err);
	if (status != EK_OK) {
		free(*bytes);
		*bytes = NULL;
	}
	return status;
}

ek_status ekd_fetch_stream(struct ekd_fetch *fetch,
			   const struct ekd_reference *ref, const char *digest,
			   ek_status (*write)(void *arg, const uint8_t *bytes,
					      size_t n, struct ek_err *err),
			   void *arg, struct ek_err *err)
{
	struct waiter w = {.write = write, .arg = arg};
	struct ekd_request *rq;
	ek_status status;

	EKD_TRY(check_digest(digest, err));
	EKD_TRY(ekd_request_new(EKD_STREAM, ref, digest, &rq, err));
	rq->priority = EKD_READAHEAD;
	status = ekd_sha_new(&rq->sha, err);
	if (status != EK_OK) {
		ekd_request_free(rq);
		return status;
	}
	return wait_for(fetch, rq, &w, err);
}

/* Under the lock. */
static struct ekd_request *find(struct ekd_fetch *f, uint64_t id)
{
	struct ekd_request *rq = f->bucket[id % EKD_BUCKETS];

	while (rq && rq->id != id)
		rq = rq->next;
	return rq;
}

static void touch(struct ekd_fetch *f, struct ekd_request *rq)
{
	if (rq->touched)
		return;
	rq->touched = true;
	TAILQ_INSERT_TAIL(&f->touched, rq, touch);
}

void ekd_fetch_cancel(struct ekd_fetch *fetch, uint64_t id)
{
	struct ekd_request *rq;

	pthread_mutex_lock(&fetch->lock);
	rq = find(fetch, id);
	if (rq) {
		rq->cancelled = true;
		touch(fetch, rq);
	}
	pthread_mutex_unlock(&fetch->lock);
	if (rq)
		curl_multi_wakeup(fetch->multi);
}

void ekd_fetch_raise(struct ekd_fetch *fetch, uint64_t id,
		     enum ekd_priority priority)
{
	struct ekd_request *rq;

	if (check_priority(priority, NULL) != EK_OK)
		return;
	pthread_mutex_lock(&fetch->lock);
	rq = find(fetch, id);
	if (rq && priority < rq->wanted) {
		rq->wanted = priority;
		touch(fetch, rq);
	}
	pthread_mutex_unlock(&fetch->lock);
	if (rq)
		curl_multi_wakeup(fetch->multi);
}

ek_status ekd_fetch_info(struct ekd_fetch *fetch, uint64_t id,
			 struct ekd_fetch_info *info, struct ek_err *err)
{
	struct ekd_request *rq;

	pthread_mutex_lock(&fetch->lock);
	rq = find(fetch, id);
	if (rq)
		*info = rq->seen;
	pthread_mutex_unlock(&fetch->lock);
	return rq ? EK_OK : ek_fail(err, EK_NOTFOUND, "no such request");
}

void ekd_fetch_stats(struct ekd_fetch *fetch, struct ekd_fetch_stats *stats)
{
	pthread_mutex_lock(&fetch->lock);
	*stats = fetch->stats;
	pthread_mutex_unlock(&fetch->lock);
}

void ekd_fetch_hosts(struct ekd_fetch *fetch, struct ekd_fetch_host *hosts,
		     size_t room, size_t *n)
{
	struct ekd_host *host;

	*n = 0;
	pthread_mutex_lock(&fetch->lock);
	TAILQ_FOREACH(host, &fetch->hosts, link)
	{
		if (*n < room)
			hosts[*n] = host->seen;
		++*n;
	}
	pthread_mutex_unlock(&fetch->lock);
}
