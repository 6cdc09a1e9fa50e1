/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"
#include "unit.h"

#include "trust/verity.h"

#include <stdio.h>
#include <unistd.h>

/* Made by veritysetup 2.6.1 of the first bytes of pattern(). */
static const struct {
	uint32_t data, hash;
	uint64_t blocks;
	uint8_t salt_size, salt[16];
	bool no_superblock;
	uint32_t size;
	const char *root, *tree;
} vectors[] = {
	{4096,
	 4096,
	 1,
	 0,
	 {0},
	 false,
	 4096,
	 "79fe80c81f701a2e9af6bba659ff99e143d581a3ebf177474ed2ee8c0fa14ccc",
	 "35370ae7731b441dbef5aa3a1d7d468574476d312a54f6556878883f015ecdc9"},
	{4096,
	 4096,
	 300,
	 0,
	 {0},
	 false,
	 20480,
	 "18413996c9032e53df75c9f1b7ead155db25b59a10cb85086951fb557f31322c",
	 "d0a974b81f44934baabace3be5b9acba911831d460d2799a10a84a60459c05dc"},
	{4096,
	 4096,
	 300,
	 16,
	 {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa,
	  0xbb, 0xcc, 0xdd, 0xee, 0xff},
	 true,
	 16384,
	 "dcce36a9b06389c6732027e1b54fa2e86c3cab5e43eb601228650b3d72c43a36",
	 "4a7aa63a0b2c8b6e5f0d55e6d84ca800f758eab40af7f4c0822a47a8754e039f"},
	{512,
	 512,
	 2400,
	 1,
	 {0xab},
	 false,
	 82944,
	 "96a06c94563fd324e4746ba593db625b0e0e923c4c5e88fc4e144fb903b8d092",
	 "d9e9ae3a0931daad61b70ade2208f0ccbf7b78054ee426ef532a99d6223557fb"},
	{512,
	 4096,
	 20,
	 0,
	 {0},
	 false,
	 8192,
	 "0144601e34fee289c48ff8b0abcde41e655e4844111e4469481a2d9dd79415a0",
	 "be17b2c69e7aa53e8b98841a12c93baba1a94fad0e6de65f805ece4d984cccbf"},
	{4096,
	 512,
	 300,
	 0,
	 {0},
	 false,
	 11776,
	 "7475b8cb2873315914041df05622086beabbc17aeb586869be71e3eff38b2a79",
	 "2c463fc35a31179842af21e2cd7968e1e2994e3542d2d5992cc9f0e1ea76aeaa"},
};

#define DATA_MAX (300u * 4096)

struct place {
	uint8_t *data;
	struct ek_source *src;
	struct ek_verity_params params;
	FILE *file;
	uint8_t root[32];
};

static void open_place(struct place *p, size_t n)
{
	memset(p, 0, sizeof(*p));
	p->data = malloc(DATA_MAX);
	assert_non_null(p->data);
	pattern(p->data, DATA_MAX);
	p->file = tmpfile();
	assert_non_null(p->file);
	assert_int_equal(ek_source_from_memory(p->data, n, &p->src, NULL),
			 EK_OK);
	p->params.size = sizeof(p->params);
}

static void close_place(struct place *p)
{
	fclose(p->file);
	ek_source_free(p->src);
	free(p->data);
}

static void expect_hex(const uint8_t digest[32], const char *want)
{
	char hex[65];

	ek_digest_hex(digest, hex);
	assert_string_equal(hex, want);
}

static void equal_to_veritysetup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		size_t n = (size_t)vectors[i].blocks * vectors[i].data;
		struct ek_verity_run run = {.size = sizeof(run)};
		struct ek_source *tree;
		struct place p;
		uint8_t d[32];

		open_place(&p, n);
		p.params.data_block_size = vectors[i].data;
		p.params.hash_block_size = vectors[i].hash;
		p.params.salt_size = vectors[i].salt_size;
		p.params.no_superblock = vectors[i].no_superblock;
		memcpy(p.params.salt, vectors[i].salt, 16);
		memset(p.params.uuid, 0x11, 16);
		for (run.workers = 1; run.workers < 4; run.workers++) {
			assert_int_equal(ek_verity_format(p.src, &p.params,
							  fileno(p.file), "t",
							  0, &run, p.root,
							  NULL),
					 EK_OK);
			expect_hex(p.root, vectors[i].root);
		}
		assert_int_equal(ek_verity_tree_size(&p.params, n),
				 vectors[i].size);
		assert_int_equal(
			ek_source_from_fd(fileno(p.file), "t", 0, &tree, NULL),
			EK_OK);
		assert_int_equal(tree->size, vectors[i].size);
		assert_int_equal(ek_digest_source(tree, NULL, d, NULL), EK_OK);
		expect_hex(d, vectors[i].tree);
		assert_int_equal(ek_verity_verify(p.src, &p.params, tree,
						  p.root, NULL, NULL),
				 EK_OK);
		assert_int_equal(ek_verity_verify(p.src, &p.params, NULL,
						  p.root, NULL, NULL),
				 EK_OK);
		ek_source_free(tree);
		close_place(&p);
	}
}

