/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "os/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

struct job {
	struct ek_job base;
	unsigned number, delay_us, worker, workers;
	uint64_t result;
	int ran, signals_blocked;
};

static ek_status square(struct ek_job *base, unsigned worker,
			struct ek_err *err)
{
	struct job *job = (struct job *)base;
	sigset_t mask;

	if (job->delay_us) {
		struct timespec ts = {0, job->delay_us * 1000L};

		nanosleep(&ts, NULL);
	}
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	job->signals_blocked = sigismember(&mask, SIGTERM);
	job->worker = worker;
	job->ran++;
	if (job->number % 10 == 7)
		return ek_fail(err, EK_CORRUPT, "job %u", job->number);
	job->result = (uint64_t)job->number * job->number;
	return EK_OK;
}

static void check(const struct job *job, unsigned number, unsigned workers)
{
	assert_int_equal(job->number, number);
	assert_int_equal(job->ran, 1);
	assert_true(job->worker < workers);
	if (number % 10 == 7) {
		char want[32];

		snprintf(want, sizeof(want), "job %u", number);
		assert_int_equal(job->base.status, EK_CORRUPT);
		assert_string_equal(job->base.err.text, want);
	} else {
		assert_int_equal(job->base.status, EK_OK);
		assert_int_equal(job->result, (uint64_t)number * number);
	}
}

static void run(unsigned workers, unsigned depth, unsigned n)
{
	struct job *jobs = calloc(depth, sizeof(*jobs));
	struct ek_pool *pool;
	unsigned taken = 0;

	assert_non_null(jobs);
	assert_int_equal(ek_pool_new(workers, depth, &pool, NULL), EK_OK);
	assert_int_equal(ek_pool_workers(pool), workers);
	assert_int_equal(ek_pool_depth(pool), depth);
	assert_null(ek_pool_take(pool));
	for (unsigned i = 0; i < n; i++) {
		struct job *job = &jobs[i % depth];

		if (ek_pool_full(pool)) {
			struct ek_job *got = ek_pool_take(pool);

			assert_ptr_equal(got, &jobs[taken % depth].base);
			check(&jobs[taken % depth], taken, workers);
			taken++;
		}
		memset(job, 0, sizeof(*job));
		job->base.run = square;
		job->number = i;
		job->delay_us = i % 5 == 0 ? 300 : 0;
		ek_pool_submit(pool, &job->base);
	}
	for (struct ek_job *got; (got = ek_pool_take(pool)); taken++)
		check((struct job *)got, taken, workers);
	assert_int_equal(taken, n);
	ek_pool_free(pool);
	free(jobs);
}

static void results_come_in_order(void **state)
{
	(void)state;
	run(1, 1, 50);
	run(1, 8, 50);
	run(2, 1, 50);
	run(2, 4, 500);
	run(8, 3, 200);
	run(5, 64, 1000);
	run(3, 64, 10);
}

/* Second parts, written down without any lock of their own. */
struct log {
	unsigned n, at[400];
};

struct settled {
	struct job job; /* first */
	struct log *log;
};

static ek_status note(struct ek_job *base, struct ek_err *err)
{
	struct settled *s = (struct settled *)base;

	s->log->at[s->log->n++] = s->job.number;
	if (s->job.number == 250)
		return ek_fail(err, EK_IO, "full");
	return EK_OK;
}

static ek_status pause_run(struct ek_job *base, unsigned worker,
			   struct ek_err *err)
{
	struct ek_err ignored;

	/* Its own failures are not for here. */
	(void)square(base, worker, &ignored);
	if (((struct job *)base)->number == 380)
		return ek_fail(err, EK_CORRUPT, "too late");
	return EK_OK;
}

/* @n jobs with second parts on @workers; the log of those. */
static void run_settled(unsigned workers, unsigned n, struct log *log)
{
	struct settled jobs[16];
	struct ek_pool *pool;
	unsigned taken = 0, i = 0;

	assert_int_equal(ek_pool_new(workers, 16, &pool, NULL), EK_OK);
	while (taken < n) {
		struct settled *s = &jobs[i % 16];
		ek_status want = taken == 250	? EK_IO
				 : taken == 380 ? EK_CORRUPT
						: EK_OK;

		if (i < n && !ek_pool_full(pool)) {
			memset(s, 0, sizeof(*s));
			s->job.base.run = pause_run;
			s->job.base.settle = note;
			s->job.number = i;
			s->job.delay_us = i % 7 == 0 ? 200 : 0;
			s->log = log;
			ek_pool_submit(pool, &s->job.base);
			i++;
			continue;
		}
		s = (struct settled *)ek_pool_take(pool);
		assert_int_equal(s->job.number, taken);
		assert_int_equal(s->job.ran, 1);
		assert_int_equal(s->job.base.status, want);
		taken++;
	}
	assert_null(ek_pool_take(pool));
	ek_pool_free(pool);
}

/* In order, each once, up to and with the first that fails. */
static void second_parts_come_in_order(void **state)
{
	static const unsigned workers[] = {1, 2, 5};

	(void)state;
	for (size_t w = 0; w < 3; w++) {
		struct log log = {0};

		run_settled(workers[w], 200, &log);
		assert_int_equal(log.n, 200);
		for (unsigned i = 0; i < log.n; i++)
			assert_int_equal(log.at[i], i);
		log.n = 0;
		run_settled(workers[w], 400, &log);
		assert_int_equal(log.n, 251);
		for (unsigned i = 0; i < log.n; i++)
			assert_int_equal(log.at[i], i);
	}
}

