/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include "unit.h"

#include <erofskit/leaf.h>
#include <erofskit/trust.h>

static struct ek_leaves *leaves_of(const uint8_t *bytes, size_t n,
				   uint32_t leaf_size)
{
	struct ek_leaves *leaves = NULL;
	struct ek_source *src;

	assert_int_equal(ek_source_from_memory(bytes, n, &src, NULL), EK_OK);
	assert_int_equal(ek_leaves_of(src, leaf_size, &leaves, NULL), EK_OK);
	ek_source_free(src);
	return leaves;
}

/* Made by a few lines of Python with hashlib, from leaf.h's words. */
static void roots(void **state)
{
	static const struct {
		size_t n;
		uint32_t leaf_size, leaves;
		const char *root;
	} want[] = {
		{0, 4096, 0,
		 "35273ebdf8adabc19c9995f5932349667b4ad32d6f8e8135ec11de80a02c"
		 "2ada"},
		{0, 65536, 0,
		 "a19c46ac3f1230188020643849f963e9f717e41e7b32b0075859307bff29"
		 "afd2"},
		{1, 4096, 1,
		 "65fbce248cf6862ba01d92caed8789b4729a3e246555bcf87110367fc2ea"
		 "b8de"},
		{4096, 4096, 1,
		 "65a81ea42338fe332cab5a7c95bfcd8bdd8c1bc8a400f9a542d6d08a868d"
		 "ff3a"},
		{4097, 4096, 2,
		 "5bde8bac059033136f26b6ed205c6ab4145c7e1081030dc2704b75945925"
		 "9c81"},
		/* As many as fit one piece of the next level; one more. */
		{128 * 4096, 4096, 128,
		 "f8c77cc79219f44be7d389283e38a82ea8979ebdc475bd021321dc16b5ce"
		 "2102"},
		{128 * 4096 + 1, 4096, 129,
		 "c749ccf2b1b4794daf3729862bb3fa158b6261fa4a2beba37c4362d7de71"
		 "334d"},
		{200000, 65536, 4,
		 "031a1acba630cafdd928f860699036182a50dc6c3042e8974a91dfc5f443"
		 "dd45"},
	};
	uint8_t *bytes = malloc(128 * 4096 + 1);

	(void)state;
	pattern(bytes, 128 * 4096 + 1);
	for (size_t k = 0; k < sizeof(want) / sizeof(want[0]); k++) {
		struct ek_leaves *l =
			leaves_of(bytes, want[k].n, want[k].leaf_size);
		char hex[65];

		ek_digest_hex(l->root, hex);
		assert_string_equal(hex, want[k].root);
		assert_int_equal(l->n, want[k].leaves);
		assert_int_equal(l->blob_size, want[k].n);
		assert_int_equal(l->leaf_size, want[k].leaf_size);
		ek_leaves_free(l);
	}
	free(bytes);
	ek_leaves_free(NULL);
}

/* However the stream is cut. */
static void pieces(void **state)
{
	static const size_t cuts[] = {1, 4095, 4096, 4097, 30000};
	size_t n = 30001;
	uint8_t *bytes = malloc(n);
	struct ek_leaves *whole, *l;

	(void)state;
	pattern(bytes, n);
	whole = leaves_of(bytes, n, 4096);
	for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++) {
		struct ek_leaf_maker *m;

		assert_int_equal(ek_leaf_maker_new(4096, &m, NULL), EK_OK);
		for (size_t at = 0; at < n; at += cuts[k])
			assert_int_equal(ek_leaf_maker_add(m, bytes + at,
							   n - at < cuts[k]
								   ? n - at
								   : cuts[k],
							   NULL),
					 EK_OK);
		assert_int_equal(ek_leaf_maker_add(m, bytes, 0, NULL), EK_OK);
		assert_int_equal(ek_leaf_maker_finish(m, &l, NULL), EK_OK);
		ek_leaf_maker_free(m);
		assert_memory_equal(l->root, whole->root, 32);
		assert_memory_equal(l->digests, whole->digests, 32 * whole->n);
		ek_leaves_free(l);
	}
	ek_leaves_free(whole);
	free(bytes);
}

static void leaf_sizes(void **state)
{
	static const uint32_t bad[] = {0,    1,	       2048,	   4095,
				       6000, 1u << 21, 0x80000000u};
	struct ek_leaf_maker *m;

	(void)state;
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		assert_int_equal(ek_leaf_maker_new(bad[k], &m, NULL),
				 EK_INVALID);
	assert_int_equal(ek_leaf_maker_new(EK_LEAF_SIZE_MIN, &m, NULL), EK_OK);
	ek_leaf_maker_free(m);
	assert_int_equal(ek_leaf_maker_new(EK_LEAF_SIZE_MAX, &m, NULL), EK_OK);
	ek_leaf_maker_free(m);
	ek_leaf_maker_free(NULL);
}

