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
	cmocka_unit_test(workers_block_signals),
	cmocka_unit_test(free_drops_what_did_not_start),
	cmocka_unit_test(numbers_have_ranges),
	UNIT_END,
};
