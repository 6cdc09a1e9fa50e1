/* SPDX-License-Identifier: Apache-2.0 */

/* Reads: hits, single flight, merging, reading ahead. */

#include "fake.h"

#include "unit.h"

#include <errno.h>

static void hit_and_miss(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 10 * LEAF + 100};
	struct ekd_served_stats stats;

	(void)state;
	rig_new(&rig, &o);
	assert_int_equal(rig_read(&rig, 5, 10, NULL), EK_OK);
	assert_int_equal(rig_read(&rig, 0, LEAF, NULL), EK_OK);
	/* The short leaf at the end. */
	assert_int_equal(rig_read(&rig, 10 * LEAF + 1, 99, NULL), EK_OK);
	/* Over a border: one of two is here. */
	assert_int_equal(rig_read(&rig, LEAF - 1, 2, NULL), EK_OK);
	stats = rig_stats(&rig);
	assert_int_equal(stats.reads, 4);
	assert_int_equal(stats.hits, 1);
	assert_int_equal(stats.waited, 3);
	assert_int_equal(stats.failed, 0);
	assert_int_equal(stats.requests, 3);
	assert_int_equal(stats.fetched, 2 * LEAF + 100);
	assert_int_equal(stats.demand, 2 * LEAF + 100);
	assert_int_equal(stats.asked, 10 + LEAF + 99 + 2);
	assert_int_equal(stats.waiting, 0);
	rig_free(&rig);
}

static void wrong_ranges(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 2 * LEAF};
	static const struct {
		uint64_t offset;
		size_t n;
	} cases[] = {
		{0, 0},		 {2 * LEAF, 1},		 {2 * LEAF - 1, 2},
		{UINT64_MAX, 1}, {UINT64_MAX - 1, LEAF}, {0, EKD_READ_MAX + 1}};

	(void)state;
	rig_new(&rig, &o);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		/* The buffer is not touched, so it need not be so large. */
		struct pending *p =
			read_start(&rig, cases[i].offset, cases[i].n);

		assert_int_equal(read_end(&rig, p, NULL), EK_INVALID);
	}
	assert_int_equal(fake_requests(rig.fake), 0);
	rig_free(&rig);
}

static void too_many_leaves(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = (EKD_READ_LEAVES + 2) * LEAF};
	struct pending *p;

	(void)state;
	o.serve.blob_max = o.serve.memory_max = 64u << 20;
	rig_new(&rig, &o);
	p = read_start(&rig, 1, EKD_READ_LEAVES * (size_t)LEAF);
	assert_int_equal(read_end(&rig, p, NULL), EK_INVALID);
	if (EKD_READ_LEAVES * (size_t)LEAF <= EKD_READ_MAX) {
		p = read_start(&rig, 0, EKD_READ_LEAVES * (size_t)LEAF);
		assert_int_equal(read_end(&rig, p, NULL), EK_OK);
	}
	p = read_start(&rig, 7, EKD_READ_MAX);
	assert_int_equal(read_end(&rig, p, NULL), EK_OK);
	rig_free(&rig);
}

static void single_flight(void **state)
{
	struct pending *p[20];
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF};

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	for (int i = 0; i < 20; i++)
		p[i] = read_start(&rig, LEAF + (uint64_t)i * 100, 50);
	/* One of these leaves is under way already. */
	assert_int_equal(rig_stats(&rig).waiting, 20);
	assert_int_equal(fake_requests(rig.fake), 1);
	fake_release(rig.fake);
	for (int i = 0; i < 20; i++)
		assert_int_equal(read_end(&rig, p[i], NULL), EK_OK);
	assert_int_equal(fake_requests(rig.fake), 1);
	assert_int_equal(rig_stats(&rig).joined, 19);
	rig_free(&rig);
}

static void partly_under_way(void **state)
{
	struct pending *a, *b;
	struct rig rig;
	struct rig_options o = {.size = 8 * LEAF};

	(void)state;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	a = read_start(&rig, 2 * LEAF, LEAF);
	/* Before and behind it: two requests more, for what nobody fetches. */
	b = read_start(&rig, 0, 5 * LEAF);
	assert_int_equal(fake_requests(rig.fake), 3);
	fake_release(rig.fake);
	assert_int_equal(read_end(&rig, a, NULL), EK_OK);
	assert_int_equal(read_end(&rig, b, NULL), EK_OK);
	assert_int_equal(rig_stats(&rig).fetched, 5 * LEAF);
	for (int i = 0; i < 5; i++)
		assert_int_equal(rig.fake->asked_leaf[i], 1);
	rig_free(&rig);
}

/* With no memory left, neighbours that wait become one request. */
static void merged_when_short(void **state)
{
	struct pending *p[12];
	struct rig rig;
	struct rig_options o = {.size = 64 * LEAF};
	struct ekd_serve_stats stats;

	(void)state;
	o.serve.memory_max = o.serve.blob_max = 16 * LEAF;
	rig_new(&rig, &o);
	fake_set(rig.fake, true, RIGHT, 0);
	for (unsigned i = 0; i < 4; i++)
		p[i] = read_start(&rig, i * 4 * LEAF, 4 * LEAF);
	for (unsigned i = 4; i < 12; i++)
		p[i] = read_start(&rig, (36 - i) * LEAF, LEAF);
	assert_int_equal(fake_requests(rig.fake), 4);
	fake_release(rig.fake);
	for (int i = 0; i < 12; i++)
		assert_int_equal(read_end(&rig, p[i], NULL), EK_OK);
	/* Eight reads, from the last to the first: fewer requests. */
	assert_in_range(fake_requests(rig.fake), 5, 10);
	assert_int_equal(rig_stats(&rig).fetched, 24 * LEAF);
	ekd_serve_stats(rig.serve, &stats);
	assert_in_range(stats.memory_peak, 1, 16 * LEAF);
	rig_free(&rig);
}