/* Every level: 300 blocks of 512 with 16 hashes in a block. */
static void each_flip_is_found(void **state)
{
	size_t n = 300 * 512, tree_size, at;
	struct ek_source *tree;
	struct ek_err err;
	struct place p;
	uint8_t *bytes;
	char want[64];

	(void)state;
	open_place(&p, n);
	p.params.data_block_size = p.params.hash_block_size = 512;
	p.params.no_superblock = true;
	tree_size = (size_t)ek_verity_tree_size(&p.params, n);
	assert_int_equal(tree_size, (1 + 2 + 19) * 512);
	assert_int_equal(ek_verity_format(p.src, &p.params, fileno(p.file), "t",
					  0, NULL, p.root, NULL),
			 EK_OK);
	bytes = malloc(tree_size);
	assert_non_null(bytes);
	assert_int_equal(pread(fileno(p.file), bytes, tree_size, 0), tree_size);
	assert_int_equal(ek_source_from_memory(bytes, tree_size, &tree, NULL),
			 EK_OK);
	for (at = 0; at < tree_size; at += 61) {
		bytes[at] ^= 1;
		assert_int_equal(ek_verity_verify(p.src, &p.params, tree,
						  p.root, NULL, &err),
				 EK_DIFFERS);
		snprintf(want, sizeof(want),
			 "the hash tree differs at byte %zu (", at / 512 * 512);
		assert_memory_equal(err.text, want, strlen(want));
		bytes[at] ^= 1;
	}
	for (at = 0; at < n; at += 1511) {
		p.data[at] ^= 0x40;
		assert_int_equal(ek_verity_verify(p.src, &p.params, tree,
						  p.root, NULL, &err),
				 EK_DIFFERS);
		snprintf(want, sizeof(want),
			 "data differs in block %zu at byte %zu", at / 512,
			 at / 512 * 512);
		assert_string_equal(err.text, want);
		assert_int_equal(ek_verity_verify(p.src, &p.params, NULL,
						  p.root, NULL, &err),
				 EK_DIFFERS);
		p.data[at] ^= 0x40;
	}
	p.root[31] ^= 1;
	assert_int_equal(
		ek_verity_verify(p.src, &p.params, tree, p.root, NULL, &err),
		EK_DIFFERS);
	assert_non_null(strstr(err.text, "not the tree of this root"));
	ek_source_free(tree);
	free(bytes);
	close_place(&p);
}

static void wrong_parameters(void **state)
{
	struct ek_err err;
	struct place p;
	int fd;

	(void)state;
	open_place(&p, 4096 * 3 + 512);
	fd = fileno(p.file);
	assert_int_equal(ek_verity_format(p.src, &p.params, -1, "", 0, NULL,
					  p.root, &err),
			 EK_INVALID);
	assert_non_null(strstr(err.text, "not a whole number of blocks"));
	p.params.data_blocks = 3;
	assert_int_equal(ek_verity_format(p.src, &p.params, -1, "", 0, NULL,
					  p.root, &err),
			 EK_OK);
	assert_int_equal(ek_verity_format(p.src, &p.params, fd, "t", 512, NULL,
					  p.root, &err),
			 EK_INVALID);
	p.params.data_blocks = 4;
	assert_int_equal(ek_verity_format(p.src, &p.params, -1, "", 0, NULL,
					  p.root, &err),
			 EK_CORRUPT);
	p.params.data_blocks = 3;
	p.params.salt_size = 257;
	assert_int_equal(ek_verity_format(p.src, &p.params, -1, "", 0, NULL,
					  p.root, &err),
			 EK_INVALID);
	p.params.salt_size = 0;
	for (uint32_t size = 1; size < 100000; size = size * 3 + 1) {
		p.params.data_block_size = size;
		assert_int_equal(ek_verity_format(p.src, &p.params, -1, "", 0,
						  NULL, p.root, &err),
				 EK_INVALID);
	}
	p.params.data_block_size = 4096;
	p.params.hash_block_size = 8192;
	assert_int_equal(ek_verity_tree_size(&p.params, 4096 * 3), 0);
	p.params.hash_block_size = 0;
	assert_int_equal(ek_verity_tree_size(&p.params, 0), 0);
	p.params.size = 1;
	assert_int_equal(ek_verity_tree_size(&p.params, 4096 * 3), 0);
	close_place(&p);
}

