/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_OCI_H
#define TARFS_OCI_H

/* The words of the OCI image specification and of docker's older ones. */

#include "tarfs/json.h"
#include "tarfs/platform.h"

#define OCI_INDEX	"application/vnd.oci.image.index.v1+json"
#define OCI_MANIFEST	"application/vnd.oci.image.manifest.v1+json"
#define OCI_CONFIG	"application/vnd.oci.image.config.v1+json"
#define OCI_LAYER_EROFS "application/vnd.erofs.layer.v1"

#define DOCKER_DIST	"application/vnd.docker.distribution."
#define DOCKER_INDEX	DOCKER_DIST "manifest.list.v2+json"
#define DOCKER_MANIFEST DOCKER_DIST "manifest.v2+json"
#define DOCKER_CONFIG	"application/vnd.docker.container.image.v1+json"

/* A descriptor: borrowed from its JSON. */
struct oci_descriptor {
	const char *media_type; /* or NULL */
	const char *digest;	/* checked */
	uint64_t size;
	const char *ref, *image_name; /* annotations, or NULL */
	bool attestation;	      /* no image: says something about one */
	bool has_platform;
	struct platform platform;
};

ek_status oci_descriptor(struct json_object *object, const char *what,
			 struct oci_descriptor *d, struct ek_err *err);

enum oci_layer_type { OCI_LAYER_TAR, OCI_LAYER_FOREIGN, OCI_LAYER_OTHER };

enum oci_layer_type oci_layer_type(const char *media_type);

#endif
