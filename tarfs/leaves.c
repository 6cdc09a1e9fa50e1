/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/leaves.h"

#include "cli/leaves.h"

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

static ek_status put_one(const struct image_layer *l, struct store *store,
			 struct ek_err *err)
{
	char name[LEAVES_NAME];
	size_t number;
	int fd;

	leaves_name(l->diff_id, name);
	CLI_TRY(store_file(store, name, &fd, &number, err));
	return cli_leaves_write(l->leaves, fd, name, err);
}

ek_status leaves_put(const struct image *image, struct store *store,
		     struct ek_err *err)
{
	for (size_t i = 0; i < image->n; i++)
		if (image->layers[i].leaves && !put_before(image, i))
			CLI_TRY(put_one(&image->layers[i], store, err));
	return EK_OK;
}

static ek_status decode(struct ek_source *src, uint64_t max,
			const uint8_t *root, struct ek_leaves **table,
			struct ek_err *err)
{
	uint8_t *bytes;
	ek_status s;

	/* The size is checked first: it is what is to be allocated. */
	if (src->size > max)
		return ek_fail(err, EK_CORRUPT,
			       "%llu bytes: too long for leaf digests",
			       (unsigned long long)src->size);
	bytes = malloc((size_t)src->size + 1);
	if (!bytes)
		return ek_fail(err, EK_NOMEM, "no memory for leaf digests");
	s = ek_source_read(src, 0, bytes, (size_t)src->size, err);
	if (s == EK_OK)
		s = ek_leaves_decode(bytes, (size_t)src->size, root, table,
				     err);
	free(bytes);
	return s;
}

ek_status leaves_load(const char *path, uint64_t max, const uint8_t *root,
		      struct ek_leaves **table, struct ek_err *err)
{
	struct ek_source *src;
	ek_status s;

	CLI_TRY(ek_source_open_file(path, 0, &src, err));
	s = decode(src, max, root, table, err);
	ek_source_free(src);
	return s == EK_OK ? s : ek_err_prefix(err, "%s", path);
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

	CLI_TRY(leaves_load(l->path, EK_LEAF_HEADER + l->count * 32, l->root,
			    &table, err));
	if (table->blob_size != n || table->leaf_size != l->leaf_size ||
	    table->n != l->count)
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
