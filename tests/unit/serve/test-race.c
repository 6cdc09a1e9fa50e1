/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many readers at once, everything that can go wrong going wrong now and then.
 * Made for ThreadSanitizer too.
 */

#include "fake.h"

#include "unit.h"

#include <stdio.h>

#define READERS 8

struct racer {
	struct rig *rig;
	pthread_t thread;
	unsigned seed, rounds;
	unsigned wrong, failed, ok;
	bool in_order;
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
		if (ekd_served_pread(rig->served, at, to, n, NULL) != EK_OK)
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
		if (!troubled)
			assert_int_equal(racers[i].failed, 0);
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

const struct CMUnitTest race_tests[] = {
	cmocka_unit_test(calm),
	cmocka_unit_test(evictions),
	cmocka_unit_test(troubled),
	UNIT_END,
};
