/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An image of a registry whose layers are EROFS images ("native" ones). The
 * reference pins the manifest if it is a digest; the manifest names layers by
 * digest, and may name the root of their leaf digests and a blob with the
 * table. A layer without these is read as a whole once.
 */

#include "cachefilesd/worker/priv.h"

#include "cachefilesd/config/json.h"

#include <erofskit/trust.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYER_TYPE "application/vnd.erofs.layer.v1"
/* Annotations of a layer: hexadecimal digits; "sha256:HEX". */
#define LEAF_ROOT  "io.erofskit.leaf-root"
#define LEAF_TABLE "io.erofskit.leaf-table"

struct native {
	struct ekd_service *s;
	struct image *image;
	int dir;
	struct ekd_reference ref; /* with the manifest's digest */
	bool pinned;		  /* by who asks */
	enum ekd_untrusted untrusted;
};

static ek_status not_pinned(const struct native *n, const char *what,
			    struct ek_err *err)
{
	return ek_fail(err, EK_INVALID,
		       "%s: pin it (oci://%s/%s@%s is what it is now), or read "
		       "its layers as a whole with "
		       "--untrusted-index=stream-first",
		       what, n->ref.host, n->ref.repo, n->ref.digest);
}

/* Digests under the root that the manifest names. */
static ek_status by_table(struct native *n, uint32_t i, const char *root,
			  const char *table, struct ek_err *err)
{
	struct ekd_record_blob *b = &n->image->record.blobs[i];
	struct ek_leaves *leaves;
	uint8_t *bytes;
	ek_status s;
	size_t len;

	EK_TRY(ek_digest_parse(root, b->root, err));
	ekd_blob_rooted(b);
	EK_TRY(ekd_fetch_small_blob(n->s->fetch, &n->ref, table, &bytes, &len,
				    err));
	s = ek_leaves_decode(bytes, len, b->root, &leaves, err);
	free(bytes);
	if (s != EK_OK)
		return ek_err_prefix(err, "leaf digests of layer %u", i);
	if (leaves->blob_size != b->size)
		s = ek_fail(err, EK_DIFFERS,
			    "leaf digests of layer %u: of another size", i);
	if (s == EK_OK)
		s = files_put_leaves(n->dir, i, leaves, err);
	ek_leaves_free(leaves);
	return s;
}

static ek_status by_stream(struct native *n, uint32_t i, struct ek_err *err)
{
	struct ekd_record_blob *b = &n->image->record.blobs[i];
	struct ekd_blob *blob;
	ek_status s;

	EK_TRY(stream_blob(n->s, &n->ref, b->digest, b->size, &blob, err));
	memcpy(b->root, ekd_blob_leaves(blob)->root, sizeof(b->root));
	s = files_put_leaves(n->dir, i, ekd_blob_leaves(blob), err);
	ekd_blob_close(blob);
	return s;
}

static ek_status take_layer(struct native *n, uint32_t i,
			    struct ekd_object *layer, struct ek_err *err)
{
	struct ekd_record_blob *b = &n->image->record.blobs[i];
	const char *type = "", *digest = NULL, *root = NULL, *table = NULL;
	struct ekd_object notes;

	EK_TRY(ekd_get_text(layer, "mediaType", &type, err));
	if (strcmp(type, LAYER_TYPE) != 0)
		return ek_fail(err, EK_UNSUPPORTED,
			       "layer %u is '%.80s', not " LAYER_TYPE
			       ": convert the image with erofs-tarfs and mount "
			       "it with --index",
			       i, type);
	EK_TRY(ekd_get_text(layer, "digest", &digest, err));
	EK_TRY(ekd_get_number(layer, "size", 1, INT64_MAX, &b->size, err));
	if (!digest || !b->size)
		return ek_fail(err, EK_CORRUPT, "layer %u has no digest", i);
	EK_TRY(ekd_blob_name_of(digest, b->name, err));
	snprintf(b->digest, sizeof(b->digest), "sha256:%s", b->name + 7);
	b->kind = EKD_FROM_REGISTRY;
	text_put(b->from, sizeof(b->from), n->image->record.from);
	n->image->record.parts[i].whole = true;
	n->image->record.parts[i].primary = i;
	EK_TRY(ekd_object_member(layer, "annotations", &notes, err));
	EK_TRY(ekd_get_text(&notes, LEAF_ROOT, &root, err));
	EK_TRY(ekd_get_text(&notes, LEAF_TABLE, &table, err));
	if (n->pinned && root && table)
		return by_table(n, i, root, table, err);
	if (!n->pinned && n->untrusted != EKD_UNTRUSTED_STREAM)
		return not_pinned(n, "a tag may name anything", err);
	return by_stream(n, i, err);
}

static ek_status take_manifest(struct native *n, struct ekd_object *root,
			       struct ek_err *err)
{
	struct ekd_object layer;
	size_t count;

	EK_TRY(ekd_object_element(root, "layers", SIZE_MAX, &count, &layer,
				  err));
	if (count < 1 || count > EKD_LOWERS)
		return ek_fail(err, EK_LIMIT, "%zu layers", count);
	EK_TRY(ekd_record_make(&n->image->record, (uint32_t)count,
			       (uint32_t)count, err));
	for (uint32_t i = 0; i < count; i++) {
		EK_TRY(ekd_object_element(root, "layers", i, &count, &layer,
					  err));
		EK_TRY(take_layer(n, i, &layer, err));
	}
	return EK_OK;
}

static ek_status read_manifest(struct native *n, const char *bytes, size_t len,
			       struct ek_err *err)
{
	struct ekd_object root;
	struct ekd_json json;
	ek_status s;

	EK_TRY(ekd_json_read(bytes, len, EKD_SMALL_MAX, &json, err));
	s = ekd_object_root(&json, &root, err);
	if (s == EK_OK)
		s = take_manifest(n, &root, err);
	ekd_json_free(&json);
	return s;
}

ek_status prepare_native(struct ekd_service *s,
			 const struct ekd_mount_request *request,
			 struct image *image, int dir, struct ek_err *err)
{
	struct native n = {
		.s = s,
		.image = image,
		.dir = dir,
		.untrusted = request->has_untrusted ? request->untrusted
						    : s->o.config->untrusted,
	};
	char digest[72], media[128];
	uint8_t *bytes;
	ek_status status;
	size_t len;

	EK_TRY(ekd_reference_parse(request->image, &n.ref, err));
	n.pinned = *n.ref.digest;
	EK_TRY(ekd_fetch_image(s->fetch, &n.ref, request->platform, &bytes,
			       &len, digest, media, err));
	text_put(n.ref.digest, sizeof(n.ref.digest), digest);
	*n.ref.tag = 0;
	/* From now on it is this one, whatever the tag comes to mean. */
	snprintf(image->record.from, sizeof(image->record.from), "%s/%s@%s",
		 n.ref.host, n.ref.repo, digest);
	status = read_manifest(&n, (char *)bytes, len, err);
	free(bytes);
	return status == EK_OK ? status
			       : ek_err_prefix(err, "%s", request->image);
}
