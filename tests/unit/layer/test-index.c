/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/maketar.h"

#include <erofskit/image.h>
#include <erofskit/layer.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct CMUnitTest index_tests[];

#define LAYERS 3

static struct maketar tars[LAYERS];
static struct ek_source *archives[LAYERS];
static struct ek_layer *layers[LAYERS], *merged;
static struct ek_build_stats stats;
static FILE *file;
static struct ek_source *image_src;
static struct ek_image *image;
static struct ek_err err;

static int setup(void **state)
{
	(void)state;
	memset(tars, 0, sizeof(tars));
	memset(archives, 0, sizeof(archives));
	memset(layers, 0, sizeof(layers));
	merged = NULL;
	image = NULL;
	image_src = NULL;
	file = tmpfile();
	return file ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	ek_image_free(image);
	ek_source_free(image_src);
	ek_layer_free(merged);
	for (int i = 0; i < LAYERS; i++) {
		ek_layer_free(layers[i]);
		ek_source_free(archives[i]);
	}
	fclose(file);
	return 0;
}

static void load(int i)
{
	struct ek_layer_options o = {.size = sizeof(o),
				     .aufs = true,
				     .device_tag = i ? "second" : "first"};
	struct ek_tar_input *in;

	maketar_end(&tars[i]);
	assert_int_equal(ek_source_from_memory(tars[i].bytes, tars[i].n,
					       &archives[i], &err),
			 EK_OK);
	assert_int_equal(ek_tar_input_from_source(archives[i], &in, &err),
			 EK_OK);
	assert_int_equal(ek_layer_from_tar(in, archives[i], "t.tar", &o,
					   &layers[i], NULL, &err),
			 EK_OK);
	ek_tar_input_free(in);
}

static ek_status build(struct ek_layer *layer, bool index, uint32_t bs)
{
	struct ek_build_options o = {
		.size = sizeof(o),
		.index = index,
		.block_size = bs,
		.level = EK_LEVEL_DEFAULT,
		.xattr_share = EK_XATTR_SHARE_DEFAULT,
		.workers = 1,
	};

	assert_int_equal(ftruncate(fileno(file), 0), 0);
	return ek_build_layer(layer, &o, fileno(file), "image", &stats, &err);
}

static void open_image(size_t n_devices)
{
	struct ek_image_options o = {
		.size = sizeof(o), .devices = archives, .n_devices = n_devices};

	assert_int_equal(
		ek_source_from_fd(fileno(file), "image", 0, &image_src, &err),
		EK_OK);
	assert_int_equal(ek_image_open(image_src, &o, &image, &err), EK_OK);
}

static void check_file(const char *path, const void *want, size_t n)
{
	static uint8_t got[64 * 1024];
	struct ek_node node;

	assert_int_equal(ek_image_lookup(image, path, &node, &err), EK_OK);
	assert_true(node.size == n);
	assert_int_equal(ek_image_read(image, &node, 0, got, n, &err), EK_OK);
	assert_memory_equal(got, want, n);
}

static void files_point_into_the_archive(void **state)
{
	char big[3000];
	struct ek_node node;
	struct ek_extent x;
	struct ek_image_device d;

	(void)state;
	memset(big, 'b', sizeof(big));
	maketar_file(&tars[0], "small", "text");
	maketar_header(&tars[0], "big", '0', sizeof(big));
	maketar_data(&tars[0], big, sizeof(big));
	maketar_file(&tars[0], "empty", "");
	load(0);
	assert_int_equal(build(layers[0], true, 0), EK_OK);
	assert_int_equal(stats.copied_files, 0);
	assert_int_equal(stats.block_size, 512);
	open_image(1);
	check_file("small", "text", 4);
	check_file("big", big, sizeof(big));
	check_file("empty", "", 0);
	assert_int_equal(ek_image_lookup(image, "big", &node, &err), EK_OK);
	assert_int_equal(node.layout, EK_LAYOUT_CHUNK_BASED);
	assert_int_equal(ek_image_map(image, &node, 0, &x, &err), EK_OK);
	assert_int_equal(x.device, 1);
	assert_true(x.physical == 1536 && x.logical_length == sizeof(big));
	assert_int_equal(ek_image_device(image, 0, &d, &err), EK_OK);
	assert_string_equal(d.tag, "first");
	assert_true(d.blocks == tars[0].n / 512);
	assert_true(d.uniaddr == stats.blocks);
}

