/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/leaves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void leaves_name(const char *diff_id, char name[LEAVES_NAME])
{
	snprintf(name, LEAVES_NAME, "leaves/sha256-%.64s", diff_id + 7);
}

const struct ek_leaves *leaves_of(const struct image *image, size_t i)
{
	const struct image_layer *l = &image->layers[i];

	return l->leaves ? l->leaves : image->layers[l->same].leaves;
}

static bool put_before(const struct image *image, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (image->layers[k].leaves &&
		    strcmp(image->layers[k].diff_id,
			   image->layers[i].diff_id) == 0)
			return true;
	return false;
}

ek_status leaves_write(const struct ek_leaves *leaves, int fd, const char *name,
		       struct ek_err *err)
{
	size_t n = ek_leaves_file_size(leaves);
	uint8_t *bytes = malloc(n);
	ek_status s;

	if (!bytes)
		return ek_fail(err, EK_NOMEM, "no memory for leaf digests");
	ek_leaves_encode(leaves, bytes);
	s = tarfs_write_all(fd, name, bytes, n, err);
	free(bytes);
	return s;
}

static ek_status put_one(const struct image_layer *l, struct store *store,
			 struct ek_err *err)
{
	char name[LEAVES_NAME];
	size_t number;
	int fd;

	leaves_name(l->diff_id, name);
	CLI_TRY(store_file(store, name, &fd, &number, err));
	return leaves_write(l->leaves, fd, name, err);
}

ek_status leaves_put(const struct image *image, struct store *store,
		     struct ek_err *err)
{
	for (size_t i = 0; i < image->n; i++)
		if (image->layers[i].leaves && !put_before(image, i))
			CLI_TRY(put_one(&image->layers[i], store, err));
	return EK_OK;
}

static ek_status decode(struct ek_source *src, const struct record_leaves *l,
			struct ek_leaves **table, struct ek_err *err)
{
	uint64_t want = EK_LEAF_HEADER + l->count * 32;
	uint8_t *bytes;
	ek_status s;

	/* The size is checked first: it is what is to be allocated. */
	if (src->size != want)
		return ek_fail(err, EK_DIFFERS,
			       "%s: %llu bytes are not as many as %llu leaves "
			       "need",
			       l->path, (unsigned long long)src->size,
			       (unsigned long long)l->count);
	bytes = malloc((size_t)src->size);
	if (!bytes)
		return ek_fail(err, EK_NOMEM, "no memory for leaf digests");
	s = ek_source_read(src, 0, bytes, (size_t)src->size, err);
	if (s == EK_OK)
		s = ek_leaves_decode(bytes, (size_t)src->size, l->root, table,
				     err);
	free(bytes);
	return s == EK_OK ? s : ek_err_prefix(err, "%s", l->path);
}

static ek_status load(const struct record_leaves *l, struct ek_leaves **table,
		      struct ek_err *err)
{
	struct ek_source *src;
	ek_status s;

	CLI_TRY(ek_source_open_file(l->path, 0, &src, err));
	s = decode(src, l, table, err);
	ek_source_free(src);
	return s;
}

static ek_status compare(const struct ek_leaves *table, struct ek_source *src,
			 uint64_t offset, const volatile int *cancel,
			 struct ek_err *err)
{
	uint8_t *leaf = malloc(table->leaf_size);
	ek_status s = EK_OK;

	if (!leaf)
		return ek_fail(err, EK_NOMEM, "no memory for a leaf");
	for (uint32_t i = 0; s == EK_OK && i < table->n; i++) {
		uint32_t n = ek_leaf_length(table, i);
		uint64_t at = offset + (uint64_t)i * table->leaf_size;

		s = cancel && *cancel ? ek_fail(err, EK_CANCELLED, "stopped")
				      : ek_source_read(src, at, leaf, n, err);
		if (s == EK_OK)
			s = ek_leaf_verify(table, i, leaf, n, err);
	}
	free(leaf);
	return s;
}

ek_status leaves_verify(const struct record_leaves *l, const char *path,
			uint64_t offset, uint64_t n, const volatile int *cancel,
			struct ek_err *err)
{
	struct ek_leaves *table = NULL;
	struct ek_source *src = NULL;
	ek_status s;

	CLI_TRY(load(l, &table, err));
	if (table->blob_size != n || table->leaf_size != l->leaf_size)
		s = ek_fail(err, EK_DIFFERS,
			    "%s: of other bytes than the layer's", l->path);
	else
		s = ek_source_open_file(path, 0, &src, err);
	if (s == EK_OK) {
		s = compare(table, src, offset, cancel, err);
		if (s != EK_OK)
			ek_err_prefix(err, "%s", path);
	}
	ek_source_free(src);
	ek_leaves_free(table);
	return s;
}
