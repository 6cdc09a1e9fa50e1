/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many readers at once, everything that can go wrong going wrong now and then.
 * Made for ThreadSanitizer too.
 */

#include "fake.h"

#include "unit.h"

#include <stdatomic.h>
#include <stdio.h>

#define READERS 8

struct racer {
	struct rig *rig;
	pthread_t thread;
	unsigned seed, rounds;
	unsigned wrong, failed, ok;
	bool in_order;
	struct ek_err err; /* the last failure */
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct rig *rig = r->rig;
	uint8_t *to = malloc(64 << 10);
	uint64_t at = 0;

	for (unsigned i = 0; to && i < r->rounds; i++) {
		size_t n = 1 + (size_t)rand_r(&r->seed) % (64 << 10);

		if (!r->in_order)
			at = (uint64_t)rand_r(&r->seed) % rig->size;
		if (at >= rig->size)
			at = 0;
		if (n > rig->size - at)
			n = rig->size - at;
		if (ekd_served_pread(rig->served, at, to, n, &r->err) != EK_OK)
			r->failed++;
		else if (memcmp(to, rig->bytes + at, n) != 0)
			r->wrong++;
		else
			r->ok++;
		at += n;
	}
	free(to);
	return NULL;
}

static void *trouble(void *arg)
{
	struct rig *rig = arg;
	static const enum how hows[] = {WRONG, FAIL,  RIGHT,
					SHORT, RIGHT, RIGHT};
	unsigned seed = 3;

	while (__atomic_load_n(&rig->completed, __ATOMIC_SEQ_CST) >= 0) {
		struct ekd_served_stats stats;

		pthread_mutex_lock(&rig->fake->lock);
		rig->fake->how = hows[rand_r(&seed) % 6];
		rig->fake->how_times = 1;
		pthread_mutex_unlock(&rig->fake->lock);
		ekd_served_prefetch(
			rig->served, (uint64_t)rand_r(&seed) % rig->size,
			(uint64_t)rand_r(&seed) % (256 << 10), NULL);
		ekd_served_complete(rig->served, rand_r(&seed) % 2);
		ekd_served_stats(rig->served, &stats);
		sleep_ms(1);
	}
	return NULL;
}

static void run(uint64_t quota, bool troubled, unsigned rounds)
{
	struct racer racers[READERS];
	struct rig rig;
	struct rig_options o = {
		.size = 2u << 20, .quota = quota, .ahead = true};
	pthread_t troubler;
	unsigned ok = 0;

	o.serve.memory_max = 1u << 20;
	o.serve.blob_max = 768u << 10;
	rig_new(&rig, &o);
	rig.fake->shuffle = true;
	rig.fake->delay_ms = 3;
	for (unsigned i = 0; i < READERS; i++) {
		racers[i] = (struct racer){.rig = &rig,
					   .seed = i,
					   .rounds = rounds,
					   .in_order = i % 2};
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race,
						&racers[i]),
				 0);
	}
	if (troubled)
		assert_int_equal(pthread_create(&troubler, NULL, trouble, &rig),
				 0);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(racers[i].thread, NULL);
		assert_int_equal(racers[i].wrong, 0);
		if (!troubled && racers[i].failed)
			fail_msg("%s", racers[i].err.text);
		ok += racers[i].ok;
	}
	assert_true(ok > READERS * rounds / 2);
	if (troubled) {
		__atomic_store_n(&rig.completed, -1000000, __ATOMIC_SEQ_CST);
		pthread_join(troubler, NULL);
	}
	rig_free(&rig);
}

static void calm(void **state)
{
	(void)state;
	run(0, false, 200);
}

static void evictions(void **state)
{
	(void)state;
	run(512u << 10, false, 60);
}

static void troubled(void **state)
{
	(void)state;
	run(1u << 20, true, 60);
}

/* A read whose answer makes another thread close the blob. */
struct last {
	struct ekd_read read;
	struct ekd_served *served;
	pthread_t closer;
	_Atomic bool closed;
	bool early;
	uint8_t to[64 * LEAF];
};

static void *close_it(void *arg)
{
	struct last *last = arg;

	ekd_served_close(last->served);
	atomic_store(&last->closed, true);
	return NULL;
}

static void close_and_wait(struct ekd_read *r, ek_status status,
			   const struct ek_err *err)
{
	struct last *last = r->arg;

	(void)err;
	assert_int_equal(status, EK_OK);
	assert_int_equal(pthread_create(&last->closer, NULL, close_it, last),
			 0);
	sleep_ms(30);
	last->early = atomic_load(&last->closed);
}

/* What was answered reads ahead still: the blob stays as long. */
static void closed_when_answered(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 256 * LEAF, .ahead = true};
	struct last *last = calloc(1, sizeof(*last));

	(void)state;
	assert_non_null(last);
	rig_new(&rig, &o);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(ekd_blob_fill(rig.blob, i,
					       rig.bytes + i * LEAF, LEAF,
					       NULL),
				 EK_OK);
	last->served = rig.served;
	last->read = (struct ekd_read){.n = sizeof(last->to),
				       .to = last->to,
				       .done = close_and_wait,
				       .arg = last};
	ekd_served_read(rig.served, &last->read);
	pthread_join(last->closer, NULL);
	assert_false(last->early);
	rig.served = NULL;
	rig_free(&rig);
	free(last);
}

static void answered(struct ekd_read *r, ek_status status,
		     const struct ek_err *err)
{
	(void)err;
	assert_int_equal(status, EK_OK);
	atomic_store((_Atomic bool *)r->arg, true);
}

static void *read_it(void *arg)
{
	struct last *last = arg;

	ekd_served_read(last->served, &last->read);
	return NULL;
}

/* The same at any moment, for those that wait: for the sanitizers. */
static void closed_at_once(void **state)
{
	struct rig rig;
	struct rig_options o = {
		.size = 256 * LEAF, .local = true, .ahead = true};
	struct last *last = calloc(1, sizeof(*last));

	(void)state;
	assert_non_null(last);
	rig_new(&rig, &o);
	for (uint64_t i = 0; i < 4; i++) {
		_Atomic bool over = false;
		pthread_t reader;

		last->served = rig.served;
		last->read = (struct ekd_read){.offset = i * sizeof(last->to),
					       .n = sizeof(last->to),
					       .to = last->to,
					       .done = answered,
					       .arg = (void *)&over};
		assert_int_equal(pthread_create(&reader, NULL, read_it, last),
				 0);
		while (!atomic_load(&over))
			continue;
		rig_reopen(&rig);
		pthread_join(reader, NULL);
		assert_memory_equal(last->to, rig.bytes + i * sizeof(last->to),
				    sizeof(last->to));
	}
	rig_free(&rig);
	free(last);
}

const struct CMUnitTest race_tests[] = {
	cmocka_unit_test(calm),
	cmocka_unit_test(evictions),
	cmocka_unit_test(troubled),
	cmocka_unit_test(closed_when_answered),
	cmocka_unit_test(closed_at_once),
	UNIT_END,
};
