/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_OPTS_H
#define TARFS_OPTS_H

#include "cli/image.h"
#include "cli/options.h"

#include <erofskit/build.h>

#include <stdbool.h>

enum tarfs_verb {
	VERB_NONE = 0,
	VERB_CONVERT,
	VERB_INSPECT,
	VERB_MOUNT,
	VERB_UMOUNT,
	VERB_MERGE,
	VERB_VERIFY,
};

/* Exit statuses; verify's are those of fsck.erofs. */
#define TARFS_OK	0
#define TARFS_FAILED	1
#define TARFS_ERRORS	4
#define TARFS_UNCHECKED 8
#define TARFS_USAGE	16

/* The command line, checked. */
struct tarfs_options {
	enum tarfs_verb verb;
	char **operands;
	size_t n_operands;
	const char *output;   /* -o */
	const char *image;    /* --image */
	const char *platform; /* --platform, or NULL: the host's */
	const char *upper;    /* --upper */
	const char *share;    /* --share, or NULL */
	bool native;	      /* --format=erofs */
	bool check_digests, force, rw, no_sync, quiet, json;
	/* --leaf-digests; AUTO: of what is read anyway. */
	enum { LEAVES_AUTO, LEAVES_ALL, LEAVES_NONE } leaves;
	struct ek_build_options build;
	struct cli_codec codec; /* storage of build.codec */

	/* While parsing. */
	struct cli_time time;
	const char *given[32]; /* by id: how the option is called */
};

extern const struct cli_program tarfs_program;

/* CLI_GO_ON, or the status to exit with. */
int tarfs_parse(struct tarfs_options *o, int argc, char **argv);

/* Whether layers that are read get leaf digests. */
bool tarfs_leaves(const struct tarfs_options *o);

#endif
