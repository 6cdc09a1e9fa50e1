/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_IMAGE_H
#define TARFS_IMAGE_H

/* One container image: what its manifest and configuration say. */

#include "tarfs/archive.h"
#include "tarfs/platform.h"

#include <erofskit/layer.h>

struct image_layer {
	/* "sha256:HEX" or NULL: not known. */
	char *digest, *diff_id;
	char *media_type; /* or NULL */
	struct range in;  /* as it is in the archive */
	/*
	 * As a plain tar: in the archive, or in the store under the name
	 * `blob`.
	 */
	enum ek_stream_kind kind;
	struct range data;
	bool plain; /* data is there */
	char *blob;
	char *path;    /* storage of data.path, when it is in the store */
	size_t file;   /* the store's number of blob */
	int shared_fd; /* of data, when it is shared; or -1 */
	struct ek_outfile *sharing; /* data being made to be shared */
	/* The bytes were read and digest and diff_id are theirs. */
	bool checked;
	struct ek_leaves *leaves; /* of data; or NULL */
	size_t same; /* the first layer of equal diff_id: itself, mostly */
	char *index; /* name of its index or image in the store */
	uint64_t copied_files, inodes, index_bytes;
	char *native; /* --format=erofs: digest of the image */
	uint64_t native_bytes;
};

struct image {
	char *name;	/* as the archive calls it, or NULL */
	char *manifest; /* digest of the manifest, or NULL */
	char *config;	/* bytes of the configuration, or NULL */
	size_t config_len;
	char config_digest[TARFS_DIGEST_TEXT];
	struct platform platform; /* empty: not known */
	struct image_layer *layers;
	size_t n;
};

/* Choose the image of @a that @o asks for. Free it in any case. */
ek_status image_open(struct image *image, struct archive *a,
		     const struct tarfs_options *o, struct ek_err *err);
void image_free(struct image *image);

/* The parts of image_open(): by kind of archive. */
ek_status image_open_oci(struct image *image, struct archive *a,
			 const struct tarfs_options *o, struct ek_err *err);
ek_status image_open_docker(struct image *image, struct archive *a,
			    const struct tarfs_options *o, struct ek_err *err);

/*
 * Take over configuration @bytes (malloc'ed) and check it: as many diff ids as
 * there are layers, which get them.
 */
ek_status image_config(struct image *image, char *bytes, size_t n,
		       struct ek_err *err);

/* Make room for @n layers. EK_LIMIT beyond what merges. */
ek_status image_layers(struct image *image, size_t n, struct ek_err *err);

/* Whether both are the same bytes in the archive. */
bool image_alike(const struct image_layer *a, const struct image_layer *b);

/* @text as an own copy in *to, which is freed before. */
ek_status image_set(char **to, const char *text, struct ek_err *err);

#endif
