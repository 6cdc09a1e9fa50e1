/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_RECORD_H
#define EKD_RECORD_H

/*
 * What a successor must know of a mounted image: image.json in its directory
 * beneath images/, written before the kernel mounts it. Pure functions.
 */

#include "cachefilesd/holder/protocol.h"

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EKD_RECORD_VERSION 1
#define EKD_RECORD_MAX	   (1u << 20)
/* Bytes of "host/repo:tag", "host/repo@sha256:HEX" and of paths, with NUL. */
#define EKD_SOURCE_TEXT 1100

enum ekd_from {
	EKD_FROM_REGISTRY, /* @from is a reference */
	EKD_FROM_LOCAL,	   /* @from is a path */
};

/* A blob that the image uses. */
struct ekd_record_blob {
	/* Of the store and of the door; has the root in it, if it is rooted. */
	char name[EKD_DOOR_NAME + 1];
	char digest[72]; /* "sha256:HEX" */
	uint64_t size;
	uint8_t root[32]; /* of its leaves */
	enum ekd_from kind;
	char from[EKD_SOURCE_TEXT];
	bool direct; /* complete: the kernel reads the store's file */
	bool packed; /* compressed there: of use as a whole only */
	bool rooted; /* somebody said that this is its root */
};

/* One EROFS that is mounted: several are layers of an overlay. */
struct ekd_record_part {
	bool whole; /* the primary is blob @primary, else index.erofs */
	uint32_t primary;
	uint32_t n_devices;
	uint32_t devices[EKD_DEVICES]; /* blobs, in the order of the slots */
};

struct ekd_record {
	char target[EKD_PATH];
	char source[EKD_SOURCE_TEXT]; /* as it was asked for */
	char from[EKD_SOURCE_TEXT];   /* "" */
	bool rw, persist, suid, complete, loop;
	uint32_t n_blobs, n_parts;
	struct ekd_record_blob *blobs;
	struct ekd_record_part *parts; /* bottom first */
};

/* A record of so many blobs and parts, all zero. */
ek_status ekd_record_make(struct ekd_record *record, uint32_t n_blobs,
			  uint32_t n_parts, struct ek_err *err);
/* Frees what it holds. */
void ekd_record_free(struct ekd_record *record);

/* The text of @record; free(*text). */
ek_status ekd_record_print(const struct ekd_record *record, char **text,
			   size_t *n, struct ek_err *err);
/* EK_CORRUPT, EK_INVALID, EK_LIMIT: no record; EK_UNSUPPORTED: of another
 * version. */
ek_status ekd_record_parse(const char *text, size_t n,
			   struct ekd_record *record, struct ek_err *err);

/* "sha256-HEX" of "sha256:HEX"; EK_INVALID: not such a digest. */
ek_status ekd_blob_name_of(const char *digest, char name[EKD_DOOR_NAME + 1],
			   struct ek_err *err);
/*
 * Note in @blob, whose digest, name and root are set, that the root was not
 * derived here from what has the digest: only blobs of the same root may share
 * its name. Two who trust other roots would get each other's bytes.
 */
void ekd_blob_rooted(struct ekd_record_blob *blob);

#endif
