/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/layer.h>

#include "base/try.h"
#include "build/build.h"
#include "build/options.h"
#include "source/image.h"
#include "source/merge.h"
#include "source/tar.h"

#include <string.h>

/* A tree source and what it borrows. */
struct ek_layer {
	struct ek_tree_source *tree;
	/* From an image: */
	struct ek_image *image;
	struct ek_source *file, **devices;
	size_t n_devices;
	/* Merged: the layers whose trees went into this one. */
	struct ek_layer **parts;
	size_t n_parts;
};

void ek_layer_free(struct ek_layer *layer)
{
	if (!layer)
		return;
	ek_tree_source_free(layer->tree);
	for (size_t i = 0; i < layer->n_parts; i++)
		ek_layer_free(layer->parts[i]);
	free(layer->parts);
	ek_image_free(layer->image);
	ek_source_free(layer->file);
	for (size_t i = 0; i < layer->n_devices; i++)
		ek_source_free(layer->devices[i]);
	free(layer->devices);
	free(layer);
}

static ek_status new_layer(struct ek_layer **layer, struct ek_err *err)
{
	*layer = calloc(1, sizeof(**layer));
	return *layer ? EK_OK : ek_fail(err, EK_NOMEM, "no memory for a layer");
}

ek_status ek_layer_from_tar(struct ek_tar_input *in, struct ek_source *archive,
			    const char *name,
			    const struct ek_layer_options *options,
			    struct ek_layer **layer,
			    struct ek_layer_notes *notes, struct ek_err *err)
{
	struct ek_source_tar_options o = {
		.aufs = options->aufs,
		.strip_overlay = options->strip_overlay,
		.headers_only = options->headers_only,
		.no_xattrs = options->no_xattrs,
		.spool_fd = options->spool ? options->spool_fd : -1,
		.device_offset = options->device_offset,
		.device_bytes = options->device_bytes,
		.device_tag = options->device_tag,
		.cancel = options->cancel,
	};
	struct ek_layer_notes own;
	struct ek_layer *l;
	ek_status status;

	EK_TRY(new_layer(&l, err));
	status = ek_source_tar(in, archive, name, &o, &l->tree,
			       notes ? notes : &own, err);
	if (status == EK_OK)
		*layer = l;
	else
		ek_layer_free(l);
	return status;
}

static ek_status open_devices(struct ek_layer *l, const char *const *paths,
			      size_t n, struct ek_err *err)
{
	if (!n)
		return EK_OK;
	l->devices = calloc(n, sizeof(struct ek_source *));
	if (!l->devices)
		return ek_fail(err, EK_NOMEM, "no memory for devices");
	for (; l->n_devices < n; l->n_devices++)
		EK_TRY(ek_source_open_file(paths[l->n_devices], 0,
					   &l->devices[l->n_devices], err));
	return EK_OK;
}

static ek_status open_image(struct ek_layer *l, const char *path,
			    const char *const *devices, size_t n,
			    struct ek_err *err)
{
	struct ek_image_options o = {.size = sizeof(o)};
	ek_status status;

	EK_TRY(ek_source_open_file(path, 0, &l->file, err));
	EK_TRY(open_devices(l, devices, n, err));
	o.devices = l->devices;
	o.n_devices = l->n_devices;
	status = ek_image_open(l->file, &o, &l->image, err);
	if (status == EK_OK)
		status =
			ek_source_image(l->image, l->file->size, &l->tree, err);
	if (status != EK_OK)
		ek_err_prefix(err, "%s", path);
	return status;
}

ek_status ek_layer_from_image(const char *path, const char *const *devices,
			      size_t n_devices, struct ek_layer **layer,
			      struct ek_err *err)
{
	struct ek_err own;
	struct ek_layer *l;
	ek_status status;

	EK_TRY(new_layer(&l, err));
	status = open_image(l, path, devices, n_devices, err ? err : &own);
	if (status == EK_OK)
		*layer = l;
	else
		ek_layer_free(l);
	return status;
}

static ek_status merge_into(struct ek_layer *l, bool strip_overlay,
			    const volatile int *cancel, struct ek_err *err)
{
	struct ek_merge_options o = {.strip_overlay = strip_overlay,
				     .cancel = cancel};
	struct ek_tree_source *trees[EK_MERGE_LAYERS_MAX];

	for (size_t i = 0; i < l->n_parts; i++)
		trees[i] = l->parts[i]->tree;
	EK_TRY(ek_source_merge(trees, l->n_parts, &o, &l->tree, err));
	/* The trees belong to the merged one now. */
	for (size_t i = 0; i < l->n_parts; i++)
		l->parts[i]->tree = NULL;
	return EK_OK;
}

ek_status ek_layer_merge(struct ek_layer *const *layers, size_t n,
			 bool strip_overlay, const volatile int *cancel,
			 struct ek_layer **merged, struct ek_err *err)
{
	struct ek_layer *l;
	ek_status status;

	if (!n || n > EK_MERGE_LAYERS_MAX)
		return ek_fail(err, EK_LIMIT, "%zu layers: 1 to %u can merge",
			       n, EK_MERGE_LAYERS_MAX);
	EK_TRY(new_layer(&l, err));
	l->parts = calloc(n, sizeof(struct ek_layer *));
	if (l->parts) {
		memcpy(l->parts, layers, n * sizeof(struct ek_layer *));
		l->n_parts = n;
		status = merge_into(l, strip_overlay, cancel, err);
	} else {
		status = ek_fail(err, EK_NOMEM, "no memory to merge layers");
	}
	if (status == EK_OK) {
		*merged = l;
		return EK_OK;
	}
	l->n_parts = 0;
	ek_layer_free(l);
	return status;
}

static bool asks_for_blocks(const struct ek_build_options *o)
{
	return o->block_size || o->max_pcluster;
}

ek_status ek_build_layer(struct ek_layer *layer,
			 const struct ek_build_options *options, int fd,
			 const char *name, struct ek_build_stats *stats,
			 struct ek_err *err)
{
	struct ek_build_options o;
	struct ek_sink *sink = NULL;
	ek_status status;

	EK_TRY(ek_build_options_load(options, &o, err));
	if (o.index && !asks_for_blocks(options))
		o.block_size = o.max_pcluster = ek_layer_block_size(layer);
	EK_TRY(ek_sink_from_fd(fd, name, 0, &sink, err));
	status = ek_build_tree(layer->tree, &o, sink, stats, err);
	ek_sink_free(sink);
	return status;
}

uint32_t ek_layer_block_size(const struct ek_layer *layer)
{
	uint32_t size = 512;

	if (layer->image)
		size = ek_image_info(layer->image)->block_size;
	for (size_t i = 0; i < layer->n_parts; i++) {
		uint32_t part = ek_layer_block_size(layer->parts[i]);

		size = i == 0 || part < size ? part : size;
	}
	/* What we write ends at 4096; a multiple of it is aligned to it. */
	return size > 4096 ? 4096 : size;
}

uint64_t ek_layer_names(const struct ek_layer *layer)
{
	const struct ek_tree *tree = layer->tree->tree;
	uint64_t n = 0;

	for (uint32_t i = 0; i < tree->n_inodes; i++)
		n += tree->inodes[i]->first->n_children;
	return n;
}
