/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "zmem.h"

#include "base/bytes.h"

extern const struct CMUnitTest zrandom_tests[];

static struct ek_err err;

#define PIECES_MAX 400u

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Extents of a random file: what a writer could make. */
struct sample {
	uint64_t size;
	uint16_t advise;
	uint8_t layout;
	uint8_t blkszbits;
	size_t n;
	struct ek_zpiece p[PIECES_MAX];
};

static bool big_type(const struct sample *s, uint8_t type)
{
	return s->advise & (type == EK_ZT_HEAD1 ? EK_ZADV_BIG1 : EK_ZADV_BIG2);
}

/* Lengths up to @span lclusters, each head in an lcluster of its own. */
static void make_places(struct sample *s, uint32_t span, uint32_t *seed)
{
	uint32_t bs = 1u << s->blkszbits;
	uint64_t lcn = 0;

	s->n = 1 + next(seed) % PIECES_MAX;
	for (size_t i = 0; i < s->n; i++) {
		s->p[i].la = lcn * bs + (i ? next(seed) % bs : 0);
		lcn += 1 + next(seed) % span;
	}
	s->size = (lcn - 1) * bs + 1 + next(seed) % bs;
	if (next(seed) % 4 == 0)
		s->size = lcn * bs;
	if (s->size <= s->p[s->n - 1].la)
		s->size = s->p[s->n - 1].la + 1;
}

static void make_blocks(struct sample *s, uint32_t *seed)
{
	uint64_t blk = next(seed) % 1000, bs = 1u << s->blkszbits;

	for (size_t i = 0; i < s->n; i++) {
		struct ek_zpiece *p = &s->p[i];
		uint64_t end = i + 1 < s->n ? p[1].la : s->size;
		uint64_t after = i + 1 < s->n ? p[1].la / bs : (end - 1) / bs;
		static const uint8_t types[] = {0, 1, 1, 1, 3};

		p->type = types[next(seed) % 5];
		p->partial =
			s->layout == EK_LAYOUT_ZFULL && next(seed) % 4 == 0;
		p->nodata = false;
		/* A stored extent is no longer than its pcluster. */
		if (p->type == EK_ZT_PLAIN && end - p->la > bs)
			p->type = EK_ZT_HEAD1;
		p->blocks = 1;
		if (big_type(s, p->type) && after > p->la / bs + 1)
			p->blocks = 1 + next(seed) % 255;
		if (s->layout == EK_LAYOUT_ZFULL)
			blk = next(seed);
		p->blk = blk;
		blk += p->blocks;
	}
}

static void check_one(struct zmem *z, const struct sample *s, size_t i,
		      uint64_t at)
{
	uint64_t end = i + 1 < s->n ? s->p[i + 1].la : s->size;
	struct ek_zextent x;

	assert_int_equal(ek_zmap_lookup(&z->map, &z->cur, at, &x, &err), EK_OK);
	assert_true(x.la == s->p[i].la);
	assert_true(x.llen == end - x.la);
	assert_true(x.pa == s->p[i].blk << s->blkszbits);
	assert_int_equal(x.plen, s->p[i].blocks << s->blkszbits);
	assert_int_equal(x.kind == EK_Z_PLAIN, s->p[i].type == EK_ZT_PLAIN);
	assert_int_equal(x.partial, s->p[i].partial);
	if (x.kind == EK_Z_CODED)
		assert_int_equal(x.alg, s->p[i].type == EK_ZT_HEAD2);
}

static void check_all(struct zmem *z, const struct sample *s, uint32_t *seed)
{
	for (size_t i = 0; i < s->n; i++) {
		uint64_t la = s->p[i].la;
		uint64_t end = i + 1 < s->n ? s->p[i + 1].la : s->size;

		check_one(z, s, i, la);
		check_one(z, s, i, end - 1);
		for (int k = 0; k < 4; k++)
			check_one(z, s, i, la + next(seed) % (end - la));
	}
}

/*
 * Deltas tell true distances, but for the clamp: what fsck demands of a
 * writer. The last slot of a pack may be one more than the clamp.
 */
