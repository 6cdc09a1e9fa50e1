/* SPDX-License-Identifier: Apache-2.0 */

/* A leaf that the store is busy with: who does not want it does not wait. */

#include "fake.h"

#include "unit.h"

#include <errno.h>
#include <stdatomic.h>

/* A thread that fills leaf @leaf and stays at it until it is told to go on. */
struct busy {
	struct rig rig;
	struct ekd_store_hooks hooks;
	pthread_t thread, busy; /* the same, as each knows it */
	uint32_t leaf;
	_Atomic bool anybody; /* who comes there stays, not that thread alone */
	_Atomic bool at_it, go_on, given_up;
};

static void at_step(void *arg, const char *name)
{
	struct busy *b = arg;
	int64_t end = now_ms() + 5000;

	if (strcmp(name, "store:reserved") != 0 ||
	    (!atomic_load(&b->anybody) &&
	     !pthread_equal(pthread_self(), b->busy)))
		return;
	atomic_store(&b->at_it, true);
	while (!atomic_load(&b->go_on) && now_ms() < end)
		sleep_ms(1);
	if (!atomic_load(&b->go_on))
		atomic_store(&b->given_up, true);
}

static void *fill(void *arg)
{
	struct busy *b = arg;

	b->busy = pthread_self();
	assert_int_equal(ekd_blob_fill(b->rig.blob, b->leaf,
				       b->rig.bytes + b->leaf * LEAF, LEAF,
				       NULL),
			 EK_OK);
	return NULL;
}

static struct busy *busy_new(struct rig_options *o, uint32_t leaf)
{
	struct busy *b = calloc(1, sizeof(*b));
	pthread_t thread;

	assert_non_null(b);
	b->hooks = (struct ekd_store_hooks){.arg = b, .step = at_step};
	b->leaf = leaf;
	o->hooks = &b->hooks;
	b->thread = b->busy = pthread_self();
	/* Not this thread's own fills. */
	atomic_store(&b->go_on, true);
	rig_new(&b->rig, o);
	for (uint32_t i = 0; o->ahead && i < leaf; i++)
		assert_int_equal(ekd_blob_fill(b->rig.blob, i,
					       b->rig.bytes + i * LEAF, LEAF,
					       NULL),
				 EK_OK);
	atomic_store(&b->at_it, false);
	atomic_store(&b->go_on, false);
	assert_int_equal(pthread_create(&thread, NULL, fill, b), 0);
	wait_until(atomic_load(&b->at_it));
	b->thread = thread;
	return b;
}

static void busy_end(struct busy *b)
{
	atomic_store(&b->go_on, true);
	pthread_join(b->thread, NULL);
	/* Nobody waited until it gave up. */
	assert_false(atomic_load(&b->given_up));
}

static void busy_free(struct busy *b)
{
	rig_free(&b->rig);
	free(b);
}

/* Prefetch comes by it; deadlines are kept all the same. */
static void deadlines_are_kept(void **state)
{
	struct rig_options o = {.size = 64 * LEAF, .serve.deadline_ms = 60};
	struct busy *b = busy_new(&o, 3);
	struct pending *p;
	int sys;

	(void)state;
	fake_set(b->rig.fake, true, RIGHT, 0);
	assert_int_equal(ekd_served_prefetch(b->rig.served, 0, 16 * LEAF, NULL),
			 EK_OK);
	p = read_start(&b->rig, 40 * LEAF, LEAF);
	assert_int_equal(read_end(&b->rig, p, &sys), EK_IO);
	assert_int_equal(sys, ETIMEDOUT);
	fake_release(b->rig.fake);
	busy_end(b);
	busy_free(b);
}

/* Completion passes it over, and comes back to it. */
static void completion_comes_back(void **state)
{
	struct rig_options o = {.size = 64 * LEAF, .serve.pause_ms = 10};
	struct busy *b = busy_new(&o, 5);

	(void)state;
	ekd_served_complete(b->rig.served, true);
	wait_until(rig_stats(&b->rig).present == 63 * LEAF);
	/* That is some passes. */
	sleep_ms(30);
	assert_true(rig_stats(&b->rig).completing);
	assert_int_equal(rig_stats(&b->rig).completed, 63 * LEAF);
	busy_end(b);
	wait_until(!rig_stats(&b->rig).completing);
	assert_true(rig_stats(&b->rig).complete);
	assert_string_equal(rig_stats(&b->rig).last_error, "");
	busy_free(b);
}

/* A reader in order, behind whose answer read-ahead meets it. */
static void ahead_goes_round(void **state)
{
	struct rig_options o = {.size = 256 * LEAF, .ahead = true};
	struct busy *b = busy_new(&o, 70);

	(void)state;
	assert_int_equal(rig_read(&b->rig, 0, 64 * LEAF, NULL), EK_OK);
	wait_until(rig_stats(&b->rig).ahead >= 20 * LEAF);
	assert_int_equal(b->rig.fake->asked_leaf[70], 0);
	assert_int_equal(b->rig.fake->asked_leaf[71], 1);
	busy_end(b);
	busy_free(b);
}

/*
 * Whoever asks for what is just being stored is not kept: his thread may be
 * the one that others' reads come by.
 */
static void readers_are_parked(void **state)
{
	struct rig_options o = {.size = 64 * LEAF};
	struct busy *b = busy_new(&o, 40);
	struct pending *first, *same, *more;

	(void)state;
	busy_end(b);
	atomic_store(&b->at_it, false);
	atomic_store(&b->go_on, false);
	atomic_store(&b->anybody, true);
	first = read_start(&b->rig, 3 * LEAF, LEAF);
	wait_until(atomic_load(&b->at_it));
	same = read_start(&b->rig, 3 * LEAF + 100, 50);
	more = read_start(&b->rig, 2 * LEAF, 4 * LEAF);
	assert_false(read_over(same) || read_over(more));
	/* What is here is read beside it. */
	assert_int_equal(rig_read(&b->rig, 40 * LEAF, LEAF, NULL), EK_OK);
	assert_false(atomic_load(&b->given_up));
	atomic_store(&b->go_on, true);
	assert_int_equal(read_end(&b->rig, first, NULL), EK_OK);
	assert_int_equal(read_end(&b->rig, same, NULL), EK_OK);
	assert_int_equal(read_end(&b->rig, more, NULL), EK_OK);
	assert_int_equal(b->rig.fake->asked_leaf[3], 1);
	busy_free(b);
}

const struct CMUnitTest busy_tests[] = {
	cmocka_unit_test(readers_are_parked),
	cmocka_unit_test(deadlines_are_kept),
	cmocka_unit_test(completion_comes_back),
	cmocka_unit_test(ahead_goes_round),
	UNIT_END,
};
