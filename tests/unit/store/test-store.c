/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define N 20u

static void open_and_lock(void **state)
{
	struct ekd_store *second;
	struct ek_err err;
	struct box box;

	(void)state;
	box_new(&box, 1);
	box_open(&box, NULL);
	assert_int_equal(ekd_store_open(box.store_path, NULL, &second, &err),
			 EK_EXISTS);
	assert_non_null(strstr(err.text, "another process"));
	box_close(&box);
	box_open(&box, NULL);
	box_close(&box);
	assert_int_equal(ekd_store_open("/nonexistent/x", NULL, &second, &err),
			 EK_NOTFOUND);
	box_free(&box);
}

static void put_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void versions(void **state)
{
	static const char *const others[] = {
		"erofskit store 2\n", "erofskit store 1", "x",
		"erofskit store 1\nand more of it, longer than any version"};
	struct ek_err err;
	struct box box;
	char path[128];

	(void)state;
	box_new(&box, 1);
	box_open(&box, NULL);
	box_close(&box);
	snprintf(path, sizeof(path), "%s/version", box.store_path);
	for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
		put_text(path, others[k]);
		assert_int_equal(
			ekd_store_open(box.store_path, NULL, &box.store, &err),
			EK_UNSUPPORTED);
	}
	/* The power went before it was written: nothing else is in there. */
	put_text(path, "");
	box_open(&box, NULL);
	box_close(&box);
	/* A directory with something else in it is not taken over. */
	unlink(path);
	snprintf(path, sizeof(path), "%s/letter", box.store_path);
	put_text(path, "dear");
	assert_int_equal(ekd_store_open(box.store_path, NULL, &box.store, &err),
			 EK_INVALID);
	unlink(path);
	assert_int_equal(ekd_store_open(box.store_path, NULL, &box.store, &err),
			 EK_OK);
	box_free(&box);
}

static void names(void **state)
{
	static const char *const bad[] = {"", ".a", "..", "a/b", "a b", "a\n"};
	struct ekd_blob *blob;
	struct box box;
	char name[130];

	(void)state;
	box_new(&box, 1);
	box_open(&box, NULL);
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		assert_int_equal(ekd_blob_open(box.store, bad[k], box.leaves,
					       NULL, &blob, NULL),
				 EK_INVALID);
	memset(name, 'a', sizeof(name));
	name[129] = '\0';
	assert_int_equal(
		ekd_blob_open(box.store, name, box.leaves, NULL, &blob, NULL),
		EK_INVALID);
	name[128] = '\0';
	assert_int_equal(
		ekd_blob_open(box.store, name, box.leaves, NULL, &blob, NULL),
		EK_OK);
	assert_string_equal(ekd_blob_name(blob), name);
	assert_string_equal(ekd_blob_recipe(blob), "");
	ekd_blob_close(blob);
	assert_int_equal(ekd_blob_find(box.store, "none", NULL, &blob, NULL),
			 EK_NOTFOUND);
	assert_int_equal(stats_of(&box).blobs, 1);
	box_free(&box);
}

static void expect_missing(struct box *box, uint32_t first, uint32_t end,
			   uint32_t want_from, uint32_t want_to)
{
	uint32_t from = 99, to = 99;

	ekd_blob_missing(box->blob, first, end, &from, &to);
	assert_int_equal(from, want_from);
	assert_int_equal(to, want_to);
}

