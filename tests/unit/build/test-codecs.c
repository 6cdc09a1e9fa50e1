/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "fake.h"
#include "unit.h"

#include <unistd.h>

#define MIB (1u << 20)

struct way {
	const char *codec;
	uint32_t bs, big;
	bool tail, full, wide, dots;
};

static struct ek_build_options options_of(const struct way *w)
{
	struct ek_build_options o = fake_options(w->codec, w->bs, w->big);

	o.tailpacking = w->tail;
	o.full_indexes = w->full;
	o.wide = w->wide;
	o.dot_omitted = w->dots;
	return o;
}

/* Each algorithm with each way to write maps, over a tree of edges. */
static void ways(void **state)
{
	static const struct way list[] = {
		{"lz4", 4096, 0, true, false, false, false},
		{"lz4hc", 512, 16384, true, true, false, false},
		{"lz4", 4096, 65536, true, false, true, true},
		{"zstd", 4096, 0, false, false, false, false},
		{"zstd", 512, 65536, true, false, false, true},
		{"zstd", 4096, 65536, true, true, true, false},
		{"deflate", 4096, 8192, true, true, false, false},
		{"deflate", 1024, 0, false, false, true, true},
		{"libdeflate", 4096, 16384, true, false, false, false},
		{"libdeflate", 512, 1536, false, false, true, false},
		{"lzma", 4096, 0, true, false, false, false},
		{"lzma", 2048, 32768, false, true, true, false},
		{NULL, 4096, 0, true, true, true, true},
	};
	struct fake *fake = fake_zoo();

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct ek_build_options o = options_of(&list[i]);
		struct built built;

		fake_build(fake, &o, &built);
		fake_compare(fake, &o, &built);
		built_free(&built);
	}
	fake_free(fake);
}

/* Files of several segments, in units: each segment begins a block. */
static void large_units(void **state)
{
	struct fake *fake = fake_new();
	struct ek_build_options o = fake_options("zstd", 4096, 65536);
	struct built built, more;

	(void)state;
	fake_file(fake, NULL, "small", 70000, TEXT);
	fake_file(fake, NULL, "text", 5 * MIB + 17, TEXT);
	fake_file(fake, NULL, "mixed", 17 * MIB, MIXED);
	fake_file(fake, NULL, "noise", 6 * MIB, RANDOM);
	fake_file(fake, NULL, "zeros", 33 * MIB + 1, ZEROS);
	o.wide = true;
	o.level = 1;
	fake_build(fake, &o, &built);
	fake_compare(fake, &o, &built);
	/* One pass, and not more. */
	assert_true(built.stats.codec_bytes_in <= built.stats.bytes_in);
	o.workers = 3;
	fake_build(fake, &o, &more);
	assert_true(built.n == more.n);
	assert_memory_equal(built.bytes, more.bytes, built.n);
	built_free(&more);
	built_free(&built);
	fake_free(fake);
}

/* A hint gives each file its way, and only what is used is announced. */
static void hints(void **state)
{
	static const struct ek_build_codec codecs[] = {
		{"lz4", EK_LEVEL_DEFAULT, EK_LEVEL_DEFAULT, EK_LEVEL_DEFAULT,
		 EK_LEVEL_DEFAULT, 0},
		{"zstd", 1, EK_LEVEL_DEFAULT, EK_LEVEL_DEFAULT,
		 EK_LEVEL_DEFAULT, 0},
		{"lzma", 1, EK_LEVEL_DEFAULT, EK_LEVEL_DEFAULT,
		 EK_LEVEL_DEFAULT, 8192},
	};
	static const struct ek_build_hint list[] = {
		{"^plain$", 0, 0},
		{"big", 65536, 1},
		{"none of them", 4096, 2},
	};
	struct fake *fake = fake_new();
	struct ek_build_options o = fake_options(NULL, 4096, 0);
	struct built built;

	(void)state;
	fake_file(fake, NULL, "plain", 300000, TEXT);
	fake_file(fake, NULL, "big", 300000, TEXT);
	fake_file(fake, NULL, "other", 300000, TEXT);
	fake_file(fake, NULL, "huge plain", 5 * MIB, TEXT);
	o.codecs = codecs;
	o.n_codecs = 3;
	o.hints = list;
	o.n_hints = 3;
	fake_build(fake, &o, &built);
	fake_compare(fake, &o, &built);
	assert_int_equal(built_node(&built, "plain").layout,
			 EK_LAYOUT_FLAT_INLINE);
	assert_int_equal(built_node(&built, "other").layout,
			 EK_LAYOUT_COMPRESSED_COMPACT);
	/* LZ4 and zstd. */
	assert_int_equal(built.bytes[1024 + 0x54], 9);
	assert_string_equal(built.stats.oldest_kernel, "6.10");
	built_free(&built);
	fake_free(fake);
}

static void refused(const struct ek_build_options *o, ek_status status,
		    const char *word)
{
	struct ek_err err;

	assert_int_equal(ek_build_check_options(o, &err), status);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not name %s", err.text, word);
}