static void lengths_and_bytes(void **state)
{
	size_t n = 2 * 4096 + 5;
	uint8_t *bytes = malloc(n);
	struct ek_leaves *l;
	struct ek_err err;

	(void)state;
	pattern(bytes, n);
	l = leaves_of(bytes, n, 4096);
	assert_int_equal(ek_leaf_length(l, 0), 4096);
	assert_int_equal(ek_leaf_length(l, 1), 4096);
	assert_int_equal(ek_leaf_length(l, 2), 5);
	assert_int_equal(ek_leaf_verify(l, 0, bytes, 4096, NULL), EK_OK);
	assert_int_equal(ek_leaf_verify(l, 2, bytes + 8192, 5, NULL), EK_OK);
	assert_int_equal(ek_leaf_verify(l, 2, bytes + 8192, 4, &err),
			 EK_DIFFERS);
	assert_string_equal(err.text, "leaf 2 has 5 bytes, not 4");
	assert_int_equal(ek_leaf_verify(l, 1, bytes, 4096, &err), EK_DIFFERS);
	bytes[4095] ^= 0x80;
	assert_int_equal(ek_leaf_verify(l, 0, bytes, 4096, &err), EK_DIFFERS);
	assert_string_equal(err.text, "leaf 0 has a wrong digest");
	ek_leaves_free(l);
	free(bytes);
}

static void file_form(void **state)
{
	size_t n = 20 * 4096 + 1, size;
	uint8_t *bytes = malloc(n), *file, root[32];
	struct ek_leaves *l, *back;

	(void)state;
	pattern(bytes, n);
	l = leaves_of(bytes, n, 4096);
	size = ek_leaves_file_size(l);
	assert_int_equal(size, EK_LEAF_HEADER + 21 * 32);
	file = malloc(size + 1);
	ek_leaves_encode(l, file);
	assert_int_equal(ek_leaves_decode(file, size, NULL, &back, NULL),
			 EK_OK);
	assert_memory_equal(back->root, l->root, 32);
	assert_memory_equal(back->digests, l->digests, 21 * 32);
	assert_true(back->blob_size == n && back->n == 21 &&
		    back->leaf_size == 4096);
	ek_leaves_free(back);
	assert_int_equal(ek_leaves_decode(file, size, l->root, &back, NULL),
			 EK_OK);
	ek_leaves_free(back);
	memcpy(root, l->root, 32);
	root[31] ^= 1;
	assert_int_equal(ek_leaves_decode(file, size, root, &back, NULL),
			 EK_DIFFERS);
	for (size_t k = 0; k < size; k += k < 80 ? 1 : 31)
		assert_int_equal(ek_leaves_decode(file, k, NULL, &back, NULL),
				 EK_CORRUPT);
	assert_int_equal(ek_leaves_decode(file, size + 1, NULL, &back, NULL),
			 EK_CORRUPT);
	for (size_t k = 0; k < size; k++) {
		file[k] ^= (uint8_t)(1u << k % 8);
		assert_int_equal(
			ek_leaves_decode(file, size, NULL, &back, NULL),
			EK_CORRUPT);
		file[k] ^= (uint8_t)(1u << k % 8);
	}
	free(file);
	ek_leaves_free(l);
	free(bytes);
}

/*
 * Who forges digests and their root together passes only where no root was
 * known.
 */
static void forged_together(void **state)
{
	uint8_t bytes[5000], file[EK_LEAF_HEADER + 64];
	struct ek_leaves *good, *forged, *l;

	(void)state;
	pattern(bytes, sizeof(bytes));
	good = leaves_of(bytes, sizeof(bytes), 4096);
	bytes[0] ^= 1;
	forged = leaves_of(bytes, sizeof(bytes), 4096);
	ek_leaves_encode(forged, file);
	assert_int_equal(
		ek_leaves_decode(file, sizeof(file), good->root, &l, NULL),
		EK_DIFFERS);
	assert_int_equal(ek_leaves_decode(file, sizeof(file), NULL, &l, NULL),
			 EK_OK);
	ek_leaves_free(l);
	ek_leaves_free(good);
	ek_leaves_free(forged);
}

const struct CMUnitTest leaves_tests[] = {
	cmocka_unit_test(roots),
	cmocka_unit_test(pieces),
	cmocka_unit_test(leaf_sizes),
	cmocka_unit_test(lengths_and_bytes),
	cmocka_unit_test(file_form),
	cmocka_unit_test(forged_together),
	UNIT_END,
};
