/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The backend of a local file: two threads that read it, the most urgent first.
 */

#include "cachefilesd/serve/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 2

struct job {
	struct job *next;
	uint64_t id, offset;
	size_t n;
	enum ekd_priority priority;
	bool cancelled;
	ekd_fetched done;
	void *arg;
};

struct local {
	struct ekd_backend backend;
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t threads[THREADS];
	unsigned n_threads;
	struct job *jobs; /* by priority, then age */
	uint64_t last_id;
	bool stop;
};

static ek_status read_all(int fd, uint64_t offset, uint8_t *to, size_t n,
			  struct ek_err *err)
{
	while (n) {
		ssize_t got = pread(fd, to, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ek_fail_sys(err, errno, "local blob");
		if (!got)
			return ek_fail(err, EK_CORRUPT,
				       "local blob ends before byte %llu",
				       (unsigned long long)(offset + n));
		offset += (uint64_t)got;
		to += got;
		n -= (size_t)got;
	}
	return EK_OK;
}

static void work(struct local *l, struct job *j)
{
	struct ek_err err = {.text = ""};
	uint8_t *bytes = NULL;
	ek_status status;

	if (j->cancelled) {
		status = ek_fail(&err, EK_CANCELLED, "cancelled");
	} else {
		bytes = malloc(j->n);
		status = bytes ? read_all(l->fd, j->offset, bytes, j->n, &err)
			       : ek_fail(&err, EK_NOMEM,
					 "no memory for %zu bytes", j->n);
	}
	j->done(j->arg, status, &err, status == EK_OK ? bytes : NULL, j->n);
	free(bytes);
	free(j);
}

static void *run(void *arg)
{
	struct local *l = arg;

	pthread_mutex_lock(&l->lock);
	while (!l->stop || l->jobs) {
		struct job *j = l->jobs;

		if (!j) {
			pthread_cond_wait(&l->wake, &l->lock);
			continue;
		}
		l->jobs = j->next;
		pthread_mutex_unlock(&l->lock);
		work(l, j);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static ek_status local_start(struct ekd_backend *backend, uint64_t offset,
			     size_t n, enum ekd_priority priority,
			     uint32_t deadline_ms, ekd_fetched done, void *arg,
			     uint64_t *id, struct ek_err *err)
{
	struct local *l = (struct local *)backend;
	struct job *j = calloc(1, sizeof(*j)), **link = &l->jobs;

	/* A file answers; readers have deadlines of their own. */
	(void)deadline_ms;
	if (!j)
		return ek_fail(err, EK_NOMEM, "no memory for a request");
	j->offset = offset;
	j->n = n;
	j->priority = priority;
	j->done = done;
	j->arg = arg;
	pthread_mutex_lock(&l->lock);
	j->id = ++l->last_id;
	if (id)
		*id = j->id;
	while (*link && (*link)->priority <= priority)
		link = &(*link)->next;
	j->next = *link;
	*link = j;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	return EK_OK;
}

static void local_cancel(struct ekd_backend *backend, uint64_t id)
{
	struct local *l = (struct local *)backend;

	pthread_mutex_lock(&l->lock);
	for (struct job *j = l->jobs; j; j = j->next)
		if (j->id == id)
			j->cancelled = true;
	pthread_mutex_unlock(&l->lock);
}

static ek_status local_info(struct ekd_backend *backend, uint64_t id,
			    struct ekd_fetch_info *info, struct ek_err *err)
{
	(void)backend;
	(void)id;
	(void)err;
	info->attempts = 1;
	snprintf(info->host, sizeof(info->host), "local");
	info->last_error[0] = '\0';
	return EK_OK;
}

static void local_free(struct ekd_backend *backend)
{
	struct local *l = (struct local *)backend;

	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->wake);
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->n_threads; i++)
		pthread_join(l->threads[i], NULL);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	close(l->fd);
	free(l);
}

ek_status ekd_backend_local(int fd, struct ekd_backend **backend,
			    struct ek_err *err)
{
	struct local *l = calloc(1, sizeof(*l));

	if (!l) {
		close(fd);
		return ek_fail(err, EK_NOMEM, "no memory for a local blob");
	}
	l->backend = (struct ekd_backend){.start = local_start,
					  .cancel = local_cancel,
					  .info = local_info,
					  .free = local_free,
					  .done_may_block = true};
	l->fd = fd;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	for (; l->n_threads < THREADS; l->n_threads++) {
		int sys =
			pthread_create(&l->threads[l->n_threads], NULL, run, l);

		if (sys) {
			local_free(&l->backend);
			return ek_fail_sys(err, sys, "thread of a local blob");
		}
	}
	*backend = &l->backend;
	return EK_OK;
}
