/* SPDX-License-Identifier: Apache-2.0 */

/* What goes wrong: nothing comes, too little, wrong bytes, no room. */

#include "fake.h"

#include "unit.h"

#include <errno.h>

static void broken_then_well(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 4 * LEAF};
	struct ek_err err;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, false, FAIL, 1);
	assert_int_equal(rig_read(&rig, 0, 10, &err), EK_IO);
	assert_int_equal(err.sys, EIO);
	assert_non_null(strstr(err.text, "broken"));
	fake_set(rig.fake, false, REFUSE, 1);
	assert_int_equal(rig_read(&rig, 0, 10, &err), EK_IO);
	assert_non_null(strstr(err.text, "refused"));
	fake_set(rig.fake, false, SHORT, 1);
	assert_int_equal(rig_read(&rig, 0, 10, &err), EK_CORRUPT);
	assert_int_equal(rig_stats(&rig).failed, 3);
	assert_int_equal(rig_stats(&rig).present, 0);
	assert_int_equal(rig_read(&rig, 0, 4 * LEAF, &err), EK_OK);
	rig_free(&rig);
}

static void deadline(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 4 * LEAF, .serve.deadline_ms = 60};
	struct pending *p, *q;
	int64_t begin = now_ms();
	int sys;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	p = read_start(&rig, 0, LEAF);
	q = read_start(&rig, 10, 3 * LEAF);
	assert_int_equal(read_end(&rig, p, &sys), EK_IO);
	assert_int_equal(sys, ETIMEDOUT);
	assert_int_equal(read_end(&rig, q, &sys), EK_IO);
	assert_true(now_ms() - begin >= 60);
	assert_non_null(strstr(rig_stats(&rig).last_error, "no answer"));
	/* It comes after all, and is kept. */
	fake_release(rig.fake);
	wait_until(rig_stats(&rig).present > 0);
	assert_int_equal(rig_read(&rig, 0, LEAF, NULL), EK_OK);
	rig_free(&rig);
}

static void wrong_once(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF};
	struct ekd_served_stats stats;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, false, WRONG, 1);
	assert_int_equal(rig_read(&rig, 0, 8 * LEAF, NULL), EK_OK);
	stats = rig_stats(&rig);
	assert_int_equal(stats.wrong, 1);
	/* Only the wrong one is asked for again. */
	assert_int_equal(rig.fake->asked_leaf[0], 2);
	assert_int_equal(rig.fake->asked_leaf[1], 1);
	assert_int_equal(stats.requests, 2);
	rig_free(&rig);
}

static void always_wrong(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF, .serve.wrong_tries = 3};
	struct pending *all, *other;
	struct ek_err err;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, WRONG, 0);
	all = read_start(&rig, 0, 4 * LEAF);
	/* It needs none of the wrong leaves. */
	other = read_start(&rig, 2 * LEAF, LEAF);
	fake_set(rig.fake, false, WRONG, 0);
	fake_release(rig.fake);
	assert_int_equal(read_end(&rig, other, NULL), EK_OK);
	assert_int_equal(read_end(&rig, all, NULL), EK_CORRUPT);
	assert_int_equal(rig.fake->asked_leaf[0], 3);
	assert_int_equal(rig.fake->asked_leaf[1], 1);
	assert_int_equal(rig_stats(&rig).wrong, 3);
	assert_int_equal(rig_read(&rig, 0, 1, &err), EK_CORRUPT);
	assert_non_null(strstr(err.text, "leaf 0 is wrong, 3 times"));
	/* The registry is well again. */
	fake_set(rig.fake, false, RIGHT, 0);
	assert_int_equal(rig_read(&rig, 0, 8 * LEAF, NULL), EK_OK);
	rig_free(&rig);
}