/* However little memory there is, who waits gets on. */
static void little_memory(void **state)
{
	struct pending *p[16];
	struct rig rig;
	struct rig_options o = {.size = 200 * LEAF};
	struct ekd_serve_stats stats;

	(void)state;
	o.serve.memory_max = o.serve.blob_max = 4 * LEAF;
	rig_new(&rig, &o);
	rig.fake->delay_ms = 1;
	for (unsigned i = 0; i < 16; i++)
		p[i] = read_start(&rig, i * 11 * LEAF + 17, 9 * LEAF);
	for (int i = 0; i < 16; i++)
		assert_int_equal(read_end(&rig, p[i], NULL), EK_OK);
	ekd_serve_stats(rig.serve, &stats);
	assert_in_range(stats.memory_peak, LEAF, 4 * LEAF);
	rig_free(&rig);
}

static void in_order(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 4u << 20, .ahead = true};
	struct ekd_served_stats stats;

	(void)state;
	rig_new(&rig, &o);
	rig.fake->delay_ms = 2;
	for (uint64_t at = 0; at < o.size; at += 32768)
		assert_int_equal(rig_read(&rig, at, 32768, NULL), EK_OK);
	stats = rig_stats(&rig);
	assert_true(stats.ahead > o.size / 4);
	/* Only what a reader asked for because it came late comes twice. */
	assert_in_range(stats.fetched, o.size, 2 * o.size);
	assert_true(stats.complete);
	wait_until(__atomic_load_n(&rig.completed, __ATOMIC_SEQ_CST) == 1);
	rig_free(&rig);
}

static void jumping(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 8u << 20, .ahead = true};
	struct ekd_served_stats stats;
	uint32_t x = 1;

	(void)state;
	rig_new(&rig, &o);
	for (int i = 0; i < 300; i++) {
		x = x * 1664525u + 1013904223u;
		assert_int_equal(
			rig_read(&rig, (x >> 8) % (o.size - LEAF), LEAF, NULL),
			EK_OK);
	}
	stats = rig_stats(&rig);
	/* Not even when two of them lie near each other by chance. */
	assert_true(stats.ahead <= stats.asked / 3 + 4 * LEAF);
	rig_free(&rig);
}

/* A short run is read ahead by no more than half of itself, and a third. */
static void not_too_far(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 16u << 20, .ahead = true};
	struct ekd_served_stats stats;

	(void)state;
	rig_new(&rig, &o);
	for (uint64_t at = 0; at < 448u << 10; at += 65536)
		assert_int_equal(rig_read(&rig, at, 65536, NULL), EK_OK);
	wait_until(rig_stats(&rig).under_way == 0);
	stats = rig_stats(&rig);
	assert_true(stats.ahead > 0);
	assert_in_range(stats.fetched, 448u << 10, 900u << 10);
	rig_free(&rig);
}

/*
 * From far away, two that wait near each other get some leaves more, but these
 * are a small part of what was asked for.
 */
static void beside(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 4u << 20, .ahead = true};
	struct ekd_served_stats stats;

	(void)state;
	rig_new(&rig, &o);
	rig.fake->delay_ms = 5;
	for (uint64_t at = 1u << 20; at > 0; at -= 8 * LEAF)
		assert_int_equal(rig_read(&rig, at, 4 * LEAF, NULL), EK_OK);
	wait_until(rig_stats(&rig).under_way == 0);
	stats = rig_stats(&rig);
	assert_true(stats.ahead > 0);
	assert_true(stats.ahead <= stats.asked / 3 + 4 * LEAF);
	rig_free(&rig);
}

static void local_file(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 3u << 20, .local = true};

	(void)state;
	rig_new(&rig, &o);
	assert_int_equal(rig_read(&rig, 1, o.size - 1, NULL), EK_OK);
	ekd_served_complete(rig.served, true);
	wait_until(rig_stats(&rig).complete);
	wait_until(__atomic_load_n(&rig.completed, __ATOMIC_SEQ_CST) == 1);
	rig_free(&rig);
}

/* Two MiB are asked for, half a MiB is kept: everybody gets his bytes. */
static void small_quota(void **state)
{
	struct rig rig;
	struct rig_options o = {.size = 2u << 20, .quota = 512u << 10};
	struct ekd_store_stats stats;

	(void)state;
	rig_new(&rig, &o);
	for (int round = 0; round < 3; round++)
		for (uint64_t at = 0; at < o.size; at += 128u << 10)
			assert_int_equal(rig_read(&rig, at, 128u << 10, NULL),
					 EK_OK);
	ekd_store_stats(rig.store, &stats);
	assert_true(stats.evicted_leaves > 0);
	assert_true(stats.bytes <= o.quota);
	assert_int_equal(rig.completed, 0);
	rig_free(&rig);
}

const struct CMUnitTest read_tests[] = {
	cmocka_unit_test(hit_and_miss),	    cmocka_unit_test(wrong_ranges),
	cmocka_unit_test(too_many_leaves),  cmocka_unit_test(single_flight),
	cmocka_unit_test(partly_under_way), cmocka_unit_test(merged_when_short),
	cmocka_unit_test(little_memory),    cmocka_unit_test(in_order),
	cmocka_unit_test(jumping),	    cmocka_unit_test(not_too_far),
	cmocka_unit_test(beside),	    cmocka_unit_test(local_file),
	cmocka_unit_test(small_quota),	    UNIT_END,
};
