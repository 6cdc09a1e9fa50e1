/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/layers.h"

#include "cli/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_BLOCK 512u

static void tell(const struct image *image, size_t i,
		 const struct ek_layer_notes *n, const struct tarfs_options *o)
{
	int level = o->quiet ? CLI_ERROR : CLI_LEVEL_DEFAULT;

	/* Once for a layer that occurs twice. */
	if (image->layers[i].same != i)
		return;
	if (n->unknown_members)
		cli_message(level, CLI_WARNING,
			    "layer %zu: %llu members of unknown type left out",
			    i, (unsigned long long)n->unknown_members);
	if (n->dropped_acls)
		cli_message(level, CLI_WARNING,
			    "layer %zu: %llu ACL entries without a number left "
			    "out",
			    i, (unsigned long long)n->dropped_acls);
	if (n->trailing_bytes)
		cli_message(level, CLI_WARNING,
			    "layer %zu: bytes behind the end of the archive",
			    i);
}

ek_status layer_tree_open(struct layer_tree *t, const struct image *image,
			  size_t i, const struct tarfs_options *o,
			  struct ek_err *err)
{
	const struct image_layer *l = &image->layers[i];
	struct ek_layer_options how = {
		.size = sizeof(how),
		.aufs = true,
		.device_offset = l->data.offset,
		/* A loop device has whole sectors only. */
		.device_bytes = l->data.file_bytes / INDEX_BLOCK * INDEX_BLOCK,
		.device_tag = l->diff_id ? l->diff_id + 7 : NULL,
		.cancel = o->build.cancel,
	};
	struct ek_layer_notes notes;
	struct ek_tar_input *in = NULL;
	ek_status s;

	*t = (struct layer_tree){0};
	CLI_TRY(range_open(&l->data, &t->src, err));
	s = ek_tar_input_from_source(t->src.slice, &in, err);
	if (s == EK_OK)
		s = ek_layer_from_tar(in, t->src.slice, l->data.path, &how,
				      &t->layer, &notes, err);
	ek_tar_input_free(in);
	if (s != EK_OK) {
		layer_tree_close(t);
		return ek_err_prefix(err, "layer %zu", i);
	}
	tell(image, i, &notes, o);
	return EK_OK;
}

void layer_tree_close(struct layer_tree *t)
{
	ek_layer_free(t->layer);
	range_close(&t->src);
	t->layer = NULL;
}

static ek_status build(struct ek_layer *layer, const struct tarfs_options *o,
		       bool merged, struct store *store, const char *name,
		       struct ek_build_stats *stats, struct ek_err *err)
{
	struct ek_build_options how = o->build;
	size_t number;
	int fd;

	how.index = true;
	how.block_size = INDEX_BLOCK;
	if (!merged)
		how.uuid_mode = EK_UUID_CONTENT;
	CLI_TRY(store_file(store, name, &fd, &number, err));
	return ek_build_layer(layer, &how, fd, name, stats, err);
}

static ek_status index_one(struct image *image, size_t i,
			   struct layer_tree *tree,
			   const struct tarfs_options *o, struct store *store,
			   struct ek_err *err)
{
	struct image_layer *l = &image->layers[i];
	const struct image_layer *first = &image->layers[l->same];
	struct ek_build_stats stats = {0};
	char name[64];

	if (l->same != i) {
		l->copied_files = first->copied_files;
		l->inodes = first->inodes;
		l->index_bytes = first->index_bytes;
		return image_set(&l->index, first->index, err);
	}
	if (l->diff_id)
		snprintf(name, sizeof(name), "layers/%03zu-%.12s.erofs", i,
			 l->diff_id + 7);
	else
		snprintf(name, sizeof(name), "layers/%03zu.erofs", i);
	CLI_TRY(image_set(&l->index, name, err));
	if (build(tree->layer, o, false, store, name, &stats, err) != EK_OK)
		return ek_err_prefix(err, "layer %zu", i);
	l->copied_files = stats.copied_files;
	l->inodes = stats.inodes;
	l->index_bytes = stats.bytes_out;
	return EK_OK;
}

static ek_status merge(struct layer_tree *trees, size_t n,
		       const struct tarfs_options *o, struct store *store,
		       struct ek_build_stats *stats, struct ek_err *err)
{
	struct ek_layer *layers[EK_LAYERS_MAX] = {NULL}, *merged;
	ek_status s;

	for (size_t i = 0; i < n; i++)
		layers[i] = trees[i].layer;
	CLI_TRY(ek_layer_merge(layers, n, true, o->build.cancel, &merged, err));
	for (size_t i = 0; i < n; i++)
		trees[i].layer = NULL;
	s = build(merged, o, true, store, "merged.erofs", stats, err);
	ek_layer_free(merged);
	return s;
}

ek_status layers_index(struct image *image, const struct tarfs_options *o,
		       struct store *store, struct ek_build_stats *merged,
		       struct ek_err *err)
{
	struct layer_tree *trees = calloc(image->n, sizeof(*trees));
	ek_status s = EK_OK;

	if (!image->n || !trees) {
		free(trees);
		return image->n ? ek_fail(err, EK_NOMEM, "no memory")
				: ek_fail(err, EK_INVALID,
					  "the image has no layers");
	}
	for (size_t i = 0; s == EK_OK && i < image->n; i++) {
		s = layer_tree_open(&trees[i], image, i, o, err);
		if (s == EK_OK)
			s = index_one(image, i, &trees[i], o, store, err);
	}
	if (s == EK_OK)
		s = merge(trees, image->n, o, store, merged, err);
	for (size_t i = 0; i < image->n; i++)
		layer_tree_close(&trees[i]);
	free(trees);
	return s;
}
