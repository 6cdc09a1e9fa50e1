/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/record.h"

#include "cli/leaves.h"
#include "tarfs/leaves.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The oldest Linux that mounts an image in a file without a loop device. */
#define KERNEL_FILE "6.12"

static void text_or_null(struct cli_json *j, const char *key, const char *text)
{
	if (text)
		cli_json_text(j, key, text);
	else
		cli_json_null(j, key);
}

static void put_layer(struct cli_json *j, const struct image *image, size_t i)
{
	const struct image_layer *l = &image->layers[i];

	cli_json_open(j, NULL, '{');
	text_or_null(j, "diff_id", l->diff_id);
	text_or_null(j, "digest", l->digest);
	text_or_null(j, "media_type", l->media_type);
	cli_json_text(j, "compression",
		      l->kind == EK_STREAM_PLAIN ? "none"
						 : ek_stream_name(l->kind));
	cli_json_bool(j, "checked", l->checked);
	cli_json_text(j, "index", l->index);
	cli_json_unsigned(j, "index_bytes", l->index_bytes);
	cli_json_unsigned(j, "inodes", l->inodes);
	cli_json_unsigned(j, "copied_files", l->copied_files);
	cli_json_close(j);
}

static void put_leaves(struct cli_json *j, const struct image *image, size_t i)
{
	const struct ek_leaves *leaves = leaves_of(image, i);
	char name[LEAVES_NAME];

	if (!leaves) {
		cli_json_null(j, "leaves");
		return;
	}
	leaves_name(image->layers[i].diff_id, name);
	cli_json_leaves(j, "leaves", name, leaves->leaf_size, leaves->n,
			leaves->root);
}

/* What a registry has of this layer, as the manifest says. */
static void put_fetch(struct cli_json *j, const struct image *image, size_t i)
{
	const struct image_layer *l = &image->layers[i];

	if (!image->manifest || !l->digest) {
		cli_json_null(j, "fetch");
		return;
	}
	cli_json_open(j, "fetch", '{');
	cli_json_text(j, "digest", l->digest);
	cli_json_unsigned(j, "bytes", l->in.bytes);
	text_or_null(j, "media_type", l->media_type);
	cli_json_text(j, "compression",
		      l->kind == EK_STREAM_PLAIN ? "none"
						 : ek_stream_name(l->kind));
	cli_json_close(j);
}

static void put_device(struct cli_json *j, const struct image *image, size_t i)
{
	const struct image_layer *l = &image->layers[i];

	cli_json_open(j, NULL, '{');
	cli_json_unsigned(j, "layer", i);
	cli_json_text(j, "path", l->blob ? l->blob : l->data.path);
	cli_json_unsigned(j, "bytes", l->data.file_bytes);
	cli_json_unsigned(j, "offset", l->data.offset);
	cli_json_unsigned(j, "tar_bytes", l->data.bytes);
	text_or_null(j, "blob", l->diff_id);
	put_leaves(j, image, i);
	put_fetch(j, image, i);
	cli_json_close(j);
}

static void put_head(struct cli_json *j, const struct image *image)
{
	const struct platform *p = &image->platform;

	cli_json_unsigned(j, "version", RECORD_VERSION);
	text_or_null(j, "name", image->name);
	text_or_null(j, "manifest", image->manifest);
	if (image->config) {
		cli_json_open(j, "config", '{');
		cli_json_text(j, "path", "config.json");
		cli_json_text(j, "digest", image->config_digest);
		cli_json_close(j);
	} else {
		cli_json_null(j, "config");
	}
	if (*p->os) {
		cli_json_open(j, "platform", '{');
		cli_json_text(j, "os", p->os);
		cli_json_text(j, "architecture", p->arch);
		cli_json_text(j, "variant", p->variant);
		cli_json_close(j);
	} else {
		cli_json_null(j, "platform");
	}
}

void record_write(const struct image *image, const struct ek_build_stats *stats,
		  const char *merged, FILE *out)
{
	char digest[80];
	struct cli_json j;

	snprintf(digest, sizeof(digest), "sha256:%s", merged);
	cli_json_start(&j, out);
	cli_json_open(&j, NULL, '{');
	put_head(&j, image);
	cli_json_open(&j, "merged", '{');
	cli_json_text(&j, "path", "merged.erofs");
	cli_json_uuid(&j, "uuid", stats->uuid);
	cli_json_unsigned(&j, "bytes", stats->bytes_out);
	cli_json_unsigned(&j, "inodes", stats->inodes);
	cli_json_text(&j, "digest", digest);
	cli_json_close(&j);
	cli_json_open(&j, "kernel", '{');
	cli_json_text(&j, "oldest", stats->oldest_kernel);
	cli_json_text(&j, "without_loop_devices", KERNEL_FILE);
	cli_json_close(&j);
	cli_json_open(&j, "layers", '[');
	for (size_t i = 0; i < image->n; i++)
		put_layer(&j, image, i);
	cli_json_close(&j);
	cli_json_open(&j, "devices", '[');
	for (size_t i = 0; i < image->n; i++)
		put_device(&j, image, i);
	cli_json_close(&j);
	cli_json_close(&j);
}

