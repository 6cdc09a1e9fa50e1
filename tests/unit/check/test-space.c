/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

#include "check/check.h"

struct space {
	struct ck ck;
	struct ek_check_options options;
	struct ek_check_result result;
};

static struct space *space_new(void)
{
	struct space *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->options.size = sizeof(s->options);
	s->ck.options = &s->options;
	s->ck.result = &s->result;
	s->ck.meta_limit = UINT64_MAX;
	s->ck.claims_compact_at = s->ck.streams_compact_at = 1024;
	return s;
}

static void space_free(struct space *s)
{
	ek_vec_free(&s->ck.claims);
	ek_vec_free(&s->ck.streams);
	free(s);
}

static void claim(struct space *s, enum ck_kind kind, uint64_t start,
		  uint64_t len)
{
	assert_int_equal(ck_claim(&s->ck, kind, CK_NOBODY, 0, start, len, NULL),
			 EK_OK);
}

static uint64_t errors(struct space *s)
{
	assert_int_equal(ck_claims_check(&s->ck, NULL), EK_OK);
	return s->result.errors;
}

static void test_neighbours(void **state)
{
	struct space *s = space_new();

	(void)state;
	claim(s, CK_META, 100, 50);
	claim(s, CK_META, 150, 50);
	claim(s, CK_DATA, 200, 50);
	claim(s, CK_META, 250, 0);
	assert_int_equal(errors(s), 0);
	space_free(s);
}

static void test_overlaps(void **state)
{
	static const struct {
		enum ck_kind a, b;
		uint64_t start, len; /* of b; a has [100, 200) */
		unsigned wanted;
	} cases[] = {
		{CK_META, CK_META, 199, 1, 1},
		{CK_META, CK_META, 50, 51, 1},
		{CK_META, CK_META, 100, 100, 1},
		{CK_META, CK_DATA, 120, 5, 1},
		{CK_DATA, CK_META, 120, 5, 1},
		{CK_DATA, CK_DATA, 120, 500, 0},
		{CK_SHARED_ATTR, CK_SHARED_ATTR, 100, 100, 0},
		{CK_SHARED_ATTR, CK_SHARED_ATTR, 104, 8, 1},
		{CK_SHARED_ATTR, CK_META, 104, 8, 1},
		{CK_SHARED_ATTR, CK_DATA, 104, 8, 1},
		{CK_META, CK_DATA, 200, 8, 0},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct space *s = space_new();

		claim(s, cases[i].a, 100, 100);
		claim(s, cases[i].b, cases[i].start, cases[i].len);
		assert_int_equal(errors(s), cases[i].wanted);
		space_free(s);
	}
}

/* A claim that ends before others begin reaches no further than its end. */
static void test_long_claims_are_remembered(void **state)
{
	struct space *s = space_new();

	(void)state;
	claim(s, CK_META, 0, 1000);
	claim(s, CK_META, 2000, 10);
	claim(s, CK_DATA, 10, 10);
	claim(s, CK_DATA, 990, 20);
	claim(s, CK_DATA, 1500, 100);
	assert_int_equal(errors(s), 2);
	space_free(s);
}

/* Files that share data again and again take no memory for it. */
static void test_shared_data_is_merged(void **state)
{
	struct space *s = space_new();
	uint64_t i;

	(void)state;
	for (i = 0; i < 1000000; i++)
		claim(s, CK_DATA, i * 7919 % 5000 * 512, 512);
	assert_true(s->ck.claims.n < 200000);
	assert_int_equal(errors(s), 0);
	assert_int_equal(s->ck.claims.n, 1);
	assert_int_equal(s->ck.claims.at[0].end, 5000 * 512);
	space_free(s);
}

static void test_metadata_has_a_budget(void **state)
{
	struct space *s = space_new();
	unsigned i;

	(void)state;
	s->ck.meta_limit = 10000;
	for (i = 0; i < 10; i++)
		claim(s, CK_META, i * 1000, 1000);
	assert_false(s->ck.meta_over);
	claim(s, CK_META, 0, 1);
	assert_true(s->ck.meta_over);
	assert_int_equal(s->result.unchecked, 1);
	claim(s, CK_META, 0, UINT64_MAX);
	assert_int_equal(s->result.unchecked, 1);
	space_free(s);
}

static void test_places_beyond_64_bits(void **state)
{
	struct space *s = space_new();

	(void)state;
	claim(s, CK_DATA, UINT64_MAX - 5, 6);
	assert_int_equal(s->ck.claims.n, 0);
	space_free(s);
}

static void stream(struct space *s, uint64_t pa, uint32_t plen, uint32_t llen,
		   bool partial)
{
	struct ck_stream st = {.pa = pa,
			       .plen = plen,
			       .llen = llen,
			       .owner = CK_NOBODY,
			       .partial = partial};

	assert_int_equal(ck_stream(&s->ck, &st, NULL), EK_OK);
}

/* Each cluster once, with the longest length; exact beats partial. */
static void test_streams_are_united(void **state)
{
	struct space *s = space_new();
	unsigned i;

	(void)state;
	s->options.metadata_only = true;
	for (i = 0; i < 5000; i++) {
		stream(s, 4096, 4096, 1000 + i, true);
		stream(s, 4096, 4096, 9000, false);
		stream(s, 8192, 4096, 100 + i, true);
	}
	assert_int_equal(ck_streams_start(&s->ck, NULL), EK_OK);
	assert_int_equal(ck_streams_check(&s->ck, NULL), EK_OK);
	assert_int_equal(s->ck.streams.n, 2);
	assert_int_equal(s->ck.streams.at[0].llen, 9000);
	assert_false(s->ck.streams.at[0].partial);
	assert_int_equal(s->ck.streams.at[1].llen, 5099);
	assert_true(s->ck.streams.at[1].partial);
	assert_int_equal(s->result.errors + s->result.warnings, 0);
	space_free(s);
}

static void test_streams_that_disagree(void **state)
{
	struct space *s = space_new();

	(void)state;
	s->options.metadata_only = true;
	stream(s, 4096, 4096, 5000, false);
	stream(s, 4096, 4096, 6000, false);
	stream(s, 16384, 8192, 5000, false);
	stream(s, 20480, 4096, 5000, false);
	assert_int_equal(ck_streams_start(&s->ck, NULL), EK_OK);
	assert_int_equal(ck_streams_check(&s->ck, NULL), EK_OK);
	assert_int_equal(s->result.errors, 1);
	assert_int_equal(s->result.warnings, 1);
	space_free(s);
}

const struct CMUnitTest space_tests[] = {
	cmocka_unit_test(test_neighbours),
	cmocka_unit_test(test_overlaps),
	cmocka_unit_test(test_long_claims_are_remembered),
	cmocka_unit_test(test_shared_data_is_merged),
	cmocka_unit_test(test_metadata_has_a_budget),
	cmocka_unit_test(test_places_beyond_64_bits),
	cmocka_unit_test(test_streams_are_united),
	cmocka_unit_test(test_streams_that_disagree),
	UNIT_END,
};
