/* SPDX-License-Identifier: Apache-2.0 */

/* The archive of docker save: manifest.json names configurations and layers. */

#include "tarfs/image.h"

#include "tarfs/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHAT "manifest.json"

/* REF, or REF:latest where it has no tag. */
static bool tag_is(const char *tag, const char *ref)
{
	size_t n = strlen(ref);

	return strcmp(tag, ref) == 0 ||
	       (strncmp(tag, ref, n) == 0 && strcmp(tag + n, ":latest") == 0);
}

static ek_status tags_of(struct json_object *entry, struct json_object **tags,
			 size_t *n, struct ek_err *err)
{
	CLI_TRY(tarfs_json_member(entry, "RepoTags", json_type_array, false,
				  WHAT, tags, err));
	*n = *tags ? json_object_array_length(*tags) : 0;
	return EK_OK;
}

/* Whether @ref names @entry; *name gets its first tag. */
static ek_status named(struct json_object *entry, const char *ref, bool *yes,
		       const char **name, struct ek_err *err)
{
	struct json_object *tags;
	const char *config;
	size_t n;

	*yes = false;
	*name = NULL;
	CLI_TRY(tags_of(entry, &tags, &n, err));
	for (size_t i = 0; i < n; i++) {
		const char *tag;

		CLI_TRY(tarfs_json_text_at(tags, i, WHAT, &tag, err));
		if (!*name)
			*name = tag;
		if (ref && tag_is(tag, ref)) {
			*name = tag;
			*yes = true;
		}
	}
	CLI_TRY(tarfs_json_text(entry, "Config", true, WHAT, &config, err));
	if (!*name)
		*name = config;
	if (ref && strncmp(ref, "sha256:", 7) == 0 && strlen(ref) > 7 + 11 &&
	    strstr(config, ref + 7))
		*yes = true;
	return EK_OK;
}

/* Fail with the names of all images. */
static ek_status which(struct archive *a, struct json_object *list,
		       const char *ref, struct ek_err *err)
{
	size_t n = json_object_array_length(list), used;
	char text[768];

	used = (size_t)snprintf(text, sizeof(text), "%s", "");
	for (size_t i = 0; i < n && used < sizeof(text); i++) {
		struct json_object *entry;
		const char *name;
		bool yes;

		CLI_TRY(tarfs_json_at(list, i, json_type_object, WHAT, &entry,
				      err));
		CLI_TRY(named(entry, NULL, &yes, &name, err));
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "%s%s", i ? ", " : "", name);
	}
	if (ref)
		return ek_fail(err, EK_NOTFOUND,
			       "%s: no image '%s'; it has: %s", a->input, ref,
			       text);
	return ek_fail(err, EK_INVALID,
		       "%s: %zu images, choose one by --image: %s", a->input, n,
		       text);
}

static ek_status choose(struct archive *a, struct json_object *list,
			const char *ref, struct json_object **entry,
			const char **name, struct ek_err *err)
{
	size_t n = json_object_array_length(list);

	if (!n)
		return ek_fail(err, EK_CORRUPT, "%s: " WHAT ": no images",
			       a->input);
	if (!ref && n > 1)
		return which(a, list, ref, err);
	for (size_t i = 0; i < n; i++) {
		bool yes;

		CLI_TRY(tarfs_json_at(list, i, json_type_object, WHAT, entry,
				      err));
		CLI_TRY(named(*entry, ref, &yes, name, err));
		if (yes || !ref)
			return EK_OK;
	}
	return which(a, list, ref, err);
}

/*
 * A configuration is called by its digest, mostly: then it is checked.
 * "HEX.json", "blobs/sha256/HEX", "sha256:HEX".
 */
static ek_status check_name(const struct image *image, const char *path,
			    struct ek_err *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t n;

	if (strncmp(name, "sha256:", 7) == 0)
		name += 7;
	n = strspn(name, "0123456789abcdef");
	if (n != 64 || (name[n] && strcmp(name + n, ".json") != 0) ||
	    strncmp(name, image->config_digest + 7, 64) == 0)
		return EK_OK;
	return ek_fail(err, EK_CORRUPT,
		       "configuration '%s' is damaged: its digest is %s", path,
		       image->config_digest);
}

static ek_status take_layers(struct image *image, struct archive *a,
			     struct json_object *entry, struct ek_err *err)
{
	struct json_object *layers;
	size_t n;

	CLI_TRY(tarfs_json_member(entry, "Layers", json_type_array, false, WHAT,
				  &layers, err));
	n = layers ? json_object_array_length(layers) : 0;
	CLI_TRY(image_layers(image, n, err));
	for (size_t i = 0; i < n; i++) {
		const char *path;

		CLI_TRY(tarfs_json_text_at(layers, i, WHAT, &path, err));
		CLI_TRY(archive_find(a, path, &image->layers[i].in, err));
	}
	return EK_OK;
}

static ek_status take(struct image *image, struct archive *a,
		      struct json_object *entry, const char *name,
		      struct ek_err *err)
{
	const char *config;
	char *bytes;
	size_t n;

	CLI_TRY(image_set(&image->name, name, err));
	CLI_TRY(take_layers(image, a, entry, err));
	CLI_TRY(tarfs_json_text(entry, "Config", true, WHAT, &config, err));
	CLI_TRY(archive_load(a, config, TARFS_JSON_MAX, &bytes, &n, err));
	CLI_TRY(image_config(image, bytes, n, err));
	return check_name(image, config, err);
}

static ek_status check_platform(const struct image *image, struct archive *a,
				const struct tarfs_options *o,
				struct ek_err *err)
{
	char have[PLATFORM_TEXT];
	struct platform want;

	/* There is nothing to choose from: without a wish it is right. */
	if (!o->platform)
		return EK_OK;
	CLI_TRY(platform_parse(o->platform, &want, err));
	if (platform_fits(&want, &image->platform))
		return EK_OK;
	platform_text(&image->platform, have);
	return ek_fail(err, EK_NOTFOUND, "%s: the image is for %s, not %s",
		       a->input, have, o->platform);
}

ek_status image_open_docker(struct image *image, struct archive *a,
			    const struct tarfs_options *o, struct ek_err *err)
{
	struct json_object *root = NULL, *entry = NULL;
	const char *name = NULL;
	char *bytes;
	size_t n;
	ek_status s;

	CLI_TRY(archive_load(a, WHAT, TARFS_JSON_MAX, &bytes, &n, err));
	s = tarfs_json_parse(bytes, n, WHAT, &root, err);
	free(bytes);
	if (s != EK_OK)
		return s;
	if (json_object_is_type(root, json_type_array))
		s = choose(a, root, o->image, &entry, &name, err);
	else
		s = ek_fail(err, EK_CORRUPT, "%s: " WHAT ": not an array",
			    a->input);
	if (s == EK_OK)
		s = take(image, a, entry, name, err);
	json_object_put(root);
	return s == EK_OK ? check_platform(image, a, o, err) : s;
}
