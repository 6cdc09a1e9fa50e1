/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/maketar.h"

#include <erofskit/image.h>
#include <erofskit/layer.h>

#include <stdio.h>
#include <unistd.h>

extern const struct CMUnitTest chunks_tests[];

static struct maketar tar;
static struct ek_source *archive, *sources[2];
static struct ek_layer *layer;
static struct ek_image *image;
static struct ek_build_options o;
static struct ek_build_stats stats;
static FILE *files[2]; /* image, blob */
static struct ek_err err;

static int setup(void **state)
{
	(void)state;
	memset(&tar, 0, sizeof(tar));
	memset(sources, 0, sizeof(sources));
	archive = NULL;
	layer = NULL;
	image = NULL;
	o = (struct ek_build_options){
		.size = sizeof(o),
		.block_size = 512,
		.chunk_size = 1024,
		.level = EK_LEVEL_DEFAULT,
		.xattr_share = EK_XATTR_SHARE_DEFAULT,
		.workers = 1,
	};
	files[0] = tmpfile();
	files[1] = tmpfile();
	return files[0] && files[1] ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	ek_image_free(image);
	ek_layer_free(layer);
	ek_source_free(archive);
	for (int i = 0; i < 2; i++) {
		ek_source_free(sources[i]);
		fclose(files[i]);
	}
	return 0;
}

/* A file of pieces of 512 bytes: a letter, or '-' for zeros. */
static void add(const char *name, const char *pieces, size_t cut)
{
	uint8_t data[16 * 512];
	size_t n = strlen(pieces) * 512 - cut;

	for (size_t i = 0; pieces[i]; i++)
		memset(data + i * 512, pieces[i] == '-' ? 0 : pieces[i], 512);
	maketar_header(&tar, name, '0', n);
	maketar_data(&tar, data, n);
}

static void check(const char *name, const char *pieces, size_t cut)
{
	uint8_t got[16 * 512];
	struct ek_node node;
	size_t n = strlen(pieces) * 512 - cut;

	assert_int_equal(ek_image_lookup(image, name, &node, &err), EK_OK);
	assert_true(node.size == n);
	assert_int_equal(ek_image_read(image, &node, 0, got, n, &err), EK_OK);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[i],
				 pieces[i / 512] == '-' ? 0 : pieces[i / 512]);
}

static ek_status build(void)
{
	struct ek_layer_options lo = {.size = sizeof(lo)};
	struct ek_tar_input *in;
	ek_status s;

	maketar_end(&tar);
	assert_int_equal(
		ek_source_from_memory(tar.bytes, tar.n, &archive, &err), EK_OK);
	assert_int_equal(ek_tar_input_from_source(archive, &in, &err), EK_OK);
	assert_int_equal(ek_layer_from_tar(in, archive, "t.tar", &lo, &layer,
					   NULL, &err),
			 EK_OK);
	ek_tar_input_free(in);
	s = ek_build_layer(layer, &o, fileno(files[0]), "image", &stats, &err);
	if (s != EK_OK)
		return s;
	for (int i = 0; i < 2; i++)
		assert_int_equal(ek_source_from_fd(fileno(files[i]), "f", 0,
						   &sources[i], &err),
				 EK_OK);
	return EK_OK;
}

static void open_image(void)
{
	struct ek_image_options io = {.size = sizeof(io),
				      .devices = &sources[1],
				      .n_devices = o.blob ? 1 : 0};

	assert_int_equal(ek_image_open(sources[0], &io, &image, &err), EK_OK);
}

/* The chunk of @name at @at: its place, or UINT64_MAX for a hole. */
static uint64_t where(const char *name, uint64_t at, unsigned device,
		      uint64_t *length)
{
	struct ek_node node;
	struct ek_extent x;

	assert_int_equal(ek_image_lookup(image, name, &node, &err), EK_OK);
	assert_int_equal(ek_image_map(image, &node, at, &x, &err), EK_OK);
	*length = x.logical_length;
	if (!(x.flags & EK_EXTENT_MAPPED))
		return UINT64_MAX;
	assert_int_equal(x.device, device);
	return x.physical;
}

static unsigned layout(const char *name)
{
	struct ek_node node;

	assert_int_equal(ek_image_lookup(image, name, &node, &err), EK_OK);
	return node.layout;
}

static void equal_chunks_are_stored_once(void **state)
{
	uint64_t n, a;

	(void)state;
	add("a", "aabbcc", 0);
	add("b", "ccddaa", 0);
	add("c", "ccdd", 0);
	assert_int_equal(build(), EK_OK);
	assert_true(stats.deduplicated_bytes == 4096);
	open_image();
	check("a", "aabbcc", 0);
	check("b", "ccddaa", 0);
	check("c", "ccdd", 0);
	a = where("a", 0, 0, &n);
	/* One run is one chunk, though it was taken in three. */
	assert_true(n == 3072);
	assert_true(where("b", 0, 0, &n) == a + 2048);
	assert_true(where("b", 2048, 0, &n) == a && n == 1024);
	assert_true(where("c", 0, 0, &n) == a + 2048 && n == 2048);
}

static void zeros_are_holes(void **state)
{
	uint64_t n;

	(void)state;
	add("mixed", "aa--bb", 0);
	add("nothing", "------", 100);
	add("half", "-a--", 0);
	assert_int_equal(build(), EK_OK);
	assert_true(stats.deduplicated_bytes == 0);
	open_image();
	check("mixed", "aa--bb", 0);
	check("nothing", "------", 100);
	check("half", "-a--", 0);
	assert_true(where("mixed", 1024, 0, &n) == UINT64_MAX && n == 1024);
	assert_true(where("nothing", 0, 0, &n) == UINT64_MAX && n == 2972);
}

