/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MKFS_OPTS_H
#define MKFS_OPTS_H

#include "cli/options.h"

#include <erofskit/build.h>

/* The command line of mkfs.erofs, checked. */
struct mkfs_options {
	struct ek_build_options build;
	struct ek_walk_options walk;
	const char *image, *source;
	bool quiet, json, no_sync;
	int level; /* -d */

	/* Storage that build and walk point to. */
	char codec[32];
	char **paths;	/* owned copies */
	char **regexes; /* owned copies */

	/* While parsing. */
	bool have_time, have_max_pcluster;
	int64_t time;
	enum { SCOPE_UNSET, SCOPE_ALL, SCOPE_SUPERBLOCK } time_scope;
};

extern const struct cli_program mkfs_program;

/* CLI_GO_ON, or the status to exit with. Free the options in both cases. */
int mkfs_parse(struct mkfs_options *o, int argc, char **argv);
void mkfs_options_free(struct mkfs_options *o);

/* Leave out @path, relative to the source, too. */
ek_status mkfs_exclude(struct mkfs_options *o, const char *path,
		       struct ek_err *err);

#endif