/* An old GNU sparse member of 8192 bytes: 512 at 0, @second at 4096. */
static void sparse(const char *name, size_t second)
{
	uint8_t *b = maketar_header(&tars[0], name, 'S', 512 + second);
	uint8_t data[1536];

	memcpy(b + 257, "ustar  ", 8);
	snprintf((char *)b + 386, 13, "%011o", 0);
	snprintf((char *)b + 398, 13, "%011o", 512);
	snprintf((char *)b + 410, 13, "%011o", 4096);
	snprintf((char *)b + 422, 13, "%011zo", second);
	snprintf((char *)b + 483, 13, "%011o", 8192);
	maketar_seal(b);
	memset(data, 'd', sizeof(data));
	maketar_data(&tars[0], data, 512 + second);
}

static void sparse_members_have_holes_or_are_copied(void **state)
{
	uint8_t want[8192] = {0};

	(void)state;
	sparse("aligned", 512);
	sparse("odd", 100);
	load(0);
	assert_int_equal(build(layers[0], true, 0), EK_OK);
	assert_int_equal(stats.copied_files, 1);
	assert_true(stats.copied_bytes == 8192);
	open_image(1);
	memset(want, 'd', 512);
	memset(want + 4096, 'd', 512);
	check_file("aligned", want, sizeof(want));
	memset(want + 4196, 0, 412);
	check_file("odd", want, sizeof(want));
}

static void merged_layers_have_a_device_each(void **state)
{
	(void)state;
	maketar_file(&tars[0], "a", "zero");
	maketar_file(&tars[0], "gone", "zero");
	maketar_file(&tars[1], "b", "one");
	maketar_file(&tars[1], ".wh.gone", "");
	load(0);
	load(1);
	load(2);
	assert_int_equal(
		ek_layer_merge(layers, LAYERS, true, NULL, &merged, &err),
		EK_OK);
	memset(layers, 0, sizeof(layers));
	assert_true(ek_layer_names(merged) == 2);
	assert_int_equal(build(merged, true, 0), EK_OK);
	open_image(3);
	assert_int_equal(ek_image_info(image)->n_devices, 3);
	check_file("a", "zero", 4);
	check_file("b", "one", 3);
}

static void an_index_can_be_merged_again(void **state)
{
	char path[64];

	(void)state;
	maketar_file(&tars[0], "a", "zero");
	load(0);
	assert_int_equal(build(layers[0], true, 0), EK_OK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(file));
	ek_layer_free(layers[0]);
	layers[0] = NULL;
	/* Its device need not be there to be pointed to. */
	assert_int_equal(ek_layer_from_image(path, NULL, 0, &layers[0], &err),
			 EK_OK);
	maketar_file(&tars[1], "b", "one");
	load(1);
	assert_int_equal(ek_layer_merge(layers, 2, true, NULL, &merged, &err),
			 EK_OK);
	memset(layers, 0, sizeof(layers));
	fclose(file);
	file = tmpfile();
	assert_non_null(file);
	assert_int_equal(build(merged, true, 0), EK_OK);
	open_image(2);
	check_file("a", "zero", 4);
	check_file("b", "one", 3);
}

/* The image in the file, whose names "a" and "b" are one inode, says "one". */
static void forge_one_link(void)
{
	const uint8_t one[4] = {1};
	struct ek_node node;

	open_image(0);
	assert_int_equal(ek_image_lookup(image, "a", &node, &err), EK_OK);
	assert_int_equal(node.nlink, 2);
	assert_true(pwrite(fileno(file), one, node.extended ? 4 : 2,
			   (off_t)node.position + (node.extended ? 44 : 6)) >
		    0);
	ek_image_free(image);
	ek_source_free(image_src);
	image = NULL;
	image_src = NULL;
}

/* Else each of its names, of which there may be many, costs all of it again. */
static void a_dear_inode_is_read_once_whatever_its_links(void **state)
{
	struct ek_node a, b;
	char path[64];
	uint8_t *block;

	(void)state;
	block = maketar_header(&tars[0], "a", '2', 0);
	memset(block + 157, 't', 99);
	maketar_seal(block);
	block = maketar_header(&tars[0], "b", '1', 0);
	block[157] = 'a';
	maketar_seal(block);
	load(0);
	assert_int_equal(build(layers[0], false, 4096), EK_OK);
	forge_one_link();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(file));
	assert_int_equal(ek_layer_from_image(path, NULL, 0, &merged, &err),
			 EK_OK);
	fclose(file);
	file = tmpfile();
	assert_non_null(file);
	assert_int_equal(build(merged, false, 4096), EK_OK);
	open_image(0);
	assert_int_equal(ek_image_lookup(image, "a", &a, &err), EK_OK);
	assert_int_equal(ek_image_lookup(image, "b", &b, &err), EK_OK);
	assert_true(a.nid == b.nid && a.nlink == 2);
}

