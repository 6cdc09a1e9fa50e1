/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/worker/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Between lines of the log about reads that failed. */
#define TELL_S 5

static ek_status backend_of(struct ekd_service *s,
			    const struct ekd_record_blob *r,
			    struct ekd_backend **backend, struct ek_err *err)
{
	struct ekd_reference ref;
	int fd;

	if (r->kind == EKD_FROM_LOCAL) {
		EK_TRY(ekd_holder_open_local(s->holder, r->from, &fd, err));
		return ekd_backend_local(fd, backend, err);
	}
	EK_TRY(ekd_reference_parse(r->from, &ref, err));
	return ekd_backend_registry(s->fetch, &ref, r->digest, backend, err);
}

static ek_status never(struct ekd_backend *backend, uint64_t offset, size_t n,
		       enum ekd_priority priority, uint32_t deadline_ms,
		       ekd_fetched done, void *arg, uint64_t *id,
		       struct ek_err *err)
{
	(void)backend;
	(void)offset;
	(void)n;
	(void)priority;
	(void)deadline_ms;
	(void)done;
	(void)arg;
	(void)id;
	return ek_fail(err, EK_IO, "where it came from is gone: umount");
}

static void cancel_none(struct ekd_backend *backend, uint64_t id)
{
	(void)backend;
	(void)id;
}

static ek_status info_none(struct ekd_backend *backend, uint64_t id,
			   struct ekd_fetch_info *info, struct ek_err *err)
{
	(void)backend;
	(void)info;
	return ek_fail(err, EK_NOTFOUND, "no request %llu",
		       (unsigned long long)id);
}

static void free_backend(struct ekd_backend *backend)
{
	free(backend);
}

/* Of a blob that is mounted, whose source cannot be opened any more. */
static ek_status backend_none(struct ekd_service *s,
			      const struct ekd_record_blob *r,
			      const struct ek_err *why,
			      struct ekd_backend **backend, struct ek_err *err)
{
	*backend = malloc(sizeof(**backend));
	if (!*backend)
		return ek_fail(err, EK_NOMEM, "no memory for a blob");
	**backend = (struct ekd_backend){
		.start = never,
		.cancel = cancel_none,
		.info = info_none,
		.free = free_backend,
	};
	ekd_log_event(s->o.log, EKD_LOG_ERROR, "no-source", "blob", r->name,
		      "from", r->from, "why", why->text, NULL);
	return EK_OK;
}

static ek_status open_stored(struct ekd_service *s,
			     const struct ekd_record_blob *r,
			     const struct ek_leaves *leaves,
			     struct ekd_blob **stored, struct ek_err *err)
{
	if (leaves)
		return ekd_blob_open(s->store, r->name, leaves, NULL, stored,
				     err);
	return ekd_blob_find(s->store, r->name, r->root, stored, err);
}

static ek_status make(struct ekd_service *s, const struct ekd_record_blob *r,
		      const struct ek_leaves *leaves, bool mounted,
		      struct blob *b, struct ek_err *err)
{
	struct ekd_backend *backend;
	struct ek_err why;
	ek_status status;

	b->service = s;
	b->size = r->size;
	text_put(b->name, sizeof(b->name), r->name);
	text_put(b->from, sizeof(b->from), r->from);
	EK_TRY(open_stored(s, r, leaves, &b->stored, err));
	if (ekd_blob_size(b->stored) != r->size) {
		ekd_blob_close(b->stored);
		return ek_fail(err, EK_DIFFERS,
			       "%s: its leaf digests are of a blob of another "
			       "size",
			       r->digest);
	}
	status = backend_of(s, r, &backend, &why);
	if (status != EK_OK && mounted)
		status = backend_none(s, r, &why, &backend, &why);
	if (status != EK_OK && err)
		*err = why;
	if (status == EK_OK)
		status = ekd_served_open(s->serve, b->stored, backend, NULL,
					 NULL, &b->served, err);
	if (status != EK_OK)
		ekd_blob_close(b->stored);
	return status;
}

/* One that is open already must be of the same digests. */
static ek_status same(const struct blob *b, const struct ekd_record_blob *r,
		      struct ek_err *err)
{
	if (memcmp(ekd_blob_leaves(b->stored)->root, r->root, 32) == 0)
		return EK_OK;
	return ek_fail(err, EK_DIFFERS, "%s: is in use with other leaf digests",
		       r->digest);
}

ek_status blob_get(struct ekd_service *s, const struct ekd_record_blob *r,
		   const struct ek_leaves *leaves, bool mounted,
		   struct blob **blob, struct ek_err *err)
{
	ek_status status;
	struct blob *b;

	pthread_mutex_lock(&s->blobs_lock);
	for (b = s->blobs; b && strcmp(b->name, r->name) != 0;)
		b = b->next;
	if (b) {
		status = same(b, r, err);
		b->users += status == EK_OK;
	} else if (!(b = calloc(1, sizeof(*b)))) {
		status = ek_fail(err, EK_NOMEM, "no memory for a blob");
	} else if ((status = make(s, r, leaves, mounted, b, err)) == EK_OK) {
		b->users = 1;
		b->next = s->blobs;
		s->blobs = b;
	} else {
		free(b);
	}
	if (status == EK_OK)
		*blob = b;
	pthread_mutex_unlock(&s->blobs_lock);
	return status;
}