static void kernels(void **state)
{
	static const char *const prefixes[] = {"user.a.", "system.b"};
	struct ek_build_options o = fake_options("zstd", 4096, 0);
	uint8_t major, minor;
	struct ek_err err;

	(void)state;
	assert_int_equal(ek_kernel_version("debian-12", &major, &minor, &err),
			 EK_OK);
	o.kernel_major = major;
	o.kernel_minor = minor;
	refused(&o, EK_UNSUPPORTED, "zstd compression: needs Linux 6.10");
	assert_int_equal(ek_kernel_version("6.10", &o.kernel_major,
					   &o.kernel_minor, &err),
			 EK_OK);
	assert_int_equal(ek_build_check_options(&o, &err), EK_OK);
	o.wide = true;
	refused(&o, EK_UNSUPPORTED, "6.15");
	o = fake_options("lz4", 4096, 0);
	o.kernel_major = 5;
	o.kernel_minor = 4;
	assert_int_equal(ek_build_check_options(&o, &err), EK_OK);
	o.tailpacking = true;
	refused(&o, EK_UNSUPPORTED, "tail");
	o.tailpacking = false;
	o.xattr_prefixes = prefixes;
	o.n_xattr_prefixes = 1;
	refused(&o, EK_UNSUPPORTED, "prefixes");
	o.n_xattr_prefixes = 2;
	refused(&o, EK_INVALID, "system.b");
	assert_int_equal(ek_kernel_version("5.3", &major, &minor, &err),
			 EK_INVALID);
	assert_int_equal(ek_kernel_version("", &major, &minor, &err),
			 EK_INVALID);
	assert_int_equal(ek_kernel_version("6.1.", &major, &minor, &err),
			 EK_INVALID);
	assert_int_equal(ek_kernel_version("300.1", &major, &minor, &err),
			 EK_INVALID);
}

static void wrong_codecs(void **state)
{
	struct ek_build_codec codecs[9] = {{.name = "lz4"}};
	struct ek_build_hint hint = {"x", 4096, 1};
	struct ek_build_options o = fake_options(NULL, 4096, 0);

	(void)state;
	o.codecs = codecs;
	o.n_codecs = 1;
	/* lz4 takes no level, not even 0. */
	refused(&o, EK_INVALID, "level");
	codecs[0].level = EK_LEVEL_DEFAULT;
	codecs[0].lc = codecs[0].lp = codecs[0].pb = EK_LEVEL_DEFAULT;
	codecs[0].dict_size = 4096;
	refused(&o, EK_INVALID, "dictionary");
	codecs[0].dict_size = 0;
	o.hints = &hint;
	o.n_hints = 1;
	refused(&o, EK_INVALID, "no algorithm 1");
	hint.codec = 0;
	hint.max_pcluster = 5000;
	refused(&o, EK_INVALID, "5000");
	hint.max_pcluster = 4096;
	o.max_extent = 5000;
	refused(&o, EK_INVALID, "longest extent");
	o.max_extent = 8192;
	o.n_codecs = 9;
	refused(&o, EK_INVALID, "9 algorithms");
}

/* How many of 1000 workers there are with LZMA of that dictionary. */
static unsigned workers_for(uint32_t dict, uint64_t *each)
{
	const struct ek_build_codec codec = {.name = "lzma",
					     .level = 6,
					     .dict_size = dict,
					     .lc = EK_LEVEL_DEFAULT,
					     .lp = EK_LEVEL_DEFAULT,
					     .pb = EK_LEVEL_DEFAULT};
	struct ek_build *b = calloc(1, sizeof(*b));
	unsigned workers;

	assert_non_null(b);
	b->opt = fake_options(NULL, 4096, 65536);
	b->opt.codecs = &codec;
	b->opt.n_codecs = 1;
	b->opt.max_pcluster = 65536;
	b->bs = 4096;
	b->workers = 1000;
	assert_int_equal(ek_codecs_load(b, NULL), EK_OK);
	*each = ek_codec_memory(b->codecs[0].info, &b->codecs[0].params);
	workers = b->workers;
	ek_codecs_close(b);
	free(b);
	return workers;
}

/* Encoders take about eleven dictionaries, and half of the machine in all. */
static void memory(void **state)
{
	uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) *
		       (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned small, large;
	uint64_t each;

	(void)state;
	small = workers_for(64u << 10, &each);
	assert_true(each < 8u << 20);
	large = workers_for(8u << 20, &each);
	assert_true(each > 9 * (UINT64_C(8) << 20));
	assert_true(each < 13 * (UINT64_C(8) << 20));
	assert_true(large >= 1 && large <= small);
	assert_true(large == 1 || large * each <= all / 2);
	/* As many as there may be, unless all are. */
	assert_true(large == 1000 || (large + 1) * each > all / 2);
}

extern const struct CMUnitTest codecs_tests[];
const struct CMUnitTest codecs_tests[] = {
	cmocka_unit_test(ways),
	cmocka_unit_test(large_units),
	cmocka_unit_test(hints),
	cmocka_unit_test(kernels),
	cmocka_unit_test(wrong_codecs),
	cmocka_unit_test(memory),
	UNIT_END,
};