static void fill_and_read(void **state)
{
	struct box box;
	uint8_t *got = malloc(N * LEAF);

	(void)state;
	box_new(&box, (N - 1) * LEAF + 100);
	box_open(&box, NULL);
	box_blob(&box);
	assert_int_equal(ekd_blob_size(box.blob), box.size);
	assert_int_equal(ekd_blob_leaves(box.blob)->n, N);
	expect_missing(&box, 0, N, 0, N);
	fill_range(&box, 3, 5);
	fill_range(&box, N - 1, N);
	expect_missing(&box, 0, N, 0, 3);
	expect_missing(&box, 3, N, 5, N - 1);
	expect_missing(&box, 3, 5, 5, 5);
	expect_missing(&box, 5, 5, 5, 5);
	assert_int_equal(check_all(&box), 3);
	/* Across two that are here; then across one that is not. */
	assert_int_equal(ekd_blob_read(box.blob, 3 * LEAF + 7, got, LEAF, NULL),
			 EK_OK);
	assert_memory_equal(got, box.bytes + 3 * LEAF + 7, LEAF);
	assert_int_equal(ekd_blob_read(box.blob, 4 * LEAF + 7, got, LEAF, NULL),
			 EK_NOTFOUND);
	fill_range(&box, 0, N);
	assert_true(ekd_blob_complete(box.blob));
	expect_missing(&box, 0, N, N, N);
	assert_int_equal(ekd_blob_read(box.blob, 0, got, box.size, NULL),
			 EK_OK);
	assert_memory_equal(got, box.bytes, box.size);
	assert_int_equal(ekd_blob_read(box.blob, box.size, got, 0, NULL),
			 EK_OK);
	assert_int_equal(ekd_blob_read(box.blob, box.size, got, 1, NULL),
			 EK_INVALID);
	assert_int_equal(ekd_blob_read(box.blob, UINT64_MAX, got, 2, NULL),
			 EK_INVALID);
	assert_int_equal(stats_of(&box).bytes, box.size);
	assert_int_equal(stats_of(&box).fills, N);
	assert_int_equal(stats_of(&box).fill_bytes, box.size);
	assert_int_equal(stats_of(&box).complete_blobs, 1);
	free(got);
	box_free(&box);
}

/* Longer than one pread() may cover. */
static void long_reads(void **state)
{
	size_t size = 200 * LEAF + 1;
	uint8_t *got = malloc(size);
	struct box box;

	(void)state;
	box_new(&box, size);
	box_open(&box, NULL);
	box_blob(&box);
	fill_range(&box, 0, 201);
	assert_int_equal(ekd_blob_read(box.blob, 5, got, size - 5, NULL),
			 EK_OK);
	assert_memory_equal(got, box.bytes + 5, size - 5);
	free(got);
	box_free(&box);
}

static void wrong_leaves(void **state)
{
	struct ek_err err;
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, NULL);
	box_blob(&box);
	box.bytes[2 * LEAF + 9] ^= 1;
	assert_int_equal(fill(&box, 2, &err), EK_DIFFERS);
	assert_int_equal(ekd_blob_fill(box.blob, 3, box.bytes + 3 * LEAF,
				       LEAF - 1, &err),
			 EK_DIFFERS);
	/* Right bytes in a wrong place. */
	assert_int_equal(
		ekd_blob_fill(box.blob, 3, box.bytes + 4 * LEAF, LEAF, &err),
		EK_DIFFERS);
	assert_int_equal(ekd_blob_fill(box.blob, N, box.bytes, LEAF, &err),
			 EK_INVALID);
	assert_int_equal(check_all(&box), 0);
	assert_int_equal(stats_of(&box).refused_fills, 3);
	assert_int_equal(stats_of(&box).bytes, 0);
	box_free(&box);
}

static void empty_blob(void **state)
{
	struct box box;
	uint32_t from, to;

	(void)state;
	box_new(&box, 0);
	for (int round = 0; round < 2; round++) {
		box_open(&box, NULL);
		box_blob(&box);
		assert_true(ekd_blob_complete(box.blob));
		ekd_blob_missing(box.blob, 0, 0, &from, &to);
		assert_int_equal(from + to, 0);
		assert_int_equal(ekd_store_checkpoint(box.store, NULL), EK_OK);
		assert_int_equal(ekd_blob_read(box.blob, 0, &from, 0, NULL),
				 EK_OK);
		box_close(&box);
	}
	box_free(&box);
}

static void kept_over_closing(void **state)
{
	struct box box;

	(void)state;
	box_new(&box, N * LEAF - 5);
	box_open(&box, NULL);
	box_blob(&box);
	fill_range(&box, 0, 7);
	/* The blob alone, then the store too. */
	ekd_blob_close(box.blob);
	box_blob(&box);
	assert_int_equal(ekd_blob_present(box.blob), 7);
	fill_range(&box, N - 1, N);
	box_close(&box);
	box_open(&box, NULL);
	box_blob(&box);
	/* At once: nothing had to be compared. */
	assert_int_equal(ekd_blob_present(box.blob), 8);
	assert_int_equal(stats_of(&box).recovered_leaves, 0);
	assert_int_equal(check_all(&box), 8);
	box_free(&box);
}