static void the_largest_trees_fit(void **state)
{
	struct ek_verity_params params = {.size = sizeof(params)};
	struct ek_verity_plan plan;

	(void)state;
	params.data_block_size = params.hash_block_size = 512;
	assert_int_equal(ek_verity_plan(&params, INT64_MAX - 511, &plan, NULL),
			 EK_OK);
	assert_int_equal(plan.level[plan.levels - 1].blocks, 1);
	assert_true(plan.levels <= EK_VERITY_LEVELS);
	assert_int_equal(ek_verity_plan(&params, UINT64_MAX - 511, &plan, NULL),
			 EK_INVALID);
}

static ek_status decode(const uint8_t sb[EK_VERITY_SB])
{
	struct ek_verity_params params;

	return ek_verity_sb_decode(sb, &params, NULL);
}

static ek_status decode_with(const uint8_t good[EK_VERITY_SB], size_t at,
			     uint32_t value)
{
	uint8_t sb[EK_VERITY_SB];

	memcpy(sb, good, sizeof(sb));
	ek_put_le32(sb + at, value);
	return decode(sb);
}

static void superblocks(void **state)
{
	struct ek_verity_params params = {.size = sizeof(params)}, back;
	struct ek_verity_plan plan;
	struct ek_source *src;
	uint8_t sb[EK_VERITY_SB];

	(void)state;
	params.data_block_size = 1024;
	params.hash_block_size = 2048;
	params.salt_size = 256;
	memset(params.salt, 0x5a, 256);
	memset(params.uuid, 0x77, 16);
	assert_int_equal(ek_verity_plan(&params, 77 * 1024, &plan, NULL),
			 EK_OK);
	ek_verity_sb_encode(&params, &plan, sb);
	assert_int_equal(ek_source_from_memory(sb, sizeof(sb), &src, NULL),
			 EK_OK);
	assert_int_equal(ek_verity_superblock(src, &back, NULL), EK_OK);
	assert_int_equal(back.data_block_size, 1024);
	assert_int_equal(back.hash_block_size, 2048);
	assert_int_equal(back.data_blocks, 77);
	assert_int_equal(back.salt_size, 256);
	assert_memory_equal(back.salt, params.salt, 256);
	assert_memory_equal(back.uuid, params.uuid, 16);
	ek_source_free(src);
	assert_int_equal(ek_source_from_memory(sb, 511, &src, NULL), EK_OK);
	assert_int_equal(ek_verity_superblock(src, &back, NULL), EK_CORRUPT);
	ek_source_free(src);

	assert_int_equal(decode_with(sb, 0, 0), EK_CORRUPT);
	assert_int_equal(decode_with(sb, 8, 2), EK_UNSUPPORTED);
	assert_int_equal(decode_with(sb, 12, 0), EK_UNSUPPORTED);
	assert_int_equal(decode_with(sb, 32, 0x35616873), EK_UNSUPPORTED);
	assert_int_equal(decode_with(sb, 64, 0), EK_UNSUPPORTED);
	assert_int_equal(decode_with(sb, 68, 65536), EK_UNSUPPORTED);
	assert_int_equal(decode_with(sb, 72, 0), EK_CORRUPT);
	assert_int_equal(decode_with(sb, 76, 0x00200000), EK_CORRUPT);
	assert_int_equal(decode_with(sb, 80, 257), EK_CORRUPT);
	memset(sb + 32, 's', 32);
	assert_int_equal(decode(sb), EK_CORRUPT);
}

extern const struct CMUnitTest verity_tests[];
const struct CMUnitTest verity_tests[] = {
	cmocka_unit_test(equal_to_veritysetup),
	cmocka_unit_test(each_flip_is_found),
	cmocka_unit_test(wrong_parameters),
	cmocka_unit_test(the_largest_trees_fit),
	cmocka_unit_test(superblocks),
	UNIT_END,
};