void record_free(struct record *r)
{
	for (size_t i = 0; r->devices && i < r->n; i++) {
		free(r->devices[i].path);
		free(r->devices[i].leaves.path);
	}
	free(r->devices);
	free(r->layers);
	free(r->merged);
	free(r->dir);
	json_object_put(r->root);
	*r = (struct record){0};
}

static ek_status load(const char *path, char **bytes, size_t *n,
		      struct ek_err *err)
{
	struct ek_source *src;
	ek_status s;

	CLI_TRY(ek_source_open_file(path, 0, &src, err));
	*n = (size_t)src->size;
	*bytes = src->size <= TARFS_JSON_MAX ? malloc(*n + 1) : NULL;
	if (*bytes)
		s = ek_source_read(src, 0, *bytes, *n, err);
	else
		s = ek_fail(err, EK_LIMIT, "%s: too large", path);
	ek_source_free(src);
	if (s != EK_OK)
		free(*bytes);
	return s;
}

/* A path of the record: absolute, or inside @dir without "..". */
static ek_status place(const char *dir, const char *path, char **to,
		       struct ek_err *err)
{
	const char *p = path;
	int n;

	for (; *path != '/' && *p; p += strcspn(p, "/"), p += *p == '/')
		if (strncmp(p, "..", 2) == 0 && (!p[2] || p[2] == '/'))
			return ek_fail(err, EK_CORRUPT,
				       RECORD_NAME ": '%s' leads out", path);
	n = *path == '/' ? asprintf(to, "%s", path)
			 : asprintf(to, "%s/%s", dir, path);
	if (n >= 0)
		return EK_OK;
	*to = NULL;
	return ek_fail(err, EK_NOMEM, "no memory for a path");
}

static ek_status get_layer(struct record_layer *l, struct json_object *o,
			   struct ek_err *err)
{
	const char *what = RECORD_NAME ": a layer";
	struct json_object *checked;

	CLI_TRY(tarfs_json_text(o, "diff_id", false, what, &l->diff_id, err));
	CLI_TRY(tarfs_json_text(o, "digest", false, what, &l->digest, err));
	CLI_TRY(tarfs_json_text(o, "media_type", false, what, &l->media_type,
				err));
	CLI_TRY(tarfs_json_text(o, "compression", true, what, &l->compression,
				err));
	CLI_TRY(tarfs_json_text(o, "index", true, what, &l->index, err));
	CLI_TRY(tarfs_json_number(o, "inodes", true, what, &l->inodes, err));
	CLI_TRY(tarfs_json_number(o, "index_bytes", true, what, &l->index_bytes,
				  err));
	CLI_TRY(tarfs_json_number(o, "copied_files", true, what,
				  &l->copied_files, err));
	CLI_TRY(tarfs_json_member(o, "checked", json_type_boolean, true, what,
				  &checked, err));
	l->checked = json_object_get_boolean(checked);
	return EK_OK;
}

static ek_status get_leaves(const struct record *r, struct record_leaves *l,
			    struct json_object *device, struct ek_err *err)
{
	const char *what = RECORD_NAME ": leaves", *path, *root;
	struct json_object *o;

	CLI_TRY(tarfs_json_member(device, "leaves", json_type_object, false,
				  what, &o, err));
	if (!o)
		return EK_OK;
	CLI_TRY(tarfs_json_text(o, "path", true, what, &path, err));
	CLI_TRY(tarfs_json_text(o, "root", true, what, &root, err));
	CLI_TRY(tarfs_json_number(o, "leaf_size", true, what, &l->leaf_size,
				  err));
	CLI_TRY(tarfs_json_number(o, "count", true, what, &l->count, err));
	if (l->count > EK_LEAVES_MAX)
		return ek_fail(err, EK_LIMIT, "%s: too many", what);
	if (ek_digest_parse(root, l->root, err) != EK_OK)
		return ek_err_prefix(err, "%s", what);
	return place(r->dir, path, &l->path, err);
}

static ek_status get_device(const struct record *r, struct record_device *d,
			    struct json_object *o, struct ek_err *err)
{
	const char *what = RECORD_NAME ": a device", *path;

	CLI_TRY(tarfs_json_text(o, "path", true, what, &path, err));
	CLI_TRY(tarfs_json_number(o, "bytes", true, what, &d->bytes, err));
	CLI_TRY(tarfs_json_number(o, "offset", true, what, &d->offset, err));
	CLI_TRY(tarfs_json_number(o, "tar_bytes", true, what, &d->tar_bytes,
				  err));
	CLI_TRY(place(r->dir, path, &d->path, err));
	return get_leaves(r, &d->leaves, o, err);
}

