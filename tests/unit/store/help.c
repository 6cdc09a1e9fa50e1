/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include "unit.h"

#include <erofskit/source.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

uint8_t *make_bytes(size_t size, uint32_t seed)
{
	uint8_t *bytes = malloc(size + 1);
	uint32_t x = seed * 2654435761u + 1;

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++) {
		x = x * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(x >> 24);
	}
	return bytes;
}

struct ek_leaves *make_leaves(const uint8_t *bytes, size_t size)
{
	struct ek_leaves *leaves;
	struct ek_source *src;

	assert_int_equal(ek_source_from_memory(bytes, size, &src, NULL), EK_OK);
	assert_int_equal(ek_leaves_of(src, LEAF, &leaves, NULL), EK_OK);
	ek_source_free(src);
	return leaves;
}

void box_new(struct box *box, size_t size)
{
	memset(box, 0, sizeof(*box));
	snprintf(box->path, sizeof(box->path), "/tmp/ekd-store-XXXXXX");
	assert_non_null(mkdtemp(box->path));
	snprintf(box->store_path, sizeof(box->store_path), "%s/s", box->path);
	box->size = size;
	box->bytes = make_bytes(size, 1);
	box->leaves = make_leaves(box->bytes, size);
}

static int remove_one(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void box_close(struct box *box)
{
	ekd_blob_close(box->blob);
	ekd_store_close(box->store);
	box->blob = NULL;
	box->store = NULL;
}

void box_free(struct box *box)
{
	box_close(box);
	ek_leaves_free(box->leaves);
	free(box->bytes);
	remove_tree(box->path);
}

void box_open(struct box *box, const struct ekd_store_options *options)
{
	struct ek_err err = {.text = ""};

	if (ekd_store_open(box->store_path, options, &box->store, &err) !=
	    EK_OK)
		fail_msg("%s", err.text);
}

void box_blob(struct box *box)
{
	struct ek_err err = {.text = ""};

	if (ekd_blob_open(box->store, "one", box->leaves, "local one",
			  &box->blob, &err) != EK_OK)
		fail_msg("%s", err.text);
}

ek_status fill(struct box *box, uint32_t i, struct ek_err *err)
{
	return ekd_blob_fill(box->blob, i, box->bytes + (size_t)i * LEAF,
			     ek_leaf_length(box->leaves, i), err);
}

void fill_range(struct box *box, uint32_t first, uint32_t end)
{
	struct ek_err err = {.text = ""};

	for (uint32_t i = first; i < end; i++)
		if (fill(box, i, &err) != EK_OK)
			fail_msg("leaf %u: %s", i, err.text);
}

uint32_t check_all(struct box *box)
{
	uint8_t got[LEAF];
	uint32_t here = 0;

	for (uint32_t i = 0; i < box->leaves->n; i++) {
		size_t n = ek_leaf_length(box->leaves, i);
		ek_status status = ekd_blob_read(box->blob, (uint64_t)i * LEAF,
						 got, n, NULL);

		if (status == EK_NOTFOUND)
			continue;
		assert_int_equal(status, EK_OK);
		assert_memory_equal(got, box->bytes + (size_t)i * LEAF, n);
		here++;
	}
	assert_int_equal(ekd_blob_present(box->blob), here);
	return here;
}

const char *file_of(const struct box *box, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/blobs/one/%s", box->store_path, file);
	return path;
}

int rounds(int n, int soak)
{
	const char *text = getenv("EK_SOAK");

	return text && strcmp(text, "1") == 0 ? soak : n;
}

struct ekd_store_stats stats_of(struct box *box)
{
	struct ekd_store_stats stats;

	ekd_store_stats(box->store, &stats);
	return stats;
}

int divert(int fd, const char *path)
{
	int keep = dup(fd), other = open(path, O_RDWR | O_CLOEXEC);

	assert_true(keep >= 0 && other >= 0);
	assert_int_equal(dup2(other, fd), fd);
	close(other);
	return keep;
}

void restore(int fd, int keep)
{
	assert_int_equal(dup2(keep, fd), fd);
	close(keep);
}
