/* SPDX-License-Identifier: Apache-2.0 */

/* Prefetch and completion, and how readers come before them. */

#include "fake.h"

#include "unit.h"

static void list(struct rig *rig, uint64_t first, uint64_t end)
{
	assert_int_equal(ekd_served_prefetch(rig->served, first * LEAF,
					     (end - first) * LEAF, NULL),
			 EK_OK);
}

static void listed_order(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 64 * LEAF};

	(void)state;
	rig_new(&rig, &o);
	list(&rig, 40, 44);
	list(&rig, 8, 10);
	list(&rig, 20, 21);
	/* It follows the second: one request. */
	list(&rig, 10, 12);
	/* Beyond the end, and nothing. */
	assert_int_equal(
		ekd_served_prefetch(rig.served, 60 * LEAF, UINT64_MAX, NULL),
		EK_OK);
	assert_int_equal(ekd_served_prefetch(rig.served, 64 * LEAF, 1, NULL),
			 EK_OK);
	assert_int_equal(ekd_served_prefetch(rig.served, 0, 0, NULL), EK_OK);
	wait_until(rig_stats(&rig).present == 13 * LEAF);
	wait_until(rig_stats(&rig).under_way == 0);
	assert_int_equal(rig_stats(&rig).prefetched, 13 * LEAF);
	assert_int_equal(rig.fake->demand, 0);
	assert_int_equal(rig.fake->order[0], 40 * LEAF);
	assert_int_equal(rig.fake->order[1], 8 * LEAF);
	/* What is here is not asked for again. */
	list(&rig, 0, 64);
	wait_until(rig_stats(&rig).complete);
	wait_until(rig_stats(&rig).under_way == 0);
	assert_int_equal(rig_stats(&rig).prefetched, 64 * LEAF);
	rig_free(&rig);
}

/* The prefetch hangs; a reader of the same leaves does not. */
static void demand_first(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 64 * LEAF};

	(void)state;
	rig_new(&rig, &o);
	rig.fake->hold_later = true;
	list(&rig, 0, 64);
	fake_wait(rig.fake, 1);
	assert_int_equal(rig_read(&rig, 5 * LEAF, LEAF, NULL), EK_OK);
	assert_int_equal(rig_stats(&rig).doubled, 1);
	assert_int_equal(rig_stats(&rig).demand, LEAF);
	fake_release(rig.fake);
	wait_until(rig_stats(&rig).complete);
	rig_free(&rig);
}

/* It fails: the reader who waited for it asks for himself. */
static void failed_prefetch(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 64 * LEAF, .serve.pause_ms = 20};
	struct pending *p;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, FAIL, 1);
	list(&rig, 0, 16);
	fake_wait(rig.fake, 1);
	p = read_start(&rig, 3 * LEAF, LEAF);
	fake_release(rig.fake);
	assert_int_equal(read_end(&rig, p, NULL), EK_OK);
	assert_int_equal(rig_stats(&rig).request_failures, 1);
	/* After a pause it is tried again. */
	wait_until(rig_stats(&rig).present == 16 * LEAF);
	assert_int_equal(rig_stats(&rig).prefetch_failed, 0);
	rig_free(&rig);
}

static void completes(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 300 * LEAF + 1};

	(void)state;
	o.serve.fetch_max = 64 * LEAF;
	rig_new(&rig, &o);
	assert_int_equal(rig_read(&rig, 100 * LEAF, LEAF, NULL), EK_OK);
	ekd_served_complete(rig.served, true);
	wait_until(rig_stats(&rig).complete);
	wait_until(__atomic_load_n(&rig.completed, __ATOMIC_SEQ_CST) == 1);
	wait_until(rig_stats(&rig).under_way == 0);
	assert_int_equal(rig_stats(&rig).completed, 299 * LEAF + 1);
	assert_false(rig_stats(&rig).completing);
	/* Again: there is nothing to do. */
	ekd_served_complete(rig.served, true);
	assert_false(rig_stats(&rig).completing);
	rig_free(&rig);
	assert_int_equal(rig.completed, 1);
}

static void stops_when_told(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 256 * LEAF};
	unsigned n;

	(void)state;
	o.serve.fetch_max = 4 * LEAF;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	ekd_served_complete(rig.served, true);
	fake_wait(rig.fake, 2);
	ekd_served_complete(rig.served, false);
	n = fake_requests(rig.fake);
	fake_release(rig.fake);
	wait_until(rig_stats(&rig).under_way == 0);
	assert_int_equal(fake_requests(rig.fake), n);
	assert_false(rig_stats(&rig).complete);
	rig_free(&rig);
}

/* A MiB a second, a quarter of a MiB: not at once. */
static void at_its_rate(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 64 * LEAF};
	int64_t begin = now_ms();

	(void)state;
	o.serve.fetch_max = 8 * LEAF;
	o.serve.complete_rate = 1u << 20;
	rig_new(&rig, &o);
	ekd_served_complete(rig.served, true);
	wait_until(rig_stats(&rig).complete);
	/* The last request is free: seven eighths of 250 ms. */
	assert_true(now_ms() - begin >= 200);
	/* A reader does not wait for that. */
	rig_free(&rig);
}

/* A blob larger than the quota is not fetched round and round. */
static void too_large_to_keep(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 64 * LEAF, .quota = 16 * LEAF};
	struct ekd_served_stats stats;

	(void)state;
	o.serve.fetch_max = 4 * LEAF;
	rig_new(&rig, &o);
	ekd_served_complete(rig.served, true);
	wait_until(!rig_stats(&rig).completing);
	wait_until(rig_stats(&rig).under_way == 0);
	stats = rig_stats(&rig);
	assert_in_range(stats.completed, 16 * LEAF, 128 * LEAF);
	assert_non_null(strstr(stats.last_error, "no room to keep it whole"));
	rig_free(&rig);
}

/* Completion fails, pauses, and goes on when all is well again. */
static void completion_goes_on(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 16 * LEAF, .serve.pause_ms = 20};

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, false, FAIL, 1);
	ekd_served_complete(rig.served, true);
	wait_until(rig_stats(&rig).complete);
	assert_int_equal(rig_stats(&rig).request_failures, 1);
	rig_free(&rig);
}

static void list_is_bounded(void **state)
{
	struct rig rig;
	/* So few under way that the first of the list must wait. */
	struct rig_options o = {.size = 64 * LEAF, .serve.blob_max = 8 * LEAF};
	ek_status status = EK_OK;
	unsigned n = 0;

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	/* None follows another. */
	while (status == EK_OK && n < 1u << 20) {
		status = ekd_served_prefetch(
			rig.served, n % 32 * 2 * (uint64_t)LEAF, 1, NULL);
		n++;
	}
	assert_int_equal(status, EK_LIMIT);
	assert_in_range(n, 1u << 15, 1u << 19);
	rig_free(&rig);
}

const struct CMUnitTest background_tests[] = {
	cmocka_unit_test(listed_order),
	cmocka_unit_test(demand_first),
	cmocka_unit_test(failed_prefetch),
	cmocka_unit_test(completes),
	cmocka_unit_test(stops_when_told),
	cmocka_unit_test(at_its_rate),
	cmocka_unit_test(too_large_to_keep),
	cmocka_unit_test(completion_goes_on),
	cmocka_unit_test(list_is_bounded),
	UNIT_END,
};
