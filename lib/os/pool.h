/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_OS_POOL_H
#define EK_OS_POOL_H

/*
 * An ordered pool: jobs run on N workers in any order, results are handed out
 * in the order of submission. The order of results, and so the bytes made of
 * them, do not depend on N.
 *
 * What must be done in that order, but not by the submitting thread, a job can
 * have as its second part: whichever worker ends the last job that is missing
 * goes on with the second parts, so that nobody waits for a turn.
 */

#include <erofskit/status.h>
#include <stddef.h>

struct ek_pool;

/* A job: embed it in your own struct as first member. */
struct ek_job {
	/* Runs on a worker; @worker is in [0, workers). */
	ek_status (*run)(struct ek_job *job, unsigned worker,
			 struct ek_err *err);
	/*
	 * NULL, or the second part: after run(), and after both parts of all
	 * jobs submitted before; one at a time. Left out when run() failed or
	 * anything of a job before.
	 */
	ek_status (*settle)(struct ek_job *job, struct ek_err *err);
	/* Set by the pool. */
	ek_status status;
	struct ek_err err;
	struct ek_job *next;
	int ran, done;
};

/*
 * @workers >= 1 threads; with 1, jobs run on the calling thread when they are
 * submitted. @depth: most jobs submitted and not yet taken.
 */
ek_status ek_pool_new(unsigned workers, unsigned depth, struct ek_pool **pool,
		      struct ek_err *err);
/* Waits for running jobs, drops the rest; the jobs are the caller's. */
void ek_pool_free(struct ek_pool *pool);

/* Most jobs that may be in flight. */
unsigned ek_pool_depth(const struct ek_pool *pool);
unsigned ek_pool_workers(const struct ek_pool *pool);

/* Whether depth jobs are in flight: take one before submitting another. */
int ek_pool_full(const struct ek_pool *pool);

/* Submit; never blocks (EK_BUG when full). One submitting thread. */
void ek_pool_submit(struct ek_pool *pool, struct ek_job *job);

/*
 * Wait for the oldest job and hand it back, NULL when none is in flight. Same
 * thread as ek_pool_submit(). Look at job->status.
 */
struct ek_job *ek_pool_take(struct ek_pool *pool);

/*
 * The same, but NULL also when the oldest is not done and fewer than @least
 * jobs wait to be started: submit some.
 */
struct ek_job *ek_pool_take_or(struct ek_pool *pool, unsigned least);

/* CPUs that this process may use: affinity and cgroup quota, at least 1. */
unsigned ek_cpus(void);

#endif