static void shared_by_name(void **state)
{
	struct ekd_blob *second;
	struct box box;
	uint8_t *bytes = make_bytes(N * LEAF, 7);
	struct ek_leaves *other = make_leaves(bytes, N * LEAF);

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, NULL);
	box_blob(&box);
	assert_int_equal(ekd_blob_open(box.store, "one", box.leaves, NULL,
				       &second, NULL),
			 EK_OK);
	assert_ptr_equal(second, box.blob);
	ekd_blob_close(box.blob);
	box.blob = second;
	fill_range(&box, 0, 2);
	/* In use with another root; not in use, made anew. */
	assert_int_equal(
		ekd_blob_open(box.store, "one", other, NULL, &second, NULL),
		EK_DIFFERS);
	assert_int_equal(check_all(&box), 2);
	ekd_blob_close(box.blob);
	assert_int_equal(
		ekd_blob_open(box.store, "one", other, NULL, &box.blob, NULL),
		EK_OK);
	assert_int_equal(ekd_blob_present(box.blob), 0);
	assert_int_equal(stats_of(&box).bytes, 0);
	assert_int_equal(stats_of(&box).blobs, 1);
	ek_leaves_free(other);
	free(bytes);
	box_free(&box);
}

static void found_again(void **state)
{
	struct box box;
	uint8_t root[32] = {0};

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, NULL);
	box_blob(&box);
	fill_range(&box, 4, 9);
	box_close(&box);
	box_open(&box, NULL);
	assert_int_equal(ekd_blob_find(box.store, "one", root, &box.blob, NULL),
			 EK_DIFFERS);
	assert_int_equal(ekd_blob_find(box.store, "one", box.leaves->root,
				       &box.blob, NULL),
			 EK_OK);
	assert_string_equal(ekd_blob_recipe(box.blob), "local one");
	assert_int_equal(check_all(&box), 5);
	fill_range(&box, 0, N);
	ekd_blob_close(box.blob);
	/* A new recipe takes the place of the old one. */
	assert_int_equal(ekd_blob_open(box.store, "one", box.leaves, "two\n",
				       &box.blob, NULL),
			 EK_OK);
	box_close(&box);
	box_open(&box, NULL);
	assert_int_equal(ekd_blob_find(box.store, "one", NULL, &box.blob, NULL),
			 EK_OK);
	assert_string_equal(ekd_blob_recipe(box.blob), "two\n");
	assert_true(ekd_blob_complete(box.blob));
	box_free(&box);
}

static void recipe_limit(void **state)
{
	char *recipe = malloc(EKD_RECIPE_MAX + 2);
	struct box box;

	(void)state;
	memset(recipe, 'r', EKD_RECIPE_MAX + 1);
	recipe[EKD_RECIPE_MAX + 1] = '\0';
	box_new(&box, 1);
	box_open(&box, NULL);
	assert_int_equal(ekd_blob_open(box.store, "one", box.leaves, recipe,
				       &box.blob, NULL),
			 EK_LIMIT);
	recipe[EKD_RECIPE_MAX] = '\0';
	assert_int_equal(ekd_blob_open(box.store, "one", box.leaves, recipe,
				       &box.blob, NULL),
			 EK_OK);
	box_close(&box);
	box_open(&box, NULL);
	assert_int_equal(ekd_blob_find(box.store, "one", NULL, &box.blob, NULL),
			 EK_OK);
	assert_string_equal(ekd_blob_recipe(box.blob), recipe);
	free(recipe);
	box_free(&box);
}

static void note_item(void *arg, const struct ekd_store_item *item)
{
	struct ekd_store_item *items = arg;

	items[item->open] = *item;
}

