/* SPDX-License-Identifier: Apache-2.0 */
#include "os/pool.h"

#include "base/try.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

/* More threads than any machine has CPUs are a mistake in an option. */
#define MAX_WORKERS 4096

struct worker {
	struct ek_pool *pool;
	unsigned number;
	pthread_t thread;
};

/*
 * Jobs in flight form one list from the oldest to the newest. Workers start
 * them in that order, so the list is: done or running, then not started.
 */
struct ek_pool {
	/* Of the submitting thread alone. */
	unsigned workers, depth, in_flight;
	unsigned threads; /* 0: jobs run on the submitting thread */
	struct worker *worker;

	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t work;  /* a job was submitted, or quit */
	pthread_cond_t done;  /* the oldest job is done */
	struct ek_job *oldest, *newest;
	struct ek_job *next_run;    /* NULL: all have been started */
	struct ek_job *next_settle; /* NULL: all are done */
	bool settling;		    /* some thread is at next_settle */
	bool failed;		    /* settle no more */
	unsigned unstarted;	    /* jobs from next_run on */
	bool waiting;		    /* the submitting thread waits for oldest */
	unsigned least; /* and for fewer unstarted jobs than these */
	bool quit;
};

/*
 * The second parts of all jobs whose turn it is; with the lock, which is given
 * back meanwhile. A thread that finds another one at it leaves its job to that.
 */
static void settle(struct ek_pool *pool)
{
	struct ek_job *job;

	if (pool->settling)
		return;
	pool->settling = true;
	while ((job = pool->next_settle) && job->ran && !pool->quit) {
		if (job->settle && job->status == EK_OK && !pool->failed) {
			pthread_mutex_unlock(&pool->lock);
			job->status = job->settle(job, &job->err);
			pthread_mutex_lock(&pool->lock);
		}
		if (job->status != EK_OK)
			pool->failed = true;
		pool->next_settle = job->next;
		job->done = 1;
		if (pool->waiting && job == pool->oldest)
			pthread_cond_signal(&pool->done);
	}
	pool->settling = false;
}

static void *work(void *arg)
{
	struct worker *me = arg;
	struct ek_pool *pool = me->pool;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct ek_job *job;

		while (!pool->next_run && !pool->quit)
			pthread_cond_wait(&pool->work, &pool->lock);
		if (pool->quit)
			break;
		job = pool->next_run;
		pool->next_run = job->next;
		pool->unstarted--;
		if (pool->waiting && pool->unstarted < pool->least)
			pthread_cond_signal(&pool->done);
		pthread_mutex_unlock(&pool->lock);

		job->status = job->run(job, me->number, &job->err);

		pthread_mutex_lock(&pool->lock);
		job->ran = 1;
		settle(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Signals are for the program's own threads: workers block them all. */
static ek_status start_threads(struct ek_pool *pool, struct ek_err *err)
{
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (pool->threads < pool->workers) {
		struct worker *w = &pool->worker[pool->threads];

		w->pool = pool;
		w->number = pool->threads;
		rc = pthread_create(&w->thread, NULL, work, w);
		if (rc)
			break;
		pool->threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* A limit on threads slows us down, it need not stop us. */
	if (pool->threads == 0)
		return ek_fail_sys(err, rc, "cannot start a worker thread");
	return EK_OK;
}

ek_status ek_pool_new(unsigned workers, unsigned depth, struct ek_pool **poolp,
		      struct ek_err *err)
{
	struct ek_pool *pool;
	ek_status status;

	*poolp = NULL;
	if (workers < 1 || workers > MAX_WORKERS || depth < 1)
		return ek_fail(err, EK_INVALID,
			       "%u workers with %u jobs (1 to %u workers)",
			       workers, depth, MAX_WORKERS);
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return ek_fail(err, EK_NOMEM, "no memory for a pool");
	pool->worker = calloc(workers, sizeof(*pool->worker));
	if (!pool->worker) {
		free(pool);
		return ek_fail(err, EK_NOMEM, "no memory for %u workers",
			       workers);
	}
	pool->workers = workers;
	pool->depth = depth;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	status = workers > 1 ? start_threads(pool, err) : EK_OK;
	if (status != EK_OK) {
		ek_pool_free(pool);
		return status;
	}
	*poolp = pool;
	return EK_OK;
}

void ek_pool_free(struct ek_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->quit = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++)
		pthread_join(pool->worker[i].thread, NULL);
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool->worker);
	free(pool);
}

unsigned ek_pool_depth(const struct ek_pool *pool)
{
	return pool->depth;
}

unsigned ek_pool_workers(const struct ek_pool *pool)
{
	return pool->workers;
}

int ek_pool_full(const struct ek_pool *pool)
{
	return pool->in_flight >= pool->depth;
}

void ek_pool_submit(struct ek_pool *pool, struct ek_job *job)
{
	EK_BUG_ON(ek_pool_full(pool));
	pool->in_flight++;
	job->next = NULL;
	job->ran = job->done = 0;
	job->status = EK_OK;
	if (pool->threads == 0) {
		job->status = job->run(job, 0, &job->err);
		job->ran = 1;
	}
	pthread_mutex_lock(&pool->lock);
	if (pool->newest)
		pool->newest->next = job;
	else
		pool->oldest = job;
	pool->newest = job;
	if (!pool->next_settle)
		pool->next_settle = job;
	if (job->ran) {
		settle(pool);
	} else {
		if (!pool->next_run)
			pool->next_run = job;
		pool->unstarted++;
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
}

struct ek_job *ek_pool_take(struct ek_pool *pool)
{
	return ek_pool_take_or(pool, 0);
}

struct ek_job *ek_pool_take_or(struct ek_pool *pool, unsigned least)
{
	struct ek_job *job;

	if (pool->in_flight == 0)
		return NULL;
	pthread_mutex_lock(&pool->lock);
	job = pool->oldest;
	pool->waiting = true;
	pool->least = least;
	while (!job->done && pool->unstarted >= least)
		pthread_cond_wait(&pool->done, &pool->lock);
	pool->waiting = false;
	if (!job->done) {
		pthread_mutex_unlock(&pool->lock);
		return NULL;
	}
	pool->oldest = job->next;
	if (!pool->oldest)
		pool->newest = NULL;
	pthread_mutex_unlock(&pool->lock);
	job->next = NULL;
	pool->in_flight--;
	return job;
}
