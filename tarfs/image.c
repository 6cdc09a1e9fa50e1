/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/image.h"

#include "tarfs/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ek_status image_set(char **to, const char *text, struct ek_err *err)
{
	free(*to);
	*to = text ? strdup(text) : NULL;
	return !text || *to ? EK_OK : ek_fail(err, EK_NOMEM, "no memory");
}

ek_status image_layers(struct image *image, size_t n, struct ek_err *err)
{
	if (n > EK_LAYERS_MAX)
		return ek_fail(err, EK_LIMIT,
			       "the image has %zu layers; %u is the most", n,
			       EK_LAYERS_MAX);
	image->layers = calloc(n ? n : 1, sizeof(*image->layers));
	if (!image->layers)
		return ek_fail(err, EK_NOMEM, "no memory for layers");
	image->n = n;
	for (size_t i = 0; i < n; i++)
		image->layers[i].shared_fd = -1;
	return EK_OK;
}

static void layer_free(struct image_layer *l)
{
	free(l->digest);
	free(l->diff_id);
	free(l->media_type);
	free(l->blob);
	free(l->path);
	free(l->index);
	free(l->native);
	ek_leaves_free(l->leaves);
	ek_outfile_abort(l->sharing);
	if (l->shared_fd >= 0)
		close(l->shared_fd);
}

void image_free(struct image *image)
{
	for (size_t i = 0; i < image->n; i++)
		layer_free(&image->layers[i]);
	free(image->layers);
	free(image->name);
	free(image->manifest);
	free(image->config);
	*image = (struct image){0};
}

static ek_status diff_ids(struct image *image, struct json_object *root,
			  const char *what, struct ek_err *err)
{
	struct json_object *rootfs, *ids;

	CLI_TRY(tarfs_json_member(root, "rootfs", json_type_object, true, what,
				  &rootfs, err));
	CLI_TRY(tarfs_json_member(rootfs, "diff_ids", json_type_array,
				  image->n > 0, what, &ids, err));
	if ((ids ? json_object_array_length(ids) : 0) != image->n)
		return ek_fail(err, EK_CORRUPT,
			       "%s: %zu diff ids for %zu layers", what,
			       ids ? json_object_array_length(ids) : 0,
			       image->n);
	for (size_t i = 0; i < image->n; i++) {
		const char *id;

		CLI_TRY(tarfs_json_text_at(ids, i, what, &id, err));
		if (tarfs_digest_check(id, err) != EK_OK)
			return ek_err_prefix(err, "%s: diff id %zu", what, i);
		CLI_TRY(image_set(&image->layers[i].diff_id, id, err));
	}
	return platform_json(root, what, &image->platform, err);
}

ek_status image_config(struct image *image, char *bytes, size_t n,
		       struct ek_err *err)
{
	uint8_t digest[EK_DIGEST_SIZE];
	struct json_object *root = NULL;
	ek_status s;

	free(image->config);
	image->config = bytes;
	image->config_len = n;
	CLI_TRY(tarfs_sha256(bytes, n, digest, err));
	tarfs_digest_text(digest, image->config_digest);
	CLI_TRY(tarfs_json_parse(bytes, n, "configuration of the image", &root,
				 err));
	s = diff_ids(image, root, "configuration of the image", err);
	json_object_put(root);
	return s;
}

/* One layer and no words about it. */
static ek_status single(struct image *image, struct archive *a,
			const struct tarfs_options *o, struct ek_err *err)
{
	char text[TARFS_DIGEST_TEXT];

	if (o->image || o->platform)
		return ek_fail(err, EK_INVALID,
			       "%s: one layer: --image and --platform have "
			       "nothing to choose from",
			       a->input);
	CLI_TRY(image_layers(image, 1, err));
	image->layers[0].in = a->whole;
	if (!a->spooled)
		return EK_OK;
	tarfs_digest_text(a->copied.plain, text);
	CLI_TRY(image_set(&image->layers[0].diff_id, text, err));
	tarfs_digest_text(a->copied.digest, text);
	CLI_TRY(image_set(&image->layers[0].digest, text, err));
	image->layers[0].kind = a->copied.kind;
	image->layers[0].checked = true;
	image->layers[0].leaves = a->copied.leaves;
	a->copied.leaves = NULL;
	return EK_OK;
}

/* A layer that is not compressed is its own diff id. */
static ek_status check_plain(const struct image *image, struct archive *a,
			     size_t i, struct ek_err *err)
{
	const struct image_layer *l = &image->layers[i];

	if (l->kind != EK_STREAM_PLAIN || !l->digest || !l->diff_id ||
	    strcmp(l->digest, l->diff_id) == 0)
		return EK_OK;
	return ek_fail(err, EK_CORRUPT,
		       "%s: layer %zu is not compressed, yet its digest is %s "
		       "and its diff id %s",
		       a->input, i, l->digest, l->diff_id);
}

bool image_alike(const struct image_layer *a, const struct image_layer *b)
{
	if (a->digest && b->digest)
		return strcmp(a->digest, b->digest) == 0;
	return a->in.fd == b->in.fd && a->in.offset == b->in.offset &&
	       a->in.bytes == b->in.bytes;
}

/*
 * Whether @a is @b once more. A layer that nobody reads is not taken for
 * another one on the word of a diff id alone.
 */
static bool equal(const struct image_layer *a, const struct image_layer *b)
{
	return a->diff_id && b->diff_id &&
	       strcmp(a->diff_id, b->diff_id) == 0 &&
	       (image_alike(a, b) || !a->plain);
}

static ek_status detect(struct image *image, struct archive *a,
			struct ek_err *err)
{
	for (size_t i = 0; i < image->n; i++) {
		struct image_layer *l = &image->layers[i];
		uint8_t head[EK_STREAM_MAGIC] = {0};
		struct range_source src;
		size_t n = sizeof(head);
		ek_status s;

		if (l->in.bytes < n)
			n = (size_t)l->in.bytes;
		CLI_TRY(range_open(&l->in, &src, err));
		s = ek_source_read(src.slice, 0, head, n, err);
		range_close(&src);
		if (s != EK_OK)
			return s;
		/* A spooled layer was something else before. */
		if (!l->checked)
			l->kind = ek_stream_detect(head, n);
		l->plain = l->checked || l->kind == EK_STREAM_PLAIN;
		l->data = l->in;
		l->same = i;
		for (size_t k = 0; k < i && l->same == i; k++)
			if (equal(l, &image->layers[k]))
				l->same = k;
		CLI_TRY(check_plain(image, a, i, err));
	}
	return EK_OK;
}

ek_status image_open(struct image *image, struct archive *a,
		     const struct tarfs_options *o, struct ek_err *err)
{
	*image = (struct image){0};
	switch (a->kind) {
	case ARCHIVE_OCI:
		CLI_TRY(image_open_oci(image, a, o, err));
		break;
	case ARCHIVE_DOCKER:
		CLI_TRY(image_open_docker(image, a, o, err));
		break;
	case ARCHIVE_LAYER:
		CLI_TRY(single(image, a, o, err));
		break;
	}
	return detect(image, a, err);
}
