/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_NATIVE_H
#define TARFS_NATIVE_H

/*
 * An OCI layout whose layers are EROFS images with all data, of media type
 * application/vnd.erofs.layer.v1, whiteouts in overlayfs's form.
 */

#include "tarfs/layers.h"

#include <stdio.h>

/* Build the image of every layer into the store. */
ek_status native_layers(struct image *image, const struct tarfs_options *o,
			struct store *store, struct ek_err *err);

/* Configuration, manifest, oci-layout and, last, index.json. */
ek_status native_manifest(struct image *image, struct store *store,
			  struct ek_err *err);

/* One JSON object about it. */
void native_report(const struct image *image, FILE *out);

#endif