static void check_deltas(struct zmem *z, const struct sample *s)
{
	uint64_t total = (s->size + (1u << s->blkszbits) - 1) >> s->blkszbits;
	uint64_t head = 0;
	struct ek_zentry e;

	for (uint64_t lcn = 0; lcn < total; lcn++) {
		assert_int_equal(
			ek_zentry_load(&z->map, &z->cur, lcn, &e, &err), EK_OK);
		if (e.type != EK_ZT_NONHEAD) {
			head = lcn;
			continue;
		}
		assert_true(e.delta0 <= lcn - head);
		assert_true(e.delta0 >= ek_min(lcn - head, EK_Z_DELTA_MAX));
		assert_true(e.delta1 >= 1);
	}
}

static void run(uint8_t layout, uint16_t advise, uint8_t blkszbits,
		uint32_t span, uint32_t rounds, uint32_t seed)
{
	struct sample *s = malloc(sizeof(*s));
	struct zmem z;

	assert_non_null(s);
	for (uint32_t r = 0; r < rounds; r++) {
		struct ek_zhead h = {.advise = advise,
				     .lclusterbits = blkszbits,
				     .alg = {0, 1}};

		s->layout = layout;
		s->advise = advise;
		s->blkszbits = blkszbits;
		make_places(s, span, &seed);
		make_blocks(s, &seed);
		/* Every alignment of the packs. */
		zmem_init(&z, layout, blkszbits, 32 * (r % 5), s->size);
		z.in.xattr_icount = (uint16_t)(r % 9);
		z.pos = ek_zhead_pos(z.iloc + ek_inode_body(&z.in));
		assert_int_equal(zmem_pieces(&z, &h, s->p, s->n, &err), EK_OK);
		check_all(&z, s, &seed);
		check_deltas(&z, s);
		zmem_free(&z);
	}
	free(s);
}

static void test_full(void **state)
{
	(void)state;
	run(EK_LAYOUT_ZFULL, 0, 12, 6, 20, 1);
	run(EK_LAYOUT_ZFULL, EK_ZADV_BIG1, 12, 6, 20, 2);
	run(EK_LAYOUT_ZFULL, EK_ZADV_BIG2, 9, 40, 20, 3);
	run(EK_LAYOUT_ZFULL, EK_ZADV_BIG1 | EK_ZADV_BIG2, 12, 1, 20, 4);
}

static void test_compact4(void **state)
{
	(void)state;
	run(EK_LAYOUT_ZCOMPACT, 0, 12, 6, 20, 5);
	run(EK_LAYOUT_ZCOMPACT, EK_ZADV_BIG1 | EK_ZADV_BIG2, 12, 6, 20, 6);
	run(EK_LAYOUT_ZCOMPACT, EK_ZADV_BIG1 | EK_ZADV_BIG2, 9, 30, 20, 7);
	run(EK_LAYOUT_ZCOMPACT, 0, 14, 4, 10, 8);
}

static void test_compact2(void **state)
{
	(void)state;
	run(EK_LAYOUT_ZCOMPACT, 1, 12, 6, 40, 9);
	run(EK_LAYOUT_ZCOMPACT, 7, 12, 6, 40, 10);
	run(EK_LAYOUT_ZCOMPACT, 7, 12, 2, 40, 11);
	run(EK_LAYOUT_ZCOMPACT, 1, 9, 100, 10, 12);
	run(EK_LAYOUT_ZCOMPACT, 7, 11, 60, 10, 13);
	run(EK_LAYOUT_ZCOMPACT, 7, 12, 1, 20, 14);
}

/* Deltas beyond 0x7ff: extents near 12 MiB of 4 KiB and 512-byte blocks. */
static void test_clamped(void **state)
{
	(void)state;
	for (uint8_t layout = 1; layout <= 3; layout += 2) {
		uint16_t two = layout == EK_LAYOUT_ZCOMPACT;

		run(layout, two, 12, 3000, 1, 15);
		run(layout, two | EK_ZADV_BIG1 | EK_ZADV_BIG2, 12, 3000, 1, 16);
		run(layout, two | EK_ZADV_BIG1 | EK_ZADV_BIG2, 9, 6000, 1, 17);
	}
}

const struct CMUnitTest zrandom_tests[] = {
	cmocka_unit_test(test_full),
	cmocka_unit_test(test_compact4),
	cmocka_unit_test(test_compact2),
	cmocka_unit_test(test_clamped),
	UNIT_END,
};
