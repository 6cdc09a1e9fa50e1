/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/store/layout.h"
#include "unit.h"

#include <stdio.h>

static void checksum(void **state)
{
	(void)state;
	/* RFC 3720, B.4, and the usual check value. */
	assert_int_equal(ekd_crc32c((const uint8_t *)"123456789", 9),
			 0xe3069283u);
	assert_int_equal(ekd_crc32c((const uint8_t *)"", 0), 0);
}

static struct ekd_map a_map(uint32_t n)
{
	struct ekd_map map = {
		.seq = 0x0102030405060708,
		.blob_size = (uint64_t)n * 65536,
		.leaf_size = 65536,
		.n = n,
		.inode = UINT64_MAX - 2,
		.ctime_s = -5,
		.ctime_ns = 999999999,
	};

	memset(map.root, 0xab, sizeof(map.root));
	memset(map.generation, 0xcd, sizeof(map.generation));
	return map;
}

static void same_map(const struct ekd_map *a, const struct ekd_map *b)
{
	assert_true(a->seq == b->seq && a->blob_size == b->blob_size &&
		    a->leaf_size == b->leaf_size && a->n == b->n &&
		    a->inode == b->inode && a->ctime_s == b->ctime_s &&
		    a->ctime_ns == b->ctime_ns);
	assert_memory_equal(a->root, b->root, 32);
	assert_memory_equal(a->generation, b->generation, EKD_GENERATION);
}

static void map_round_trip(void **state)
{
	static const uint32_t counts[] = {
		0, 1, 7, 8, 9, 32639, 32640, 32641, 100000,
	};

	(void)state;
	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		uint32_t n = counts[k];
		size_t size = ekd_map_slot_size(n), bytes = ekd_map_bytes(n);
		struct ekd_map map = a_map(n), got;
		uint8_t *bits = calloc(bytes + 1, 1), *back = malloc(bytes + 1);
		uint8_t *slot = malloc(size);

		for (uint32_t i = 0; i < n; i += 3)
			bits[i / 8] |= (uint8_t)(1u << i % 8);
		ekd_map_encode(&map, bits, slot);
		assert_int_equal(
			ekd_map_decode(slot, size, n, &got, back, NULL), EK_OK);
		same_map(&map, &got);
		assert_memory_equal(bits, back, bytes);
		assert_int_equal(size % EKD_MAP_PAGE, 0);
		free(slot);
		free(back);
		free(bits);
	}
}

static void map_is_not_another(void **state)
{
	struct ekd_map map = a_map(100), got;
	uint8_t bits[13] = {0x55}, back[64], slot[2 * EKD_MAP_PAGE];

	(void)state;
	assert_int_equal(ekd_map_slot_size(100), sizeof(slot));
	ekd_map_encode(&map, bits, slot);
	assert_int_equal(
		ekd_map_decode(slot, sizeof(slot), 101, &got, back, NULL),
		EK_CORRUPT);
	assert_int_equal(
		ekd_map_decode(slot, EKD_MAP_PAGE, 100, &got, back, NULL),
		EK_CORRUPT);
	assert_int_equal(ekd_map_decode(slot, 0, 100, &got, back, NULL),
			 EK_CORRUPT);
}

/* Each bit counts. */
static void map_flips(void **state)
{
	struct ekd_map map = a_map(100), got;
	uint8_t bits[13] = {0x55}, back[13], slot[2 * EKD_MAP_PAGE];

	(void)state;
	ekd_map_encode(&map, bits, slot);
	/* All of the fields, some of the rest: 17 meets every bit. */
	for (size_t at = 0; at < sizeof(slot);
	     at +=
	     at % EKD_MAP_PAGE < 100 || at % EKD_MAP_PAGE > 4070 ? 1 : 17) {
		slot[at] ^= (uint8_t)(1u << at % 8);
		assert_int_equal(ekd_map_decode(slot, sizeof(slot), 100, &got,
						back, NULL),
				 EK_CORRUPT);
		slot[at] ^= (uint8_t)(1u << at % 8);
	}
}

/* Pages of two writes do not pass as one slot, nor do swapped pages. */
static void map_torn(void **state)
{
	uint32_t n = 70000; /* three bit pages */
	size_t size = ekd_map_slot_size(n);
	struct ekd_map map = a_map(n), got;
	uint8_t *bits = calloc(ekd_map_bytes(n), 1), page[EKD_MAP_PAGE];
	uint8_t *a = malloc(size), *b = malloc(size);

	(void)state;
	ekd_map_encode(&map, bits, a);
	map.seq++;
	ekd_map_encode(&map, bits, b);
	for (size_t at = 0; at < size; at += EKD_MAP_PAGE) {
		memcpy(page, a + at, sizeof(page));
		memcpy(a + at, b + at, sizeof(page));
		assert_int_equal(ekd_map_decode(a, size, n, &got, bits, NULL),
				 EK_CORRUPT);
		memcpy(a + at, page, sizeof(page));
	}
	memcpy(page, a + EKD_MAP_PAGE, sizeof(page));
	memcpy(a + EKD_MAP_PAGE, a + 2 * EKD_MAP_PAGE, sizeof(page));
	memcpy(a + 2 * EKD_MAP_PAGE, page, sizeof(page));
	assert_int_equal(ekd_map_decode(a, size, n, &got, bits, NULL),
			 EK_CORRUPT);
	free(a);
	free(b);
	free(bits);
}