static void list_and_gc(void **state)
{
	struct ekd_store_item items[2] = {{0}};
	struct ekd_blob *two;
	uint64_t removed, bytes;
	struct box box;
	struct stat st;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, NULL);
	box_blob(&box);
	fill_range(&box, 0, N);
	assert_int_equal(
		ekd_blob_open(box.store, "two", box.leaves, NULL, &two, NULL),
		EK_OK);
	ekd_blob_close(box.blob);
	box.blob = NULL;
	ekd_store_list(box.store, note_item, items);
	assert_int_equal(items[0].size, N * LEAF);
	assert_int_equal(items[0].bytes, N * LEAF);
	assert_true(items[0].complete && !items[0].open);
	assert_int_equal(items[1].bytes, 0);
	assert_true(!items[1].complete && items[1].open);
	assert_int_equal(ekd_store_gc(box.store, &removed, &bytes, NULL),
			 EK_OK);
	assert_int_equal(removed, 1);
	assert_int_equal(bytes, N * LEAF);
	assert_int_equal(stat(file_of(&box, ""), &st), -1);
	assert_int_equal(stats_of(&box).bytes, 0);
	assert_int_equal(stats_of(&box).blobs, 1);
	ekd_blob_close(two);
	/* After another start it is known what lies there. */
	box_blob(&box);
	fill_range(&box, 0, 3);
	box_close(&box);
	box_open(&box, NULL);
	assert_int_equal(stats_of(&box).blobs, 2);
	assert_int_equal(stats_of(&box).bytes, 3 * LEAF);
	assert_int_equal(ekd_store_gc(box.store, &removed, &bytes, NULL),
			 EK_OK);
	assert_int_equal(removed, 2);
	assert_int_equal(bytes, 3 * LEAF);
	box_free(&box);
}

struct told {
	unsigned n;
	uint32_t leaf;
	char name[8];
};

static void note_wrong(void *arg, const char *name, uint32_t leaf)
{
	struct told *told = arg;

	told->n++;
	told->leaf = leaf;
	snprintf(told->name, sizeof(told->name), "%s", name);
}

static void tamper(struct box *box, uint32_t leaf)
{
	int fd = open(file_of(box, "data"), O_WRONLY);

	assert_int_equal(pwrite(fd, "?", 1, (off_t)leaf * LEAF + 50), 1);
	close(fd);
}

static void verify(void **state)
{
	struct told told = {0};
	uint64_t wrong = 9;
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, NULL);
	box_blob(&box);
	fill_range(&box, 0, 9);
	assert_int_equal(
		ekd_store_verify(box.store, note_wrong, &told, &wrong, NULL),
		EK_OK);
	assert_int_equal(wrong + told.n, 0);
	/* Under the nose of the store. */
	tamper(&box, 5);
	assert_int_equal(
		ekd_store_verify(box.store, note_wrong, &told, &wrong, NULL),
		EK_OK);
	assert_int_equal(wrong, 1);
	assert_int_equal(told.leaf, 5);
	assert_string_equal(told.name, "one");
	assert_int_equal(check_all(&box), 8);
	fill_range(&box, 5, 6);
	assert_int_equal(ekd_store_verify(box.store, NULL, NULL, &wrong, NULL),
			 EK_OK);
	assert_int_equal(wrong, 0);
	/* While nobody looks: told by verify, too. */
	box_close(&box);
	tamper(&box, 7);
	box_open(&box, NULL);
	assert_int_equal(
		ekd_store_verify(box.store, note_wrong, &told, &wrong, NULL),
		EK_OK);
	assert_int_equal(wrong, 1);
	assert_int_equal(told.leaf, 7);
	box_blob(&box);
	assert_int_equal(check_all(&box), 8);
	box_free(&box);
}

const struct CMUnitTest store_tests[] = {
	cmocka_unit_test(open_and_lock),  cmocka_unit_test(versions),
	cmocka_unit_test(names),	  cmocka_unit_test(fill_and_read),
	cmocka_unit_test(long_reads),	  cmocka_unit_test(wrong_leaves),
	cmocka_unit_test(empty_blob),	  cmocka_unit_test(kept_over_closing),
	cmocka_unit_test(shared_by_name), cmocka_unit_test(found_again),
	cmocka_unit_test(recipe_limit),	  cmocka_unit_test(list_and_gc),
	cmocka_unit_test(verify),	  UNIT_END,
};