static void ends_take_no_more_than_they_need(void **state)
{
	(void)state;
	add("end", "aab", 12);
	add("same-end", "ccb", 12);
	add("other-end", "ccb", 13);
	add("small", "s", 12);
	assert_int_equal(build(), EK_OK);
	assert_true(stats.deduplicated_bytes == 1024 + 500);
	/* aab cc b s: 3 + 2 + 1 + 1 blocks of data. */
	assert_true(stats.blocks - stats.meta_blocks == 7);
	open_image();
	check("end", "aab", 12);
	check("same-end", "ccb", 12);
	check("other-end", "ccb", 13);
	check("small", "s", 12);
	assert_int_equal(layout("small"), EK_LAYOUT_FLAT_PLAIN);
	assert_int_equal(layout("end"), EK_LAYOUT_CHUNK_BASED);
}

static void chunks_can_be_kept_apart(void **state)
{
	(void)state;
	o.keep_equal_chunks = true;
	add("a", "aa--", 0);
	add("b", "aa--", 0);
	assert_int_equal(build(), EK_OK);
	assert_true(stats.deduplicated_bytes == 0);
	assert_true(stats.blocks - stats.meta_blocks == 4);
	open_image();
	check("a", "aa--", 0);
	check("b", "aa--", 0);
}

static void chunks_go_to_a_device(void **state)
{
	struct ek_image_device d;
	uint64_t n;

	(void)state;
	o.blob = true;
	o.blob_fd = fileno(files[1]);
	add("a", "aa--bb", 0);
	add("b", "bbaacc", 5);
	add("small", "s", 12);
	assert_int_equal(build(), EK_OK);
	assert_true(stats.blob_bytes == 3072 && stats.devices == 1);
	assert_true(sources[1]->size == 3072);
	/* Only the small file is in the image. */
	assert_true(stats.blocks - stats.meta_blocks <= 1);
	open_image();
	assert_int_equal(ek_image_device(image, 0, &d, &err), EK_OK);
	assert_true(d.blocks == 6 && d.uniaddr == stats.blocks);
	check("a", "aa--bb", 0);
	check("b", "bbaacc", 5);
	check("small", "s", 12);
	assert_true(where("a", 0, 1, &n) == 0);
	assert_true(where("b", 0, 1, &n) == 1024);
}

static void both_forms_read_the_same(void **state)
{
	struct ek_build_stats map;

	(void)state;
	add("a", "aa--bbaaccaadd", 0);
	o.chunk_form = EK_CHUNK_BLOCKMAP;
	assert_int_equal(build(), EK_OK);
	open_image();
	check("a", "aa--bbaaccaadd", 0);
	map = stats;
	ek_image_free(image);
	image = NULL;
	o.chunk_form = EK_CHUNK_INDEXES;
	assert_int_equal(ek_build_layer(layer, &o, fileno(files[0]), "image",
					&stats, &err),
			 EK_OK);
	ek_source_free(sources[0]);
	assert_int_equal(
		ek_source_from_fd(fileno(files[0]), "f", 0, &sources[0], &err),
		EK_OK);
	open_image();
	check("a", "aa--bbaaccaadd", 0);
	assert_memory_not_equal(map.uuid, stats.uuid, 16);
}

static void files_may_have_no_data(void **state)
{
	uint64_t n;

	(void)state;
	o.chunk_size = 0;
	o.no_data = true;
	add("a", "aabb", 3);
	assert_int_equal(build(), EK_OK);
	assert_true(stats.blocks == stats.meta_blocks);
	open_image();
	check("a", "----", 3);
	assert_true(where("a", 0, 0, &n) == UINT64_MAX && n == 2045);
}

static void what_makes_no_sense_is_refused(void **state)
{
	const struct ek_build_options good = o;

	(void)state;
	assert_int_equal(ek_build_check_options(&good, &err), EK_OK);
#define REFUSE(change)                                                         \
	do {                                                                   \
		o = good;                                                      \
		change;                                                        \
		assert_int_equal(ek_build_check_options(&o, &err),             \
				 EK_INVALID);                                  \
	} while (0)
	REFUSE(o.chunk_size = 256);
	REFUSE(o.chunk_size = 1000);
	REFUSE(o.codec = "lz4");
	REFUSE(o.index = true);
	REFUSE(o.chunk_size = 0; o.blob = true);
	REFUSE(o.blob = true; o.chunk_form = EK_CHUNK_BLOCKMAP);
	REFUSE(o.chunk_size = 0; o.index = true;
	       o.chunk_form = EK_CHUNK_BLOCKMAP);
	REFUSE(o.chunk_size = 0; o.index = true; o.no_data = true);
	REFUSE(o.chunk_form = (enum ek_chunk_form)3);
	o = good;
	o.chunk_size = UINT64_C(1) << 43;
	assert_int_equal(ek_build_check_options(&o, &err), EK_OK);
}

#define CHUNK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

const struct CMUnitTest chunks_tests[] = {
	CHUNK_TEST(equal_chunks_are_stored_once),
	CHUNK_TEST(zeros_are_holes),
	CHUNK_TEST(ends_take_no_more_than_they_need),
	CHUNK_TEST(chunks_can_be_kept_apart),
	CHUNK_TEST(chunks_go_to_a_device),
	CHUNK_TEST(both_forms_read_the_same),
	CHUNK_TEST(files_may_have_no_data),
	CHUNK_TEST(what_makes_no_sense_is_refused),
	UNIT_END,
};
