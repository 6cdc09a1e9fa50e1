/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fake.h"

#define MIB (1u << 20)

static struct fake *large_tree(void)
{
	struct fake *fake = fake_new();

	fake_file(fake, NULL, "text", 5 * MIB + 17, TEXT);
	fake_file(fake, NULL, "random", 5 * MIB + 4000, RANDOM);
	fake_file(fake, NULL, "mixed", 17 * MIB, MIXED);
	fake_file(fake, NULL, "zeros", 17 * MIB + 1, ZEROS);
	fake_file(fake, NULL, "sparse", 9 * MIB + 5000, SPARSE);
	fake_file(fake, NULL, "small", 70000, MIXED);
	fake_file(fake, NULL, "edge", 4 * MIB, TEXT);
	return fake;
}

/* The bytes do not depend on the number of workers. */
static void workers(void **state)
{
	static const struct {
		const char *codec;
		uint32_t bs, big;
	} sets[] = {{NULL, 4096, 0}, {"lz4", 4096, 0}, {"lz4", 512, 8192}};
	static const unsigned counts[] = {2, 3, 8};
	struct fake *large = large_tree(), *zoo = fake_zoo();

	(void)state;
	for (size_t s = 0; s < 3; s++)
		for (int t = 0; t < 2; t++) {
			struct fake *fake = t ? large : zoo;
			struct ek_build_options o = fake_options(
				sets[s].codec, sets[s].bs, sets[s].big);
			struct built one, more;

			fake_build(fake, &o, &one);
			fake_compare(fake, &o, &one);
			for (size_t i = 0; i < 3 && (t == 0 || s < 2); i++) {
				o.workers = counts[i];
				fake_build(fake, &o, &more);
				assert_true(one.n == more.n);
				assert_memory_equal(one.bytes, more.bytes,
						    one.n);
				built_free(&more);
			}
			built_free(&one);
		}
	fake_free(large);
	fake_free(zoo);
}

/* Zeros are left out by content, in files where that is worth it. */
static void holes(void **state)
{
	struct fake *fake = large_tree();
	struct ek_build_options o = fake_options(NULL, 4096, 0);
	struct built built;

	(void)state;
	fake_build(fake, &o, &built);
	assert_int_equal(built_node(&built, "zeros").layout,
			 EK_LAYOUT_CHUNK_BASED);
	assert_int_equal(built_node(&built, "sparse").layout,
			 EK_LAYOUT_CHUNK_BASED);
	assert_int_equal(built_node(&built, "random").layout,
			 EK_LAYOUT_FLAT_INLINE);
	assert_int_equal(built_node(&built, "text").layout,
			 EK_LAYOUT_FLAT_INLINE);
	assert_string_equal(built.stats.oldest_kernel, "5.15");
	/* 56 MiB of files, of which the zeros and much of sparse are gone. */
	assert_true(built.n < 41u * MIB);
	built_free(&built);
	fake_free(fake);
}

/* What does not shrink is flat, and costs no more than its size. */
static void incompressible(void **state)
{
	struct fake *fake = fake_new();
	struct ek_build_options o = fake_options("lz4hc", 4096, 65536);
	struct built built;

	(void)state;
	o.level = 3;
	fake_file(fake, NULL, "r", 17 * MIB + 100, RANDOM);
	fake_file(fake, NULL, "s", 3 * MIB, RANDOM);
	fake_build(fake, &o, &built);
	fake_compare(fake, &o, &built);
	assert_int_equal(built_node(&built, "r").layout, EK_LAYOUT_FLAT_INLINE);
	assert_int_equal(built_node(&built, "s").layout, EK_LAYOUT_FLAT_PLAIN);
	assert_true(built.n == 20u * MIB + 2 * 4096);
	/* The codec gives up soon. */
	assert_true(built.stats.codec_bytes_in < 10u * MIB);
	built_free(&built);
	fake_free(fake);
}

const struct CMUnitTest large_tests[] = {
	cmocka_unit_test(workers),
	cmocka_unit_test(holes),
	cmocka_unit_test(incompressible),
	UNIT_END,
};
