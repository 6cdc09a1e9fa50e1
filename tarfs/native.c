/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/native.h"

#include "cli/json.h"
#include "tarfs/oci.h"

#include <stdlib.h>
#include <string.h>

/* One small JSON document on its way into the store. */
struct document {
	char *text;
	size_t n;
	FILE *out;
	struct cli_json j;
};

static ek_status no_memory(struct ek_err *err)
{
	return ek_fail(err, EK_NOMEM, "no memory for a manifest");
}

static ek_status begin(struct document *d, struct ek_err *err)
{
	*d = (struct document){0};
	d->out = open_memstream(&d->text, &d->n);
	if (!d->out)
		return no_memory(err);
	cli_json_start(&d->j, d->out);
	cli_json_open(&d->j, NULL, '{');
	cli_json_unsigned(&d->j, "schemaVersion", 2);
	return EK_OK;
}

static ek_status end(struct document *d, struct ek_err *err)
{
	cli_json_close(&d->j);
	return fclose(d->out) ? no_memory(err) : EK_OK;
}

static ek_status put_blob(struct store *store, const void *bytes, size_t n,
			  char digest[TARFS_DIGEST_TEXT], struct ek_err *err)
{
	uint8_t sha[EK_DIGEST_SIZE];
	char name[96];

	CLI_TRY(tarfs_sha256(bytes, n, sha, err));
	tarfs_digest_text(sha, digest);
	snprintf(name, sizeof(name), "blobs/sha256/%s", digest + 7);
	return store_put(store, name, bytes, n, err);
}

static ek_status build_one(struct image *image, size_t i,
			   const struct tarfs_options *o, struct store *store,
			   struct ek_err *err)
{
	struct image_layer *l = &image->layers[i];
	struct ek_build_options how = o->build;
	struct ek_build_stats stats = {0};
	char name[96], text[TARFS_DIGEST_TEXT];
	uint8_t sha[EK_DIGEST_SIZE];
	struct layer_tree tree;
	size_t number;
	int fd;
	ek_status s;

	how.uuid_mode = EK_UUID_CONTENT;
	snprintf(name, sizeof(name), "blobs/sha256/.layer-%03zu", i);
	CLI_TRY(store_file(store, name, &fd, &number, err));
	s = layer_tree_open(&tree, image, i, o, err);
	if (s == EK_OK)
		s = ek_build_layer(tree.layer, &how, fd, name, &stats, err);
	layer_tree_close(&tree);
	if (s != EK_OK)
		return ek_err_prefix(err, "layer %zu", i);
	CLI_TRY(tarfs_digest_fd(fd, name, o->build.cancel, sha, err));
	tarfs_digest_text(sha, text);
	l->native_bytes = stats.bytes_out;
	l->inodes = stats.inodes;
	CLI_TRY(image_set(&l->native, text, err));
	snprintf(name, sizeof(name), "blobs/sha256/%s", text + 7);
	/* Different tars may give equal images. */
	for (size_t k = 0; k < i; k++)
		if (strcmp(image->layers[k].native, text) == 0) {
			store_drop(store, number);
			return EK_OK;
		}
	return store_rename(store, number, name, err);
}

ek_status native_layers(struct image *image, const struct tarfs_options *o,
			struct store *store, struct ek_err *err)
{
	for (size_t i = 0; i < image->n; i++) {
		struct image_layer *l = &image->layers[i];
		const struct image_layer *first = &image->layers[l->same];

		if (l->same == i) {
			CLI_TRY(build_one(image, i, o, store, err));
			continue;
		}
		CLI_TRY(image_set(&l->native, first->native, err));
		l->native_bytes = first->native_bytes;
		l->inodes = first->inodes;
	}
	return EK_OK;
}

/* A single tar has no configuration: the least that is one. */
static struct json_object *plain_config(void)
{
	struct json_object *root = json_object_new_object();
	struct json_object *rootfs = json_object_new_object();
	struct platform host;

	if (!root || !rootfs)
		return NULL;
	platform_host(&host);
	json_object_object_add(root, "architecture",
			       json_object_new_string(host.arch));
	json_object_object_add(root, "os", json_object_new_string(host.os));
	json_object_object_add(rootfs, "type",
			       json_object_new_string("layers"));
	json_object_object_add(root, "rootfs", rootfs);
	return root;
}

/* The configuration with the digests of the images as diff ids. */
static ek_status put_config(struct image *image, struct store *store,
			    char digest[TARFS_DIGEST_TEXT], size_t *bytes,
			    struct ek_err *err)
{
	struct json_object *root = NULL, *rootfs = NULL, *ids;
	const char *text;
	ek_status s = EK_OK;