/* The job that fails has none, nor any after it. */
static void no_second_part_after_a_failure(void **state)
{
	static const unsigned workers[] = {1, 3};

	(void)state;
	for (size_t w = 0; w < 2; w++) {
		struct settled jobs[20];
		struct log log = {0};
		struct ek_pool *pool;

		assert_int_equal(ek_pool_new(workers[w], 20, &pool, NULL),
				 EK_OK);
		for (unsigned i = 0; i < 20; i++) {
			memset(&jobs[i], 0, sizeof(jobs[i]));
			jobs[i].job.base.run = square; /* 7 fails */
			jobs[i].job.base.settle = note;
			jobs[i].job.number = i;
			jobs[i].job.delay_us = i == 7 ? 2000 : 0;
			jobs[i].log = &log;
			ek_pool_submit(pool, &jobs[i].job.base);
		}
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(ek_pool_take(pool)->status,
					 i % 10 == 7 ? EK_CORRUPT : EK_OK);
		assert_int_equal(log.n, 7);
		ek_pool_free(pool);
	}
}

/* Runs as long as the test wants. */
struct gated {
	struct ek_job base; /* first */
	pthread_mutex_t *gate;
};

static ek_status pass_gate(struct ek_job *base, unsigned worker,
			   struct ek_err *err)
{
	struct gated *g = (struct gated *)base;

	(void)worker;
	(void)err;
	pthread_mutex_lock(g->gate);
	pthread_mutex_unlock(g->gate);
	return EK_OK;
}

/* What keeps the workers busy is asked for before the oldest is done. */
static void taking_does_not_starve_workers(void **state)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct gated jobs[10];
	struct ek_pool *pool;

	(void)state;
	assert_int_equal(ek_pool_new(2, 10, &pool, NULL), EK_OK);
	assert_null(ek_pool_take_or(pool, 0));
	assert_null(ek_pool_take_or(pool, 5));
	memset(jobs, 0, sizeof(jobs));
	for (int i = 0; i < 10; i++) {
		jobs[i].base.run = pass_gate;
		jobs[i].gate = &gate;
	}
	pthread_mutex_lock(&gate);
	/* Two come to be at work, and three wait: no more is needed. */
	for (int i = 0; i < 5; i++) {
		assert_null(ek_pool_take_or(pool, 3));
		ek_pool_submit(pool, &jobs[i].base);
	}
	assert_null(ek_pool_take_or(pool, 4));
	pthread_mutex_unlock(&gate);
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(ek_pool_take_or(pool, 0), &jobs[i].base);
	assert_null(ek_pool_take_or(pool, 0));
	ek_pool_free(pool);

	/* On the thread itself jobs are done when they are submitted. */
	assert_int_equal(ek_pool_new(1, 10, &pool, NULL), EK_OK);
	assert_null(ek_pool_take_or(pool, 1));
	ek_pool_submit(pool, &jobs[0].base);
	assert_ptr_equal(ek_pool_take_or(pool, 1), &jobs[0].base);
	ek_pool_free(pool);
}

static void workers_block_signals(void **state)
{
	struct job job = {.base.run = square};
	struct ek_pool *pool;
	sigset_t mask;

	(void)state;
	assert_int_equal(ek_pool_new(2, 1, &pool, NULL), EK_OK);
	ek_pool_submit(pool, &job.base);
	assert_ptr_equal(ek_pool_take(pool), &job.base);
	assert_int_equal(job.signals_blocked, 1);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGTERM), 0);
	ek_pool_free(pool);
}

static void free_drops_what_did_not_start(void **state)
{
	struct job jobs[40] = {{{0}, 0, 0, 0, 0, 0, 0, 0}};
	struct ek_pool *pool;
	int ran = 0;

	(void)state;
	assert_int_equal(ek_pool_new(2, 40, &pool, NULL), EK_OK);
	for (int i = 0; i < 40; i++) {
		jobs[i].base.run = square;
		jobs[i].delay_us = 5000;
		ek_pool_submit(pool, &jobs[i].base);
	}
	ek_pool_free(pool);
	for (int i = 0; i < 40; i++)
		ran += jobs[i].ran;
	assert_true(ran < 40);
	ek_pool_free(NULL);
}

static void numbers_have_ranges(void **state)
{
	struct ek_pool *pool;
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_pool_new(0, 1, &pool, &err), EK_INVALID);
	assert_int_equal(ek_pool_new(1, 0, &pool, &err), EK_INVALID);
	assert_int_equal(ek_pool_new(5000, 1, &pool, &err), EK_INVALID);
	assert_null(pool);
}

extern const struct CMUnitTest pool_tests[];
const struct CMUnitTest pool_tests[] = {
	cmocka_unit_test(results_come_in_order),
	cmocka_unit_test(second_parts_come_in_order),
	cmocka_unit_test(no_second_part_after_a_failure),
	cmocka_unit_test(taking_does_not_starve_workers),
	cmocka_unit_test(workers_block_signals),
	cmocka_unit_test(free_drops_what_did_not_start),
	cmocka_unit_test(numbers_have_ranges),
	UNIT_END,
};
