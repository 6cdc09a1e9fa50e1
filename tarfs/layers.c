/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/layers.h"

#include "cli/message.h"
#include "tarfs/share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	if (n->dropped_xattrs)
		cli_message(level, CLI_WARNING,
			    "layer %zu: %llu attributes left out whose names "
			    "Linux does not have",
			    i, (unsigned long long)n->dropped_xattrs);
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
	struct ek_tar_input *in = NULL;
	ek_status s;

	*t = (struct layer_tree){0};
	CLI_TRY(range_open(&l->data, &t->src, err));
	s = ek_tar_input_from_source(t->src.slice, &in, err);
	if (s == EK_OK)
		s = ek_layer_from_tar(in, t->src.slice, l->data.path, &how,
				      &t->layer, &t->notes, err);
	ek_tar_input_free(in);
	if (s != EK_OK) {
		layer_tree_close(t);
		return s;
	}
	tell(image, i, &t->notes, o);
	return EK_OK;
}

void layer_tree_close(struct layer_tree *t)
{
	ek_layer_free(t->layer);
	range_close(&t->src);
	t->layer = NULL;
}

static ek_status build(struct ek_layer *layer, const struct tarfs_options *o,
		       bool merged, int fd, const char *name,
		       struct ek_build_stats *stats, struct ek_err *err)
{
	struct ek_build_options how = o->build;

	how.index = true;
	how.block_size = INDEX_BLOCK;
	if (!merged)
		how.uuid_mode = EK_UUID_CONTENT;
	return ek_build_layer(layer, &how, fd, name, stats, err);
}

static ek_status build_index(struct image_layer *l, struct layer_tree *tree,
			     const struct tarfs_options *o, int fd,
			     struct ek_err *err)
{
	struct ek_build_stats stats = {0};

	CLI_TRY(build(tree->layer, o, false, fd, l->index, &stats, err));
	l->copied_files = stats.copied_files;
	l->inodes = stats.inodes;
	l->index_bytes = stats.bytes_out;
	return EK_OK;
}

static ek_status own_index(struct image *image, size_t i,
			   struct layer_tree *tree,
			   const struct tarfs_options *o, struct store *store,
			   struct ek_err *err)
{
	struct image_layer *l = &image->layers[i];
	size_t number;
	char name[64];
	int fd;

	CLI_TRY(layer_tree_open(tree, image, i, o, err));
	if (l->same != i)
		return EK_OK;
	if (l->diff_id)
		snprintf(name, sizeof(name), "layers/%03zu-%.12s.erofs", i,
			 l->diff_id + 7);
	else
		snprintf(name, sizeof(name), "layers/%03zu.erofs", i);
	CLI_TRY(image_set(&l->index, name, err));
	CLI_TRY(store_file(store, name, &fd, &number, err));
	return build_index(l, tree, o, fd, err);
}

static ek_status make_shared(struct image *image, size_t i,
			     struct layer_tree *tree,
			     const struct tarfs_options *o, struct ek_err *err)
{
	struct image_layer *l = &image->layers[i];
	struct ek_outfile *out;

	CLI_TRY(layer_tree_open(tree, image, i, o, err));
	CLI_TRY(share_begin_index(o, l, &out, err));
	if (build_index(l, tree, o, ek_outfile_fd(out), err) != EK_OK) {
		ek_outfile_abort(out);
		return err->status;
	}
	return share_commit_index(o, l, &tree->notes, out, err);
}

/*
 * The tree of layer @i, whose index is there. The tar is not read, unless files
 * were copied from it: in the index they have lost their holes.
 */
static ek_status open_shared(struct image *image, size_t i,
			     struct layer_tree *tree,
			     const struct tarfs_options *o, struct ek_err *err)
{
	const struct image_layer *l = &image->layers[image->layers[i].same];

	if (l->copied_files)
		return layer_tree_open(tree, image, i, o, err);
	tell(image, i, &tree->notes, o);
	return ek_layer_from_image(l->index, NULL, 0, &tree->layer, err);
}

static ek_status shared_index(struct image *image, size_t i,
			      struct layer_tree *tree,
			      const struct tarfs_options *o, struct ek_err *err)
{
	struct image_layer *l = &image->layers[i];
	bool found = l->same != i;
	ek_status s;
	int lock;

	if (!found)
		CLI_TRY(share_find_index(o, l, &tree->notes, &found, err));
	if (found)
		return open_shared(image, i, tree, o, err);
	CLI_TRY(share_lock_indexes(o, &lock, err));
	/* Somebody may have made it while we waited. */
	s = share_find_index(o, l, &tree->notes, &found, err);
	if (s == EK_OK && !found)
		s = make_shared(image, i, tree, o, err);
	close(lock);
	return s == EK_OK && found ? open_shared(image, i, tree, o, err) : s;
}

static ek_status index_one(struct image *image, size_t i,
			   struct layer_tree *tree,
			   const struct tarfs_options *o, struct store *store,
			   struct ek_err *err)
{
	struct image_layer *l = &image->layers[i];
	const struct image_layer *first = &image->layers[l->same];
	ek_status s;

	if (share_has_index(image, i, o))
		s = shared_index(image, i, tree, o, err);
	else
		s = own_index(image, i, tree, o, store, err);
	if (s != EK_OK)
		return ek_err_prefix(err, "layer %zu", i);
	if (l->same == i)
		return EK_OK;
	l->copied_files = first->copied_files;
	l->inodes = first->inodes;
	l->index_bytes = first->index_bytes;
	return image_set(&l->index, first->index, err);
}

static ek_status merge(struct layer_tree *trees, size_t n,
		       const struct tarfs_options *o, struct store *store,
		       struct ek_build_stats *stats, char digest[65],
		       struct ek_err *err)
{
	uint8_t sha[EK_DIGEST_SIZE];
	struct ek_layer *layers[EK_LAYERS_MAX] = {NULL}, *merged;
	const char *name = "merged.erofs";
	size_t number;
	ek_status s;
	int fd;

	for (size_t i = 0; i < n; i++)
		layers[i] = trees[i].layer;
	CLI_TRY(ek_layer_merge(layers, n, true, o->build.cancel, &merged, err));
	for (size_t i = 0; i < n; i++)
		trees[i].layer = NULL;
	s = store_file(store, name, &fd, &number, err);
	if (s == EK_OK)
		s = build(merged, o, true, fd, name, stats, err);
	ek_layer_free(merged);
	if (s == EK_OK)
		s = tarfs_digest_fd(fd, name, o->build.cancel, sha, err);
	if (s == EK_OK)
		ek_digest_hex(sha, digest);
	return s;
}

ek_status layers_index(struct image *image, const struct tarfs_options *o,
		       struct store *store, struct ek_build_stats *merged,
		       char digest[65], struct ek_err *err)
{
	struct layer_tree *trees = calloc(image->n, sizeof(*trees));
	ek_status s = EK_OK;

	if (!image->n || !trees) {
		free(trees);
		return image->n ? ek_fail(err, EK_NOMEM, "no memory")
				: ek_fail(err, EK_INVALID,
					  "the image has no layers");
	}
	for (size_t i = 0; s == EK_OK && i < image->n; i++)
		s = index_one(image, i, &trees[i], o, store, err);
	if (s == EK_OK)
		s = merge(trees, image->n, o, store, merged, digest, err);
	for (size_t i = 0; i < image->n; i++)
		layer_tree_close(&trees[i]);
	free(trees);
	return s;
}