static ek_status get_lists(struct record *r, struct ek_err *err)
{
	struct json_object *layers, *devices, *at;

	CLI_TRY(tarfs_json_member(r->root, "layers", json_type_array, true,
				  RECORD_NAME, &layers, err));
	CLI_TRY(tarfs_json_member(r->root, "devices", json_type_array, true,
				  RECORD_NAME, &devices, err));
	r->n = json_object_array_length(layers);
	if (json_object_array_length(devices) != r->n || !r->n ||
	    r->n > EK_LAYERS_MAX) {
		r->n = 0;
		return ek_fail(err, EK_CORRUPT,
			       RECORD_NAME ": layers and devices do not agree");
	}
	r->layers = calloc(r->n, sizeof(*r->layers));
	r->devices = calloc(r->n, sizeof(*r->devices));
	if (!r->layers || !r->devices)
		return ek_fail(err, EK_NOMEM, "no memory for a record");
	for (size_t i = 0; i < r->n; i++) {
		CLI_TRY(tarfs_json_at(layers, i, json_type_object, RECORD_NAME,
				      &at, err));
		CLI_TRY(get_layer(&r->layers[i], at, err));
		CLI_TRY(tarfs_json_at(devices, i, json_type_object, RECORD_NAME,
				      &at, err));
		CLI_TRY(get_device(r, &r->devices[i], at, err));
	}
	return EK_OK;
}

static ek_status get_head(struct record *r, struct ek_err *err)
{
	struct json_object *o;
	const char *path;
	uint64_t version;

	CLI_TRY(tarfs_json_number(r->root, "version", true, RECORD_NAME,
				  &version, err));
	if (version != RECORD_VERSION)
		return ek_fail(err, EK_UNSUPPORTED,
			       RECORD_NAME ": version %llu is not known",
			       (unsigned long long)version);
	CLI_TRY(tarfs_json_text(r->root, "name", false, RECORD_NAME, &r->name,
				err));
	CLI_TRY(tarfs_json_text(r->root, "manifest", false, RECORD_NAME,
				&r->manifest, err));
	CLI_TRY(tarfs_json_member(r->root, "config", json_type_object, false,
				  RECORD_NAME, &o, err));
	if (o) {
		CLI_TRY(tarfs_json_text(o, "path", true, "config", &r->config,
					err));
		CLI_TRY(tarfs_json_text(o, "digest", true, "config",
					&r->config_digest, err));
	}
	CLI_TRY(tarfs_json_member(r->root, "platform", json_type_object, false,
				  RECORD_NAME, &o, err));
	if (o)
		CLI_TRY(platform_json(o, RECORD_NAME, &r->platform, err));
	CLI_TRY(tarfs_json_member(r->root, "kernel", json_type_object, true,
				  RECORD_NAME, &o, err));
	CLI_TRY(tarfs_json_text(o, "oldest", true, "kernel", &r->kernel, err));
	CLI_TRY(tarfs_json_member(r->root, "merged", json_type_object, true,
				  RECORD_NAME, &o, err));
	CLI_TRY(tarfs_json_text(o, "uuid", true, "merged", &r->uuid, err));
	CLI_TRY(tarfs_json_number(o, "bytes", true, "merged", &r->merged_bytes,
				  err));
	CLI_TRY(tarfs_json_number(o, "inodes", true, "merged", &r->inodes,
				  err));
	CLI_TRY(tarfs_json_text(o, "path", true, "merged", &path, err));
	return place(r->dir, path, &r->merged, err);
}

ek_status record_read(struct record *r, const char *out, struct ek_err *err)
{
	char *path = NULL, *bytes = NULL;
	size_t n = 0;
	ek_status s;

	*r = (struct record){0};
	r->dir = realpath(out, NULL);
	if (!r->dir)
		return ek_fail_sys(err, errno, "%s", out);
	if (asprintf(&path, "%s/" RECORD_NAME, r->dir) < 0)
		return ek_fail(err, EK_NOMEM, "no memory for a path");
	if (access(path, F_OK) < 0 && errno == ENOENT)
		s = ek_fail(err, EK_NOTFOUND,
			    "%s: no " RECORD_NAME
			    ": not made by convert, or not complete",
			    out);
	else
		s = load(path, &bytes, &n, err);
	free(path);
	if (s != EK_OK)
		return s;
	s = tarfs_json_parse(bytes, n, RECORD_NAME, &r->root, err);
	free(bytes);
	if (s == EK_OK)
		s = get_head(r, err);
	if (s == EK_OK)
		s = get_lists(r, err);
	return s == EK_OK ? s : ek_err_prefix(err, "%s", out);
}

ek_status record_check_devices(const struct record *r, struct ek_err *err)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct record_device *d = &r->devices[i];
		struct stat st;

		if (stat(d->path, &st) < 0)
			return ek_fail_sys(err, errno,
					   "%s: the data of layer %zu", d->path,
					   i);
		if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != d->bytes)
			return ek_fail(err, EK_CHANGED,
				       "%s: not the data of layer %zu any "
				       "more: %llu bytes, not %llu",
				       d->path, i,
				       (unsigned long long)st.st_size,
				       (unsigned long long)d->bytes);
	}
	return EK_OK;
}