static void close_blob(struct blob *b)
{
	if (b->on_door)
		ekd_door_remove(b->service->door, b->name, NULL);
	ekd_served_close(b->served);
	while (b->pins--)
		ekd_blob_unpin(b->stored);
	ekd_blob_close(b->stored);
	free(b);
}

void blob_put(struct blob *blob)
{
	struct ekd_service *s = blob->service;
	struct blob **at = &s->blobs;

	pthread_mutex_lock(&s->blobs_lock);
	if (--blob->users == 0) {
		while (*at != blob)
			at = &(*at)->next;
		*at = blob->next;
		close_blob(blob);
	}
	pthread_mutex_unlock(&s->blobs_lock);
}

static void count_pin(struct blob *blob)
{
	pthread_mutex_lock(&blob->service->blobs_lock);
	blob->pins++;
	pthread_mutex_unlock(&blob->service->blobs_lock);
}

bool blob_use_direct(struct blob *blob)
{
	struct ek_err err;
	ek_status status = ekd_blob_lend(blob->stored, &err);

	if (status == EK_OK)
		count_pin(blob);
	else if (status != EK_NOTFOUND)
		ekd_log_event(blob->service->o.log, EKD_LOG_WARNING,
			      "not-direct", "blob", blob->name, "why", err.text,
			      NULL);
	return status == EK_OK;
}

void blob_pin(struct blob *blob)
{
	ekd_blob_pin(blob->stored);
	count_pin(blob);
}

ek_status blob_use_door(struct blob *blob, struct ek_err *err)
{
	struct ekd_service *s = blob->service;
	ek_status status = EK_OK;

	pthread_mutex_lock(&s->blobs_lock);
	if (!blob->on_door) {
		status = ekd_door_add(s->door, blob->name, blob->size, blob,
				      err);
		blob->on_door = status == EK_OK;
	}
	pthread_mutex_unlock(&s->blobs_lock);
	return status;
}

void blob_unpin(struct blob *blob)
{
	pthread_mutex_lock(&blob->service->blobs_lock);
	ekd_blob_unpin(blob->stored);
	blob->pins--;
	pthread_mutex_unlock(&blob->service->blobs_lock);
}

void blob_complete(struct blob *blob, bool on)
{
	pthread_mutex_lock(&blob->service->blobs_lock);
	if (on && blob->completers++ == 0)
		ekd_served_complete(blob->served, true);
	else if (!on && blob->completers && --blob->completers == 0)
		ekd_served_complete(blob->served, false);
	pthread_mutex_unlock(&blob->service->blobs_lock);
}

ek_status blob_record(struct blob *blob, const struct image *image,
		      struct ekd_trace *trace, struct ek_err *err)
{
	ek_status status = EK_OK;

	pthread_mutex_lock(&blob->service->blobs_lock);
	if (!trace && blob->recorder == image) {
		ekd_served_record(blob->served, NULL, NULL);
		blob->recorder = NULL;
	} else if (trace && !blob->recorder) {
		status = ekd_served_record(blob->served, trace, err);
		blob->recorder = status == EK_OK ? image : NULL;
	} else if (trace && blob->recorder != image) {
		status = ek_fail(err, EK_EXISTS,
				 "%s is recorded for another image, %s",
				 blob->name, blob->recorder->id);
	}
	pthread_mutex_unlock(&blob->service->blobs_lock);
	return status;
}

/* A read that the kernel waits for. */
struct pending {
	struct ekd_read read;
	struct ekd_door_request *request;
};

/*
 * Whoever reads sees EIO and no more: here is why. The first is told at once,
 * of many that follow one in a while.
 */
static void tell_failed(const struct blob *blob, const struct ekd_read *read,
			const struct ek_err *err)
{
	struct ekd_service *s = blob->service;
	char pid[16], failed[16];
	struct timespec now;
	int64_t last = atomic_load(&s->told_at);

	clock_gettime(CLOCK_MONOTONIC, &now);
	atomic_fetch_add(&s->untold, 1);
	if ((last && now.tv_sec - last < TELL_S) ||
	    !atomic_compare_exchange_strong(&s->told_at, &last, now.tv_sec))
		return;
	snprintf(pid, sizeof(pid), "%u", (unsigned)read->pid);
	snprintf(failed, sizeof(failed), "%u", atomic_exchange(&s->untold, 0));
	ekd_log_event(s->o.log, EKD_LOG_WARNING, "read-failed", "blob",
		      blob->name, "pid", pid, "failed", failed, "why",
		      err->text, NULL);
}

static void answer(struct ekd_read *read, ek_status status,
		   const struct ek_err *err)
{
	struct pending *p = read->arg;

	/* Cancelled: the process ends, a successor gets the request again. */
	if (status == EK_CANCELLED) {
		ekd_door_abandon(p->request);
	} else {
		if (status != EK_OK)
			tell_failed(ekd_door_cookie(p->request), read, err);
		ekd_door_answer(p->request, status == EK_OK ? 0 : EIO);
	}
	free(p);
}

void blob_read(void *service, struct ekd_door_request *request)
{
	struct blob *blob = ekd_door_cookie(request);
	struct pending *p = malloc(sizeof(*p));

	(void)service;
	if (!p) {
		ekd_door_answer(request, ENOMEM);
		return;
	}
	*p = (struct pending){
		.read = {.offset = ekd_door_offset(request),
			 .n = ekd_door_size(request),
			 .to = ekd_door_buffer(request),
			 .pid = ekd_door_pid(request),
			 .done = answer,
			 .arg = p},
		.request = request,
	};
	ekd_served_read(blob->served, &p->read);
}