/* A pinned blob cannot lose leaves: there is room for a few only. */
static void no_room(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 32 * LEAF, .quota = 4 * LEAF};
	struct ek_err err;

	(void)state;
	rig_new(&rig, &o);
	ekd_blob_pin(rig.blob);
	assert_int_equal(rig_read(&rig, 0, 4 * LEAF, NULL), EK_OK);
	assert_int_equal(rig_read(&rig, 4 * LEAF, 1, &err), EK_IO);
	assert_int_equal(err.sys, ENOSPC);
	/* What is here goes on being read. */
	assert_int_equal(rig_read(&rig, 0, 4 * LEAF, NULL), EK_OK);
	/* Prefetch and completion stop of themselves. */
	assert_int_equal(ekd_served_prefetch(rig.served, 0, o.size, NULL),
			 EK_OK);
	wait_until(rig_stats(&rig).prefetch_listed == 0 &&
		   rig_stats(&rig).under_way == 0);
	ekd_served_complete(rig.served, true);
	wait_until(!rig_stats(&rig).completing &&
		   rig_stats(&rig).under_way == 0);
	assert_true(rig_stats(&rig).no_room > 1);
	ekd_blob_unpin(rig.blob);
	assert_int_equal(rig_read(&rig, 4 * LEAF, 1, NULL), EK_OK);
	rig_free(&rig);
}

static void closed_meanwhile(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 32 * LEAF};
	struct pending *p[6];

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	for (uint64_t i = 0; i < 6; i++)
		p[i] = read_start(&rig, i * LEAF, 2 * LEAF);
	assert_int_equal(ekd_served_prefetch(rig.served, 0, o.size, NULL),
			 EK_OK);
	ekd_served_complete(rig.served, true);
	/* rig_free() closes; nobody may be forgotten. */
	rig_free(&rig);
	for (int i = 0; i < 6; i++)
		assert_int_equal(read_end(&rig, p[i], NULL), EK_CANCELLED);
}

/* One request stalls: after a while another is sent, and no third. */
static void stalled(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF, .serve.stalled_ms = 50};
	struct pending *p;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	p = read_start(&rig, 0, LEAF);
	fake_set(rig.fake, false, RIGHT, 0);
	assert_int_equal(read_end(&rig, p, NULL), EK_OK);
	assert_int_equal(fake_requests(rig.fake), 2);
	assert_int_equal(rig_stats(&rig).doubled, 1);
	rig_free(&rig);
}

/*
 * Two requests for one leaf: the second breaks, and the reader gets what the
 * first brings.
 */
static void hedge_breaks(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF, .serve.stalled_ms = 50};
	struct pending *p;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	p = read_start(&rig, 0, LEAF);
	fake_set(rig.fake, false, FAIL, 1);
	fake_wait(rig.fake, 2);
	wait_until(rig_stats(&rig).request_failures == 1);
	fake_release(rig.fake);
	assert_int_equal(read_end(&rig, p, NULL), EK_OK);
	assert_int_equal(rig_stats(&rig).failed, 0);
	rig_free(&rig);
}

/* The second cannot even be sent; it is tried again, but not at once. */
static void hedge_refused(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF, .serve.stalled_ms = 50};
	struct pending *p;
	unsigned n;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	p = read_start(&rig, 0, LEAF);
	fake_set(rig.fake, true, REFUSE, 0);
	fake_wait(rig.fake, 3);
	assert_false(read_over(p));
	fake_release(rig.fake);
	assert_int_equal(read_end(&rig, p, NULL), EK_OK);
	n = fake_requests(rig.fake);
	assert_in_range(n, 3, 100);
	rig_free(&rig);
}

