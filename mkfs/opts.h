/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MKFS_OPTS_H
#define MKFS_OPTS_H

#include "cli/image.h"
#include "cli/options.h"

#include <erofskit/build.h>

#define MKFS_CODECS_MAX 8

/* A table of leaf digests: its file, and what it holds when it is written. */
struct mkfs_leaves {
	const char *path; /* NULL: not wanted */
	uint32_t size, count;
	uint8_t root[32];
};

/* The command line of mkfs.erofs, checked. */
struct mkfs_options {
	struct ek_build_options build;
	struct ek_walk_options walk;
	const char *image;
	/* None: standard input. */
	char *const *sources;
	size_t n_sources;
	const char *blob;     /* --blobdev, or NULL */
	const char *manifest; /* --manifest-out, or NULL */
	/* --leaf-digests, of the image and of the blob. */
	struct mkfs_leaves leaves, blob_leaves;
	bool verify;
	const char *raw; /* where a decompressed tar is saved, or NULL */
	enum { TAR_NO, TAR_FULL, TAR_INDEX, TAR_HEADERS } tar;
	enum { CLEAN_DEFAULT, CLEAN_DATA, CLEAN_NOTHING } clean;
	bool aufs, strip_overlay;
	bool quiet, json, no_sync;
	int level; /* -d */

	/* Storage that build and walk point to. */
	struct cli_codec parsed[MKFS_CODECS_MAX];
	struct ek_build_codec codecs[MKFS_CODECS_MAX];
	const char **prefixes;	     /* owned; texts are of argv */
	const char *profile;	     /* static; NULL: none */
	struct ek_build_hint *hints; /* owned, with their texts */
	char label[16];
	char *leaves_name;    /* owned; blob_leaves.path */
	char **paths;	      /* owned copies */
	const char **devices; /* owned list; texts are of argv */
	size_t n_devices;
	char **regexes; /* owned copies */

	/* While parsing. */
	bool have_max_pcluster, have_tailpacking, have_wide;
	const char *for_tar, *for_overlay; /* last option that needs one */
	struct cli_time time;
	enum { SCOPE_UNSET, SCOPE_ALL, SCOPE_SUPERBLOCK } time_scope;
};

extern const struct cli_program mkfs_program;

/* CLI_GO_ON, or the status to exit with. Free the options in both cases. */
int mkfs_parse(struct mkfs_options *o, int argc, char **argv);
void mkfs_options_free(struct mkfs_options *o);

/* Leave out @path, relative to the source, too. */
ek_status mkfs_exclude(struct mkfs_options *o, const char *path,
		       struct ek_err *err);

/* opts-codec.c: options that say how to compress. */
ek_status mkfs_codec_option(struct mkfs_options *o, int id, const char *value,
			    struct ek_err *err);
/* What --profile adds to the rest. */
ek_status mkfs_finish_codecs(struct mkfs_options *o, struct ek_err *err);
void mkfs_codec_free(struct mkfs_options *o);

/* opts-source.c: options that say what the sources are. */
ek_status mkfs_source_option(struct mkfs_options *o, int id, const char *value,
			     struct ek_err *err);
/* What those options and the operands must agree on; as mkfs_parse(). */
int mkfs_finish_sources(struct mkfs_options *o, int argc, char **argv);
/* Tell about options that change nothing here; they do no harm. */
void mkfs_warn_unused(const struct mkfs_options *o, bool directory);

#endif
