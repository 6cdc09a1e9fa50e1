/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_RECORD_H
#define TARFS_RECORD_H

/* image.json: what convert made (docs/tarfs.md). */

#include "tarfs/image.h"

#include <stdio.h>

#define RECORD_NAME    "image.json"
#define RECORD_VERSION 1

/* Write the record of @image to @out. */
void record_write(const struct image *image, const struct ek_build_stats *stats,
		  const char *merged, FILE *out);

struct record_layer {
	const char *digest, *diff_id, *media_type; /* or NULL */
	const char *compression, *index;
	bool checked;
	uint64_t inodes, index_bytes, copied_files;
};

/* A table of leaf digests. */
struct record_leaves {
	char *path; /* absolute; NULL: there is none */
	uint64_t leaf_size, count;
	uint8_t root[EK_DIGEST_SIZE];
};

struct record_device {
	char *path; /* absolute */
	uint64_t offset, tar_bytes, bytes;
	struct record_leaves leaves;
};

/* A record read back; all texts live as long as it does. */
struct record {
	struct json_object *root;
	char *dir; /* absolute */
	char *merged;
	const char *name, *manifest;	    /* or NULL */
	const char *config, *config_digest; /* or NULL */
	const char *uuid, *kernel;
	struct platform platform;
	uint64_t merged_bytes, inodes;
	struct record_layer *layers;
	struct record_device *devices; /* one a layer */
	size_t n;
};

/* Read OUT/image.json of @out. Free it in any case. */
ek_status record_read(struct record *r, const char *out, struct ek_err *err);
void record_free(struct record *r);

/* Each device is there and has its bytes. EK_CHANGED. */
ek_status record_check_devices(const struct record *r, struct ek_err *err);

#endif
