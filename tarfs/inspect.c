/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/verbs.h"

#include "cli/leaves.h"
#include "cli/message.h"
#include "tarfs/record.h"

#include <inttypes.h>
#include <stdlib.h>

/* A name or path on a terminal: what could steer it is shown as \xNN. */
static void put(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

static void line(const char *head, const char *text)
{
	if (!text)
		return;
	printf("%s: ", head);
	put(text);
	putchar('\n');
}

static void show_leaves(const struct record_leaves *l)
{
	char root[2 * EK_DIGEST_SIZE + 1];

	if (!l->path)
		return;
	ek_digest_hex(l->root, root);
	line("  leaves", l->path);
	printf("  root of %" PRIu64 " leaves of %" PRIu64 " bytes: %s\n",
	       l->count, l->leaf_size, root);
}

static void show(const struct record *r)
{
	char platform[PLATFORM_TEXT];

	platform_text(&r->platform, platform);
	line("Image", r->name);
	line("Manifest", r->manifest);
	line("Configuration", r->config_digest);
	line("Platform", *r->platform.os ? platform : NULL);
	line("Merged", r->merged);
	printf("  %" PRIu64 " inodes, %" PRIu64 " bytes, UUID ", r->inodes,
	       r->merged_bytes);
	put(r->uuid);
	printf("\nMounts: Linux ");
	put(r->kernel);
	printf(" and later through loop devices, 6.12 and later as a file\n");
	for (size_t i = 0; i < r->n; i++) {
		const struct record_layer *l = &r->layers[i];
		const struct record_device *d = &r->devices[i];

		printf("Layer %zu: ", i);
		put(l->diff_id ? l->diff_id : "(digest not known)");
		putchar('\n');
		line("  digest", l->digest);
		line("  media type", l->media_type);
		line("  compression", l->compression);
		printf("  checked: %s\n", l->checked ? "yes" : "no");
		line("  index", l->index);
		printf("  index bytes: %" PRIu64 ", inodes: %" PRIu64
		       ", copied files: %" PRIu64 "\n",
		       l->index_bytes, l->inodes, l->copied_files);
		line("  device", d->path);
		printf("  device bytes: %" PRIu64 ", of them tar: %" PRIu64
		       " from %" PRIu64 " on\n",
		       d->bytes, d->tar_bytes, d->offset);
		show_leaves(&d->leaves);
	}
}

/* The record with absolute paths: what a script mounts. */
static void json(const struct record *r)
{
	struct cli_json j;

	cli_json_start(&j, stdout);
	cli_json_open(&j, NULL, '{');
	cli_json_text(&j, "directory", r->dir);
	cli_json_text(&j, "merged", r->merged);
	cli_json_text(&j, "uuid", r->uuid);
	cli_json_unsigned(&j, "bytes", r->merged_bytes);
	cli_json_unsigned(&j, "inodes", r->inodes);
	cli_json_text(&j, "oldest_kernel", r->kernel);
	if (r->name)
		cli_json_text(&j, "name", r->name);
	if (r->manifest)
		cli_json_text(&j, "manifest", r->manifest);
	if (r->config_digest)
		cli_json_text(&j, "config_digest", r->config_digest);
	cli_json_open(&j, "layers", '[');
	for (size_t i = 0; i < r->n; i++) {
		const struct record_layer *l = &r->layers[i];
		const struct record_device *d = &r->devices[i];

		cli_json_open(&j, NULL, '{');
		if (l->diff_id)
			cli_json_text(&j, "diff_id", l->diff_id);
		if (l->digest)
			cli_json_text(&j, "digest", l->digest);
		if (l->media_type)
			cli_json_text(&j, "media_type", l->media_type);
		cli_json_text(&j, "compression", l->compression);
		cli_json_bool(&j, "checked", l->checked);
		cli_json_text(&j, "index", l->index);
		cli_json_unsigned(&j, "index_bytes", l->index_bytes);
		cli_json_unsigned(&j, "inodes", l->inodes);
		cli_json_unsigned(&j, "copied_files", l->copied_files);
		cli_json_text(&j, "device", d->path);
		cli_json_unsigned(&j, "device_bytes", d->bytes);
		cli_json_unsigned(&j, "offset", d->offset);
		cli_json_unsigned(&j, "tar_bytes", d->tar_bytes);
		cli_json_leaves(&j, "leaves", d->leaves.path,
				d->leaves.leaf_size, d->leaves.count,
				d->leaves.root);
		cli_json_close(&j);
	}
	cli_json_close(&j);
	cli_json_close(&j);
}

int tarfs_inspect(const struct tarfs_options *o)
{
	struct record r;
	struct ek_err err;
	int status = TARFS_OK;

	if (record_read(&r, o->operands[0], &err) != EK_OK) {
		cli_error("%s", err.text);
		status = TARFS_FAILED;
	} else if (o->json) {
		json(&r);
	} else {
		show(&r);
	}
	record_free(&r);
	return status == TARFS_OK && cli_finish() ? TARFS_FAILED : status;
}
