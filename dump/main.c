/* SPDX-License-Identifier: Apache-2.0 */

/* dump.erofs: open the image and show what was asked for. */

#include "cli/message.h"
#include "cli/options.h"
#include "dump/dump.h"
#include "dump/opts.h"
#include "dump/walk.h"

#include <erofskit/source.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct opened {
	struct ek_source *src;
	struct ek_source **devices;
	size_t n;
	struct ek_image *image;
};

static void close_all(struct opened *o)
{
	ek_image_free(o->image);
	for (size_t i = 0; i < o->n; i++)
		ek_source_free(o->devices[i]);
	free(o->devices);
	ek_source_free(o->src);
}

static ek_status open_all(const struct dump_options *opts, struct opened *o,
			  struct ek_err *err)
{
	struct ek_image_options io = {.size = sizeof(io)};
	ek_status st;

	st = ek_source_open_file(opts->image, opts->offset, &o->src, err);
	if (st != EK_OK)
		return st;
	o->devices = calloc(opts->n_devices + 1, sizeof(struct ek_source *));
	if (!o->devices)
		return ek_fail(err, EK_NOMEM, "no memory");
	for (; o->n < opts->n_devices; o->n++) {
		st = ek_source_open_file(opts->devices[o->n], 0,
					 &o->devices[o->n], err);
		if (st != EK_OK)
			return st;
	}
	io.devices = o->devices;
	io.n_devices = o->n;
	st = ek_image_open(o->src, &io, &o->image, err);
	if (st != EK_OK)
		(void)ek_err_prefix(err, "%s", opts->image);
	return st;
}

/* The inode asked for and a path to it; *@path is NULL when it has none. */
static ek_status pick(const struct dump *d, const struct dump_options *opts,
		      struct ek_node *node, char **path, struct ek_err *err)
{
	const char *rest = opts->path;
	ek_status st;
	size_t n;

	*path = NULL;
	if (opts->have_nid) {
		st = ek_image_node(d->image, opts->nid, node, err);
		if (st != EK_OK || opts->cat)
			return st;
		return walk_find(d->image, opts->nid, path, err);
	}
	st = ek_image_lookup(d->image, opts->path, node, err);
	if (st != EK_OK)
		return st;
	/* As the peer shows it: from the root, whatever was typed. */
	rest += strspn(rest, "/");
	n = strlen(rest);
	*path = malloc(n + 2);
	if (!*path)
		return ek_fail(err, EK_NOMEM, "no memory");
	(*path)[0] = '/';
	memcpy(*path + 1, rest, n + 1);
	return EK_OK;
}

static ek_status show_inode(const struct dump *d,
			    const struct dump_options *opts, struct ek_err *err)
{
	struct ek_node node;
	const char *name;
	char *path;
	ek_status st = pick(d, opts, &node, &path, err);

	if (st == EK_OK && opts->cat) {
		st = dump_cat(d, &node, err);
	} else if (st == EK_OK) {
		name = path || d->json ? path : "(no name)";
		st = dump_inode(d, &node, name, err);
		if (st == EK_OK && opts->extents)
			st = dump_extents(d, &node, name ? name : "", err);
		if (st == EK_OK && opts->ls)
			st = dump_ls(d, &node, err);
	}
	free(path);
	return st;
}

static ek_status show(const struct dump *d, const struct dump_options *opts,
		      struct ek_err *err)
{
	ek_status st = EK_OK;

	if (opts->super)
		st = dump_super(d, err);
	if (st == EK_OK && opts->stats)
		st = dump_stats(d, err);
	if (st == EK_OK && (opts->path || opts->have_nid))
		st = show_inode(d, opts, err);
	return st;
}

static ek_status run(const struct dump_options *opts, struct ek_err *err)
{
	struct opened o = {0};
	struct dump d = {0};
	struct cli_json json;
	ek_status st = open_all(opts, &o, err);

	if (st == EK_OK) {
		d.image = o.image;
		if (opts->blkid) {
			dump_blkid(&d);
		} else if (opts->json) {
			cli_json_start(&json, stdout);
			d.json = &json;
			cli_json_open(&json, NULL, '{');
			st = show(&d, opts, err);
			/* What a failure left open: still one object. */
			while (json.depth > 0)
				cli_json_close(&json);
		} else {
			st = show(&d, opts, err);
		}
	}
	close_all(&o);
	return st;
}

int main(int argc, char **argv)
{
	struct dump_options opts = {0};
	int status = dump_parse(argc, argv, &opts);
	struct ek_err err;

	if (status == CLI_GO_ON) {
		status = 0;
		if (run(&opts, &err) != EK_OK) {
			cli_error("%s", err.text);
			status = 1;
		}
		if (cli_finish() != 0)
			status = 1;
	}
	dump_options_free(&opts);
	return status;
}
