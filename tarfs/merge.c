/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/verbs.h"

#include "cli/json.h"
#include "cli/message.h"

#include <erofskit/image.h>
#include <erofskit/layer.h>
#include <erofskit/outfile.h>

#include <inttypes.h>
#include <string.h>

/* Block size and number of devices of an image. */
static ek_status look(const char *path, uint32_t *block, unsigned *devices,
		      struct ek_err *err)
{
	struct ek_image *image = NULL;
	struct ek_source *src;
	ek_status s;

	CLI_TRY(ek_source_open_file(path, 0, &src, err));
	s = ek_image_open(src, NULL, &image, err);
	if (s == EK_OK) {
		*block = ek_image_info(image)->block_size;
		*devices = ek_image_info(image)->n_devices;
		ek_image_free(image);
	} else {
		ek_err_prefix(err, "%s", path);
	}
	ek_source_free(src);
	return s;
}

/*
 * Indexes give an index: the data stays on their devices. Images with their
 * data inside give an image with the data of all.
 */
static ek_status choose(char *const *images, size_t n,
			struct ek_build_options *how, struct ek_err *err)
{
	size_t with = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t block;
		unsigned devices;

		CLI_TRY(look(images[i], &block, &devices, err));
		if (!i || block < how->block_size)
			how->block_size = block;
		with += devices > 0;
	}
	if (with && with < n)
		return ek_fail(err, EK_UNSUPPORTED,
			       "indexes and images with data do not merge");
	how->index = with > 0;
	return EK_OK;
}

static ek_status load(char *const *images, size_t n, const volatile int *cancel,
		      struct ek_layer **merged, struct ek_err *err)
{
	struct ek_layer *layers[EK_LAYERS_MAX];
	size_t have = 0;
	ek_status s = EK_OK;

	while (s == EK_OK && have < n) {
		s = ek_layer_from_image(images[have], NULL, 0, &layers[have],
					err);
		have += s == EK_OK;
	}
	if (s == EK_OK)
		s = ek_layer_merge(layers, n, true, cancel, merged, err);
	for (size_t i = 0; s != EK_OK && i < have; i++)
		ek_layer_free(layers[i]);
	return s;
}

ek_status tarfs_merge_images(char *const *images, size_t n, const char *output,
			     const struct tarfs_options *o,
			     struct ek_build_stats *stats, struct ek_err *err)
{
	const struct ek_outfile_options file = {.size = sizeof(file),
						.no_sync = o->no_sync};
	struct ek_build_options how = o->build;
	struct ek_build_stats own = {0};
	struct ek_layer *merged = NULL;
	struct ek_outfile *out;
	ek_status s;

	if (n > EK_LAYERS_MAX)
		return ek_fail(err, EK_LIMIT, "%zu images: %u is the most", n,
			       EK_LAYERS_MAX);
	CLI_TRY(choose(images, n, &how, err));
	CLI_TRY(ek_outfile_open(output, &file, &out, err));
	s = load(images, n, o->build.cancel, &merged, err);
	if (s == EK_OK)
		s = ek_build_layer(merged, &how, ek_outfile_fd(out), output,
				   stats ? stats : &own, err);
	ek_layer_free(merged);
	if (s == EK_OK && o->build.cancel && *o->build.cancel)
		s = ek_fail(err, EK_CANCELLED, "stopped");
	if (s == EK_OK)
		return ek_outfile_commit(out, err);
	ek_outfile_abort(out);
	return s;
}

static void report(const struct tarfs_options *o,
		   const struct ek_build_stats *s)
{
	struct cli_json j;

	if (o->json) {
		cli_json_start(&j, stdout);
		cli_json_open(&j, NULL, '{');
		cli_json_text(&j, "image", o->output);
		cli_json_uuid(&j, "uuid", s->uuid);
		cli_json_unsigned(&j, "images", o->n_operands);
		cli_json_unsigned(&j, "inodes", s->inodes);
		cli_json_unsigned(&j, "bytes", s->bytes_out);
		cli_json_text(&j, "oldest_kernel", s->oldest_kernel);
		cli_json_close(&j);
	} else if (!o->quiet) {
		printf("Merged: %zu images, %" PRIu64 " inodes, %" PRIu64
		       " bytes\n",
		       o->n_operands, s->inodes, s->bytes_out);
	}
}

int tarfs_merge(const struct tarfs_options *o)
{
	struct ek_build_stats stats = {0};
	struct ek_err err;

	if (tarfs_merge_images(o->operands, o->n_operands, o->output, o, &stats,
			       &err) != EK_OK) {
		cli_error("%s", err.text);
		return TARFS_FAILED;
	}
	report(o, &stats);
	return cli_finish() ? TARFS_FAILED : TARFS_OK;
}
