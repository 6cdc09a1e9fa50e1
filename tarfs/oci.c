/* SPDX-License-Identifier: Apache-2.0 */

/* OCI layouts: index.json, nested indexes, manifest, configuration, layers. */

#include "tarfs/oci.h"

#include "tarfs/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Indexes within indexes. */
#define NESTED_MAX 4
/* Images of one layout. */
#define CANDIDATES_MAX 4096u

struct candidate {
	char *digest, *ref, *name;
	uint64_t size;
	bool has_platform;
	struct platform platform;
};

struct candidates {
	struct archive *a;
	struct candidate *at;
	size_t n;
};

static void candidates_free(struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->at[i].digest);
		free(c->at[i].ref);
		free(c->at[i].name);
	}
	free(c->at);
}

static ek_status blob_name(const char *digest, char name[96],
			   struct ek_err *err)
{
	CLI_TRY(tarfs_digest_check(digest, err));
	snprintf(name, 96, "blobs/sha256/%s", digest + 7);
	return EK_OK;
}

/* The bytes of a small blob, checked against their digest. */
static ek_status load(struct archive *a, const char *digest, uint64_t size,
		      const char *what, char **bytes, size_t *n,
		      struct ek_err *err)
{
	char name[96], text[TARFS_DIGEST_TEXT];
	uint8_t got[EK_DIGEST_SIZE];
	ek_status s;

	CLI_TRY(blob_name(digest, name, err));
	s = archive_load(a, name, TARFS_JSON_MAX, bytes, n, err);
	if (s != EK_OK)
		return ek_err_prefix(err, "%s", what);
	s = tarfs_sha256(*bytes, *n, got, err);
	tarfs_digest_text(got, text);
	if (s == EK_OK && (strcmp(text, digest) != 0 || *n != size))
		s = ek_fail(err, EK_CORRUPT,
			    "%s: %s of %s is damaged: it has %zu bytes and the "
			    "digest %s, not %llu bytes",
			    a->input, what, digest, *n, text,
			    (unsigned long long)size);
	if (s != EK_OK)
		free(*bytes);
	return s;
}

static ek_status load_json(struct archive *a, const char *digest, uint64_t size,
			   const char *what, struct json_object **root,
			   struct ek_err *err)
{
	char *bytes;
	size_t n;
	ek_status s;

	CLI_TRY(load(a, digest, size, what, &bytes, &n, err));
	s = tarfs_json_parse(bytes, n, what, root, err);
	free(bytes);
	return s;
}

static ek_status add(struct candidates *c, const struct oci_descriptor *d,
		     const struct oci_descriptor *from, struct ek_err *err)
{
	struct candidate *at = reallocarray(c->at, c->n + 1, sizeof(*c->at));

	if (!at)
		return ek_fail(err, EK_NOMEM, "no memory for manifests");
	c->at = at;
	if (c->n == CANDIDATES_MAX)
		return ek_fail(err, EK_LIMIT, "%s: more than %u manifests",
			       c->a->input, CANDIDATES_MAX);
	at += c->n++;
	*at = (struct candidate){.size = d->size,
				 .has_platform = d->has_platform,
				 .platform = d->platform};
	CLI_TRY(image_set(&at->digest, d->digest, err));
	CLI_TRY(image_set(&at->ref,
			  d->ref ? d->ref
			  : from ? from->ref
				 : NULL,
			  err));
	return image_set(&at->name,
			 d->image_name ? d->image_name
			 : from	       ? from->image_name
				       : NULL,
			 err);
}

static bool is_index(const char *media_type)
{
	return media_type && (strcmp(media_type, OCI_INDEX) == 0 ||
			      strcmp(media_type, DOCKER_INDEX) == 0);
}

static bool is_manifest(const char *media_type)
{
	return !media_type || strcmp(media_type, OCI_MANIFEST) == 0 ||
	       strcmp(media_type, DOCKER_MANIFEST) == 0;
}

static ek_status collect(struct candidates *c, struct json_object *index,
			 const struct oci_descriptor *from, int depth,
			 struct ek_err *err);

static ek_status nested(struct candidates *c, const struct oci_descriptor *d,
			const struct oci_descriptor *from, int depth,
			struct ek_err *err)
{
	struct oci_descriptor names = *d;
	struct json_object *root;
	ek_status s;

	if (depth == NESTED_MAX)
		return ek_fail(err, EK_LIMIT,
			       "%s: more than %d indexes in one another",
			       c->a->input, NESTED_MAX);
	if (!names.ref && from)
		names.ref = from->ref;
	if (!names.image_name && from)
		names.image_name = from->image_name;
	CLI_TRY(load_json(c->a, d->digest, d->size, "an index", &root, err));
	s = collect(c, root, &names, depth + 1, err);
	json_object_put(root);
	return s;
}