	if (image->config)
		CLI_TRY(tarfs_json_parse(image->config, image->config_len,
					 "configuration", &root, err));
	else
		root = plain_config();
	ids = json_object_new_array();
	if (!root || !ids ||
	    !json_object_object_get_ex(root, "rootfs", &rootfs)) {
		json_object_put(ids);
		json_object_put(root);
		return no_memory(err);
	}
	for (size_t i = 0; i < image->n; i++)
		json_object_array_add(
			ids, json_object_new_string(image->layers[i].native));
	json_object_object_add(rootfs, "diff_ids", ids);
	text = json_object_to_json_string_ext(root,
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	*bytes = text ? strlen(text) : 0;
	s = text ? put_blob(store, text, *bytes, digest, err) : no_memory(err);
	json_object_put(root);
	return s;
}

static void descriptor(struct cli_json *j, const char *key, const char *type,
		       const char *digest, uint64_t size)
{
	cli_json_open(j, key, '{');
	cli_json_text(j, "mediaType", type);
	cli_json_text(j, "digest", digest);
	cli_json_unsigned(j, "size", size);
}

static ek_status put_manifest(const struct image *image, struct store *store,
			      const char *config, size_t config_bytes,
			      char digest[TARFS_DIGEST_TEXT], size_t *bytes,
			      struct ek_err *err)
{
	struct document d;
	ek_status s;

	CLI_TRY(begin(&d, err));
	cli_json_text(&d.j, "mediaType", OCI_MANIFEST);
	descriptor(&d.j, "config", OCI_CONFIG, config, config_bytes);
	cli_json_close(&d.j);
	cli_json_open(&d.j, "layers", '[');
	for (size_t i = 0; i < image->n; i++) {
		const struct image_layer *l = &image->layers[i];

		descriptor(&d.j, NULL, OCI_LAYER_EROFS, l->native,
			   l->native_bytes);
		cli_json_close(&d.j);
	}
	cli_json_close(&d.j);
	s = end(&d, err);
	*bytes = d.n;
	if (s == EK_OK)
		s = put_blob(store, d.text, d.n, digest, err);
	free(d.text);
	return s;
}

static ek_status put_index(const struct image *image, struct store *store,
			   const char *manifest, size_t bytes,
			   struct ek_err *err)
{
	const struct platform *p = &image->platform;
	struct document d;
	ek_status s;

	CLI_TRY(begin(&d, err));
	cli_json_text(&d.j, "mediaType", OCI_INDEX);
	cli_json_open(&d.j, "manifests", '[');
	descriptor(&d.j, NULL, OCI_MANIFEST, manifest, bytes);
	if (*p->os) {
		cli_json_open(&d.j, "platform", '{');
		cli_json_text(&d.j, "architecture", p->arch);
		cli_json_text(&d.j, "os", p->os);
		if (*p->variant)
			cli_json_text(&d.j, "variant", p->variant);
		cli_json_close(&d.j);
	}
	if (image->name) {
		cli_json_open(&d.j, "annotations", '{');
		cli_json_text(&d.j, "org.opencontainers.image.ref.name",
			      image->name);
		cli_json_close(&d.j);
	}
	cli_json_close(&d.j);
	cli_json_close(&d.j);
	s = end(&d, err);
	if (s == EK_OK)
		s = store_put(store, "index.json", d.text, d.n, err);
	free(d.text);
	return s;
}

ek_status native_manifest(struct image *image, struct store *store,
			  struct ek_err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	char config[TARFS_DIGEST_TEXT], manifest[TARFS_DIGEST_TEXT];
	size_t config_bytes = 0, bytes = 0;

	CLI_TRY(put_config(image, store, config, &config_bytes, err));
	CLI_TRY(put_manifest(image, store, config, config_bytes, manifest,
			     &bytes, err));
	CLI_TRY(store_put(store, "oci-layout", layout, sizeof(layout) - 1,
			  err));
	return put_index(image, store, manifest, bytes, err);
}

void native_report(const struct image *image, FILE *out)
{
	struct cli_json j;

	cli_json_start(&j, out);
	cli_json_open(&j, NULL, '{');
	cli_json_open(&j, "layers", '[');
	for (size_t i = 0; i < image->n; i++) {
		const struct image_layer *l = &image->layers[i];

		cli_json_open(&j, NULL, '{');
		cli_json_text(&j, "diff_id", l->diff_id ? l->diff_id : "");
		cli_json_text(&j, "image", l->native);
		cli_json_unsigned(&j, "bytes", l->native_bytes);
		cli_json_unsigned(&j, "inodes", l->inodes);
		cli_json_close(&j);
	}
	cli_json_close(&j);
	cli_json_close(&j);
}
