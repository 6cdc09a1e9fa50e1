/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/verbs.h"

#include "cli/json.h"
#include "cli/message.h"
#include "tarfs/layers.h"
#include "tarfs/leaves.h"
#include "tarfs/native.h"
#include "tarfs/record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct convert {
	const struct tarfs_options *o;
	struct store store;
	struct archive archive;
	struct image image;
	struct ek_build_stats stats;
	char merged[65]; /* digest of the merged index, in hexadecimal */
};

static bool in_spool(const struct convert *c, const struct image_layer *l)
{
	return c->archive.spooled && l->data.fd == c->archive.whole.fd;
}

/*
 * What was copied into the store stays there as long as a layer lies in it: a
 * single layer under its diff id as others, an archive under its own name.
 */
static ek_status place_spool(struct convert *c, struct ek_err *err)
{
	const struct archive *a = &c->archive;
	char name[128] = "archive.tar";
	bool needed = false;

	if (!a->spooled)
		return EK_OK;
	if (a->kind == ARCHIVE_LAYER)
		snprintf(name, sizeof(name), "blobs/sha256-%s.tar",
			 c->image.layers[0].diff_id + 7);
	for (size_t i = 0; i < c->image.n; i++) {
		if (!in_spool(c, &c->image.layers[i]))
			continue;
		needed = true;
		CLI_TRY(image_set(&c->image.layers[i].blob, name, err));
	}
	if (needed)
		return store_rename(&c->store, a->spool_file, name, err);
	store_drop(&c->store, a->spool_file);
	return EK_OK;
}

static ek_status put_record(struct convert *c, struct ek_err *err)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f;
	ek_status s;

	if (c->image.config)
		CLI_TRY(store_put(&c->store, "config.json", c->image.config,
				  c->image.config_len, err));
	f = open_memstream(&text, &n);
	if (!f)
		return ek_fail(err, EK_NOMEM, "no memory for the record");
	record_write(&c->image, &c->stats, c->merged, f);
	if (fclose(f) == 0)
		s = store_put(&c->store, RECORD_NAME, text, n, err);
	else
		s = ek_fail(err, EK_NOMEM, "no memory for the record");
	free(text);
	return s;
}

static ek_status make_index(struct convert *c, struct ek_err *err)
{
	CLI_TRY(layers_expand(&c->image, c->o, &c->store,
			      c->o->check_digests || c->o->leaves == LEAVES_ALL,
			      err));
	CLI_TRY(place_spool(c, err));
	CLI_TRY(leaves_put(&c->image, &c->store, err));
	CLI_TRY(layers_index(&c->image, c->o, &c->store, &c->stats, c->merged,
			     err));
	return put_record(c, err);
}

static ek_status make_native(struct convert *c, struct ek_err *err)
{
	CLI_TRY(layers_expand(&c->image, c->o, &c->store, true, err));
	CLI_TRY(native_layers(&c->image, c->o, &c->store, err));
	/* The tars were needed until here only. */
	if (c->archive.spooled)
		store_drop(&c->store, c->archive.spool_file);
	for (size_t i = 0; i < c->image.n; i++)
		if (c->image.layers[i].path)
			store_drop(&c->store, c->image.layers[i].file);
	return native_manifest(&c->image, &c->store, err);
}

static ek_status run(struct convert *c, struct ek_err *err)
{
	const struct tarfs_options *o = c->o;

	CLI_TRY(store_open(&c->store, o->output,
			   o->native ? "index.json" : RECORD_NAME, o->force,
			   o->no_sync, err));
	CLI_TRY(archive_open(&c->archive, o, &c->store, err));
	CLI_TRY(image_open(&c->image, &c->archive, o, err));
	if (o->native)
		CLI_TRY(make_native(c, err));
	else
		CLI_TRY(make_index(c, err));
	if (o->build.cancel && *o->build.cancel)
		return ek_fail(err, EK_CANCELLED, "stopped");
	return store_commit(&c->store, err);
}

static void text(const struct convert *c)
{
	const struct image *image = &c->image;
	char platform[PLATFORM_TEXT];
	size_t distinct = 0, packed = 0, checked = 0;
	uint64_t copied = 0;

	for (size_t i = 0; i < image->n; i++) {
		distinct += image->layers[i].same == i;
		packed += image->layers[i].kind != EK_STREAM_PLAIN;
		checked += image->layers[i].checked;
		copied += image->layers[i].copied_files;
	}
	platform_text(&image->platform, platform);
	printf("Image: %s%s%s\n", image->name ? image->name : c->archive.input,
	       *image->platform.os ? " for " : "",
	       *image->platform.os ? platform : "");
	printf("Layers: %zu (%zu different, %zu compressed, %zu checked)\n",
	       image->n, distinct, packed, checked);
	if (copied)
		printf("Files that could not stay in the tar: %" PRIu64 "\n",
		       copied);
	if (c->o->native)
		printf("OCI layout: %s\n", c->store.path);
	else
		printf("Merged: %s/merged.erofs (%" PRIu64 " inodes, %" PRIu64
		       " bytes)\nOldest kernel that mounts it: Linux %s\n",
		       c->store.path, c->stats.inodes, c->stats.bytes_out,
		       c->stats.oldest_kernel);
}

int tarfs_convert(const struct tarfs_options *o)
{
	struct convert c = {.o = o, .store = {.dir = -1}};
	struct ek_err err;
	int status = TARFS_OK;

	c.archive.dir = -1;
	if (run(&c, &err) != EK_OK) {
		cli_error("%s", err.text);
		status = TARFS_FAILED;
	} else if (o->json && o->native) {
		native_report(&c.image, stdout);
	} else if (o->json) {
		record_write(&c.image, &c.stats, c.merged, stdout);
	} else if (!o->quiet) {
		text(&c);
	}
	image_free(&c.image);
	archive_close(&c.archive);
	store_close(&c.store);
	return status == TARFS_OK && cli_finish() ? TARFS_FAILED : status;
}
