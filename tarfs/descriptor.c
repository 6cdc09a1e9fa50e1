/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/oci.h"

#include "cli/options.h"
#include "tarfs/copy.h"

#include <string.h>

static ek_status annotations(struct json_object *object, const char *what,
			     struct oci_descriptor *d, struct ek_err *err)
{
	struct json_object *notes;
	const char *type;

	CLI_TRY(tarfs_json_member(object, "annotations", json_type_object,
				  false, what, &notes, err));
	if (!notes)
		return EK_OK;
	CLI_TRY(tarfs_json_text(notes, "org.opencontainers.image.ref.name",
				false, what, &d->ref, err));
	CLI_TRY(tarfs_json_text(notes, "io.containerd.image.name", false, what,
				&d->image_name, err));
	CLI_TRY(tarfs_json_text(notes, "vnd.docker.reference.type", false, what,
				&type, err));
	d->attestation = type != NULL;
	return EK_OK;
}

ek_status oci_descriptor(struct json_object *object, const char *what,
			 struct oci_descriptor *d, struct ek_err *err)
{
	struct json_object *platform;

	*d = (struct oci_descriptor){0};
	CLI_TRY(tarfs_json_text(object, "mediaType", false, what,
				&d->media_type, err));
	CLI_TRY(tarfs_json_text(object, "digest", true, what, &d->digest, err));
	if (tarfs_digest_check(d->digest, err) != EK_OK)
		return ek_err_prefix(err, "%s", what);
	CLI_TRY(tarfs_json_number(object, "size", true, what, &d->size, err));
	CLI_TRY(annotations(object, what, d, err));
	CLI_TRY(tarfs_json_member(object, "platform", json_type_object, false,
				  what, &platform, err));
	if (!platform)
		return EK_OK;
	d->has_platform = true;
	CLI_TRY(platform_json(platform, what, &d->platform, err));
	if (strcmp(d->platform.os, "unknown") == 0)
		d->attestation = true;
	return EK_OK;
}

enum oci_layer_type oci_layer_type(const char *media_type)
{
	static const char *const bases[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.docker.image.rootfs.diff.tar",
	};
	static const char *const foreign[] = {
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
	};
	static const char *const ends[] = {"",	    "+gzip", "+zstd", ".gzip",
					   ".zstd", "+xz",   ".xz"};

	for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); e++)
		for (size_t i = 0; i < 2; i++) {
			size_t b = strlen(bases[i]), f = strlen(foreign[i]);

			if (strncmp(media_type, bases[i], b) == 0 &&
			    strcmp(media_type + b, ends[e]) == 0)
				return OCI_LAYER_TAR;
			if (strncmp(media_type, foreign[i], f) == 0 &&
			    strcmp(media_type + f, ends[e]) == 0)
				return OCI_LAYER_FOREIGN;
		}
	return OCI_LAYER_OTHER;
}