static ek_status collect(struct candidates *c, struct json_object *index,
			 const struct oci_descriptor *from, int depth,
			 struct ek_err *err)
{
	const char *what = depth ? "an index" : "index.json";
	struct json_object *list;

	CLI_TRY(tarfs_json_member(index, "manifests", json_type_array, true,
				  what, &list, err));
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct oci_descriptor d;
		struct json_object *at;

		CLI_TRY(tarfs_json_at(list, i, json_type_object, what, &at,
				      err));
		CLI_TRY(oci_descriptor(at, what, &d, err));
		if (d.attestation)
			continue;
		if (is_index(d.media_type))
			CLI_TRY(nested(c, &d, from, depth, err));
		else if (is_manifest(d.media_type))
			CLI_TRY(add(c, &d, from, err));
	}
	return EK_OK;
}

static bool named(const struct candidate *c, const char *ref)
{
	return !ref || strcmp(c->digest, ref) == 0 ||
	       (c->ref && strcmp(c->ref, ref) == 0) ||
	       (c->name && strcmp(c->name, ref) == 0);
}

static const char *name_of(const struct candidate *c)
{
	return c->name ? c->name : c->ref ? c->ref : c->digest;
}

/* Fail, listing what there is: names and platforms. */
static ek_status which(const struct candidates *c, const char *problem,
		       struct ek_err *err)
{
	char text[768] = "", platform[PLATFORM_TEXT];
	size_t used = 0;

	for (size_t i = 0; i < c->n && used < sizeof(text); i++) {
		platform_text(&c->at[i].platform, platform);
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "%s%s%s%s%s", i ? ", " : "",
					 name_of(&c->at[i]),
					 c->at[i].has_platform ? " (" : "",
					 c->at[i].has_platform ? platform : "",
					 c->at[i].has_platform ? ")" : "");
	}
	return ek_fail(err, EK_NOTFOUND, "%s: %s; it has: %s", c->a->input,
		       problem, c->n ? text : "no images");
}

static bool same_name(const struct candidate *a, const struct candidate *b)
{
	const char *x = a->name ? a->name : a->ref ? a->ref : "";
	const char *y = b->name ? b->name : b->ref ? b->ref : "";

	return strcmp(x, y) == 0;
}

/*
 * Of several variants of one platform: the newest arm (v7 before v6), as every
 * host of today runs it; of others the one that asks for least.
 */
static const struct candidate *better(const struct candidate *a,
				      const struct candidate *b)
{
	int order = strcmp(a->platform.variant, b->platform.variant);

	if (strcmp(a->platform.arch, "arm") == 0)
		order = -order;
	return order > 0 ? b : a;
}

static ek_status choose(const struct candidates *c,
			const struct tarfs_options *o,
			const struct candidate **chosen, struct ek_err *err)
{
	const struct candidate *only = NULL, *best = NULL;
	size_t fitting = 0;
	struct platform want;
	bool several = false;

	platform_host(&want);
	if (o->platform)
		CLI_TRY(platform_parse(o->platform, &want, err));
	for (size_t i = 0; i < c->n; i++) {
		const struct candidate *at = &c->at[i];

		if (!named(at, o->image))
			continue;
		/* The same manifest may be told several times. */
		fitting += !only || strcmp(only->digest, at->digest) != 0;
		only = only ? only : at;
		if (!platform_fits(&want, &at->platform))
			continue;
		if (best && strcmp(best->digest, at->digest) != 0 &&
		    (!same_name(best, at) || !at->has_platform ||
		     strcmp(best->platform.variant, at->platform.variant) == 0))
			several = true;
		best = best ? better(best, at) : at;
	}
	/* Where there is no choice, nothing but a wish can be wrong. */
	if (!best && fitting == 1 && !o->platform)
		best = only;
	if (!only)
		return which(c, "no such image", err);
	if (!best)
		return which(c, "no image for the platform", err);
	if (several)
		return which(c, "several images, choose one by --image", err);
	*chosen = best;
	return EK_OK;
}

static ek_status take_layer(struct image *image, struct archive *a, size_t i,
			    struct json_object *object, struct ek_err *err)
{
	struct image_layer *l = &image->layers[i];
	enum oci_layer_type type = OCI_LAYER_TAR;
	struct oci_descriptor d;
	char name[96];
	ek_status s;