/* It joined what another asked for: that breaks, and it asks for itself. */
static void late_joiner(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF};
	struct pending *first, *late;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, FAIL, 1);
	first = read_start(&rig, 0, 4 * LEAF);
	sleep_ms(2);
	late = read_start(&rig, LEAF, LEAF);
	assert_int_equal(fake_requests(rig.fake), 1);
	fake_release(rig.fake);
	assert_int_equal(read_end(&rig, first, NULL), EK_IO);
	assert_int_equal(read_end(&rig, late, NULL), EK_OK);
	assert_int_equal(rig_stats(&rig).failed, 1);
	/* Whoever asked for himself is told. */
	fake_set(rig.fake, true, FAIL, 2);
	first = read_start(&rig, 4 * LEAF, 4 * LEAF);
	sleep_ms(2);
	late = read_start(&rig, 5 * LEAF, LEAF);
	fake_release(rig.fake);
	assert_int_equal(read_end(&rig, first, NULL), EK_IO);
	assert_int_equal(read_end(&rig, late, NULL), EK_IO);
	rig_free(&rig);
}

struct told {
	int n;
	struct ekd_wait last;
	char blob[16], host[32], error[32];
};

static void tell(void *arg, const struct ekd_wait *wait)
{
	struct told *told = arg;

	told->n++;
	told->last = *wait;
	assert_true(strlen(wait->blob) < sizeof(told->blob));
	strcpy(told->blob, wait->blob);
	assert_true(strlen(wait->host) < sizeof(told->host));
	strcpy(told->host, wait->host);
	assert_true(strlen(wait->last_error) < sizeof(told->error));
	strcpy(told->error, wait->last_error);
}

static void who_waits(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF};
	struct told told = {.n = 0};
	struct pending *p;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	p = read_start(&rig, LEAF + 3, 2 * LEAF);
	sleep_ms(5);
	ekd_serve_waits(rig.serve, 600000, tell, &told);
	assert_int_equal(told.n, 0);
	ekd_serve_waits(rig.serve, 1, tell, &told);
	assert_int_equal(told.n, 1);
	assert_string_equal(told.blob, "one");
	assert_int_equal(told.last.pid, 4711);
	assert_int_equal(told.last.offset, LEAF + 3);
	assert_int_equal(told.last.n, 2 * LEAF);
	assert_in_range(told.last.waits_ms, 5, 29000);
	assert_in_range(told.last.left_ms, 1000, 30000);
	assert_int_equal(told.last.attempts, 3);
	assert_string_equal(told.host, "fake.example:1");
	assert_string_equal(told.error, "no answer");
	fake_release(rig.fake);
	assert_int_equal(read_end(&rig, p, NULL), EK_OK);
	ekd_serve_waits(rig.serve, 0, tell, &told);
	assert_int_equal(told.n, 1);
	rig_free(&rig);
}

static void freed(struct ekd_backend *backend)
{
	backend->start = NULL;
}

/* A leaf must fit into a request. */
static void leaf_too_large(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF};
	struct ekd_serve_options small = {.memory_max = 2 * LEAF};
	struct ekd_backend none;
	struct ekd_served *served;
	struct ekd_serve *serve;

	(void)state;
	rig_new(&rig, &o);
	none = rig.fake->backend;
	none.free = freed;
	assert_int_equal(ekd_serve_new(&small, &serve, NULL), EK_OK);
	assert_int_equal(ekd_served_open(serve, rig.blob, &none, NULL, NULL,
					 &served, NULL),
			 EK_INVALID);
	assert_null(none.start);
	ekd_serve_free(serve);
	rig_free(&rig);
}

const struct CMUnitTest fail_tests[] = {
	cmocka_unit_test(broken_then_well),
	cmocka_unit_test(deadline),
	cmocka_unit_test(wrong_once),
	cmocka_unit_test(always_wrong),
	cmocka_unit_test(no_room),
	cmocka_unit_test(closed_meanwhile),
	cmocka_unit_test(stalled),
	cmocka_unit_test(who_waits),
	cmocka_unit_test(hedge_breaks),
	cmocka_unit_test(hedge_refused),
	cmocka_unit_test(late_joiner),
	cmocka_unit_test(leaf_too_large),
	UNIT_END,
};