static void map_stray_bits(void **state)
{
	struct ekd_map map = a_map(9), got;
	uint8_t bits[2] = {0xff, 0x03}, slot[2 * EKD_MAP_PAGE];

	(void)state;
	ekd_map_encode(&map, bits, slot);
	assert_int_equal(
		ekd_map_decode(slot, sizeof(slot), 9, &got, bits, NULL),
		EK_CORRUPT);
}

static struct ekd_meta a_meta(const char *recipe)
{
	struct ekd_meta meta = {
		.name = "sha256-00",
		.blob_size = UINT64_MAX,
		.leaf_size = 65536,
		.recipe = recipe,
		.recipe_size = strlen(recipe),
	};

	memset(meta.root, 0x1f, sizeof(meta.root));
	memset(meta.generation, 0xe0, sizeof(meta.generation));
	return meta;
}

static void meta_round_trip(void **state)
{
	char *text = malloc(EKD_META_MAX), *big = malloc(65536 + 1);
	const char *recipes[] = {"", "raw\nregistry a/b\n", big};

	(void)state;
	memset(big, 'x', 65536);
	big[65536] = '\0';
	for (size_t k = 0; k < 3; k++) {
		struct ekd_meta meta = a_meta(recipes[k]), got;
		size_t n;

		meta.blob_size = k ? UINT64_MAX : 0;
		n = ekd_meta_encode(&meta, text);
		assert_true(n <= EKD_META_MAX);
		assert_int_equal(ekd_meta_decode(text, n, &got, NULL), EK_OK);
		assert_string_equal(got.name, meta.name);
		assert_true(got.blob_size == meta.blob_size);
		assert_int_equal(got.leaf_size, meta.leaf_size);
		assert_memory_equal(got.root, meta.root, 32);
		assert_memory_equal(got.generation, meta.generation, 16);
		assert_int_equal(got.recipe_size, meta.recipe_size);
		assert_memory_equal(got.recipe, recipes[k], meta.recipe_size);
	}
	free(big);
	free(text);
}

static void meta_damage(void **state)
{
	char *text = malloc(EKD_META_MAX);
	struct ekd_meta meta = a_meta("raw x"), got;
	size_t n = ekd_meta_encode(&meta, text);

	(void)state;
	for (size_t k = 0; k < n; k++)
		assert_int_equal(ekd_meta_decode(text, k, &got, NULL),
				 EK_CORRUPT);
	for (size_t at = 0; at < n; at++) {
		for (int bit = 0; bit < 8; bit++) {
			text[at] = (char)(text[at] ^ 1 << bit);
			assert_int_equal(ekd_meta_decode(text, n, &got, NULL),
					 EK_CORRUPT);
			text[at] = (char)(text[at] ^ 1 << bit);
		}
	}
	text[n] = '\n';
	assert_int_equal(ekd_meta_decode(text, n + 1, &got, NULL), EK_CORRUPT);
	assert_int_equal(ekd_meta_decode(text, n, &got, NULL), EK_OK);
	free(text);
}

/* Right checksums do not make wrong fields right. */
static void meta_hostile(void **state)
{
	static const char *const texts[] = {
		"name ../x\nroot R\nsize 1\nleaf-size 4096\ngeneration G\n"
		"recipe 0\n\n",
		"name a\nroot R\nsize 01\nleaf-size 4096\ngeneration G\n"
		"recipe 0\n\n",
		"name a\nroot R\nsize 18446744073709551616\nleaf-size 4096\n"
		"generation G\nrecipe 0\n\n",
		"name a\nroot R\nsize 1\nleaf-size 1048577\ngeneration G\n"
		"recipe 0\n\n",
		"name a\nroot R\nsize 1\nleaf-size 4096\ngeneration G\n"
		"recipe 65537\n\n",
		"name a\nroot R\nsize 1\nleaf-size 4096\ngeneration G\n"
		"recipe 99\n\n",
		"name a\nroot R\nsize \nleaf-size 4096\ngeneration G\n"
		"recipe 0\n\n",
		/* As it should be. */
		"name a\nroot R\nsize 1\nleaf-size 4096\ngeneration G\n"
		"recipe 0\n\n",
	};
	size_t count = sizeof(texts) / sizeof(texts[0]);

	(void)state;
	for (size_t k = 0; k < count; k++) {
		char text[512];
		struct ekd_meta meta;
		size_t n = (size_t)snprintf(text, sizeof(text),
					    "erofskit blob 1\n");

		for (const char *p = texts[k]; *p; p++) {
			size_t hex = *p == 'R' ? 64 : *p == 'G' ? 32 : 1;

			memset(text + n, hex > 1 ? 'a' : *p, hex);
			n += hex;
		}
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "crc32c %08x\n",
				      ekd_crc32c((uint8_t *)text, n));
		assert_int_equal(ekd_meta_decode(text, n, &meta, NULL),
				 k + 1 < count ? EK_CORRUPT : EK_OK);
	}
}

const struct CMUnitTest layout_tests[] = {
	cmocka_unit_test(checksum),	      cmocka_unit_test(map_round_trip),
	cmocka_unit_test(map_is_not_another), cmocka_unit_test(map_flips),
	cmocka_unit_test(map_torn),	      cmocka_unit_test(map_stray_bits),
	cmocka_unit_test(meta_round_trip),    cmocka_unit_test(meta_damage),
	cmocka_unit_test(meta_hostile),	      UNIT_END,
};