	CLI_TRY(oci_descriptor(object, "a layer of the manifest", &d, err));
	if (d.media_type)
		type = oci_layer_type(d.media_type);
	if (type == OCI_LAYER_OTHER)
		return ek_fail(err, EK_UNSUPPORTED,
			       "%s: layer %zu is of type '%s', which is no tar",
			       a->input, i, d.media_type);
	CLI_TRY(image_set(&l->digest, d.digest, err));
	CLI_TRY(image_set(&l->media_type, d.media_type, err));
	CLI_TRY(blob_name(d.digest, name, err));
	s = archive_find(a, name, &l->in, err);
	if (s == EK_NOTFOUND && type == OCI_LAYER_FOREIGN)
		return ek_fail(err, EK_UNSUPPORTED,
			       "%s: layer %zu (%s) is a foreign one: its data "
			       "is not in the image and must be had elsewhere",
			       a->input, i, d.digest);
	if (s != EK_OK)
		return ek_err_prefix(err, "layer %zu", i);
	if (l->in.bytes != d.size)
		return ek_fail(err, EK_CORRUPT,
			       "%s: layer %zu (%s) has %llu bytes, not %llu",
			       a->input, i, d.digest,
			       (unsigned long long)l->in.bytes,
			       (unsigned long long)d.size);
	return EK_OK;
}

static ek_status take_layers(struct image *image, struct archive *a,
			     struct json_object *manifest, struct ek_err *err)
{
	struct json_object *list;

	CLI_TRY(tarfs_json_member(manifest, "layers", json_type_array, true,
				  "the manifest", &list, err));
	CLI_TRY(image_layers(image, json_object_array_length(list), err));
	for (size_t i = 0; i < image->n; i++) {
		struct json_object *at;

		CLI_TRY(tarfs_json_at(list, i, json_type_object,
				      "layers of the manifest", &at, err));
		CLI_TRY(take_layer(image, a, i, at, err));
	}
	return EK_OK;
}

static ek_status take_manifest(struct image *image, struct archive *a,
			       struct json_object *manifest, struct ek_err *err)
{
	struct json_object *config;
	struct oci_descriptor d;
	char *bytes;
	size_t n;

	CLI_TRY(tarfs_json_member(manifest, "config", json_type_object, true,
				  "the manifest", &config, err));
	CLI_TRY(oci_descriptor(config, "the manifest's config", &d, err));
	if (d.media_type && strcmp(d.media_type, OCI_CONFIG) != 0 &&
	    strcmp(d.media_type, DOCKER_CONFIG) != 0)
		return ek_fail(err, EK_UNSUPPORTED,
			       "%s: not a container image: its configuration "
			       "is of type '%s'",
			       a->input, d.media_type);
	/* Layers first: the configuration is checked against them. */
	CLI_TRY(take_layers(image, a, manifest, err));
	CLI_TRY(load(a, d.digest, d.size, "the configuration", &bytes, &n,
		     err));
	return image_config(image, bytes, n, err);
}

static ek_status take(struct image *image, struct archive *a,
		      const struct candidate *c, const struct tarfs_options *o,
		      struct ek_err *err)
{
	struct json_object *root;
	struct platform want;
	char have[PLATFORM_TEXT];
	ek_status s;

	CLI_TRY(image_set(&image->manifest, c->digest, err));
	CLI_TRY(image_set(&image->name, c->name ? c->name : c->ref, err));
	CLI_TRY(load_json(a, c->digest, c->size, "the manifest", &root, err));
	s = take_manifest(image, a, root, err);
	json_object_put(root);
	if (s != EK_OK || !o->platform)
		return s;
	/* The descriptor may have been silent. */
	CLI_TRY(platform_parse(o->platform, &want, err));
	if (platform_fits(&want, &image->platform))
		return EK_OK;
	platform_text(&image->platform, have);
	return ek_fail(err, EK_NOTFOUND, "%s: the image is for %s, not %s",
		       a->input, have, o->platform);
}

ek_status image_open_oci(struct image *image, struct archive *a,
			 const struct tarfs_options *o, struct ek_err *err)
{
	struct candidates c = {.a = a};
	const struct candidate *chosen = NULL;
	struct json_object *root;
	char *bytes;
	size_t n;
	ek_status s;

	CLI_TRY(archive_load(a, "index.json", TARFS_JSON_MAX, &bytes, &n, err));
	s = tarfs_json_parse(bytes, n, "index.json", &root, err);
	free(bytes);
	if (s != EK_OK)
		return s;
	s = collect(&c, root, NULL, 0, err);
	json_object_put(root);
	if (s == EK_OK)
		s = choose(&c, o, &chosen, err);
	if (s == EK_OK)
		s = take(image, a, chosen, o, err);
	candidates_free(&c);
	return s;
}