static void an_index_of_larger_blocks_copies_what_it_must(void **state)
{
	(void)state;
	maketar_file(&tars[0], "a", "zero");
	load(0);
	assert_int_equal(build(layers[0], true, 4096), EK_OK);
	assert_int_equal(stats.copied_files, 1);
	open_image(1);
	check_file("a", "zero", 4);
}

static void a_layer_becomes_an_image_of_its_own(void **state)
{
	(void)state;
	maketar_file(&tars[0], "a", "zero");
	load(0);
	assert_int_equal(build(layers[0], false, 0), EK_OK);
	assert_int_equal(stats.block_size, 4096);
	open_image(0);
	check_file("a", "zero", 4);
}

#define INDEX_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#define FAR (UINT64_C(3) << 40)

/* The archive begins at @offset of a device of @bytes. */
static ek_status index_at(uint64_t offset, uint64_t bytes)
{
	struct ek_layer_options o = {.size = sizeof(o),
				     .device_offset = offset,
				     .device_bytes = bytes};
	struct ek_tar_input *in;

	assert_int_equal(ek_source_from_memory(tars[0].bytes, tars[0].n,
					       &archives[0], &err),
			 EK_OK);
	assert_int_equal(ek_tar_input_from_source(archives[0], &in, &err),
			 EK_OK);
	assert_int_equal(ek_layer_from_tar(in, NULL, "t.tar", &o, &layers[0],
					   NULL, &err),
			 EK_OK);
	ek_tar_input_free(in);
	return build(layers[0], true, 0);
}

static void addresses_beyond_32_bits(void **state)
{
	struct ek_image_device d;
	struct ek_extent x;
	struct ek_node node;

	(void)state;
	maketar_file(&tars[0], "a", "text");
	maketar_end(&tars[0]);
	assert_int_equal(index_at(FAR, FAR + tars[0].n), EK_OK);
	assert_string_equal(stats.oldest_kernel, "6.15");
	open_image(0);
	assert_int_equal(ek_image_device(image, 0, &d, &err), EK_OK);
	assert_true(d.blocks == (FAR + tars[0].n) / 512);
	assert_int_equal(ek_image_lookup(image, "/a", &node, &err), EK_OK);
	assert_int_equal(ek_image_map(image, &node, 0, &x, &err), EK_OK);
	assert_true(x.flags & EK_EXTENT_MAPPED);
	if (x.device == 1)
		assert_true(x.physical == FAR + 512);
	else /* of the space of all devices */
		assert_true(x.physical == d.uniaddr * 512 + FAR + 512);
}

static void addresses_have_an_end(void **state)
{
	(void)state;
	maketar_file(&tars[0], "a", "text");
	maketar_end(&tars[0]);
	/* The last that 32 bits reach: as old kernels have it. */
	assert_int_equal(index_at(0, (UINT64_C(0xffffffff) - 1) * 512), EK_OK);
	assert_string_equal(stats.oldest_kernel, "6.4");
	ek_layer_free(layers[0]);
	ek_source_free(archives[0]);
	assert_int_equal(index_at(0, UINT64_C(0xffffffff) * 512), EK_OK);
	assert_string_equal(stats.oldest_kernel, "6.15");
	ek_layer_free(layers[0]);
	ek_source_free(archives[0]);
	assert_int_equal(index_at(0, UINT64_C(1) << 57), EK_LIMIT);
	assert_non_null(strstr(err.text, "2^48 blocks"));
}

const struct CMUnitTest index_tests[] = {
	INDEX_TEST(files_point_into_the_archive),
	INDEX_TEST(sparse_members_have_holes_or_are_copied),
	INDEX_TEST(merged_layers_have_a_device_each),
	INDEX_TEST(an_index_can_be_merged_again),
	INDEX_TEST(a_dear_inode_is_read_once_whatever_its_links),
	INDEX_TEST(an_index_of_larger_blocks_copies_what_it_must),
	INDEX_TEST(a_layer_becomes_an_image_of_its_own),
	INDEX_TEST(addresses_beyond_32_bits),
	INDEX_TEST(addresses_have_an_end),
	UNIT_END,
};
