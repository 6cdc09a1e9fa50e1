/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_OPTS_H
#define EKD_OPTS_H

/* The command line of erofs-cachefilesd, checked. */

#include "cli/options.h"

#include <stdbool.h>

enum ekd_verb {
	EKD_VERB_RUN,
	EKD_VERB_CONFIG,
	EKD_VERB_DOORS,
	EKD_VERB_MOUNT,
	EKD_VERB_UMOUNT,
	EKD_VERB_STATUS,
	EKD_VERB_IMAGES,
	EKD_VERB_BLOBS,
	EKD_VERB_WAITS,
	EKD_VERB_PREFETCH,
	EKD_VERB_COMPLETE,
	EKD_VERB_TRACE,
	EKD_VERB_GC,
	EKD_VERB_VERIFY,
	EKD_VERB_STOP,
	EKD_VERBS,
};

/* Ids of options; those of a verb are bits of a mask. */
enum {
	OPT_CONFIG,
	OPT_STATE_DIR,
	OPT_RUN_DIR,
	OPT_UPGRADE,
	OPT_SOCKET,
	OPT_INDEX,
	OPT_FROM,
	OPT_INDEX_DIGEST,
	OPT_PLATFORM,
	OPT_UNTRUSTED,
	OPT_RW,
	OPT_PERSIST,
	OPT_SUID,
	OPT_COMPLETE,
	OPT_LOOP,
	OPT_TRACE,
	OPT_LAZY,
	OPT_MIN,
	OPT_OFF,
	OPT_WAIT,
	OPT_STOP,
	OPT_OUTPUT,
	OPT_UMOUNT,
	OPT_KEEP,
	OPT_JSON,
	OPT_QUIET,
	OPT_COUNT,
};

/* Exit statuses. */
#define EKD_OK	   0
#define EKD_FAILED 1
#define EKD_ERRORS 4 /* verify: something was wrong */
#define EKD_USAGE  16

struct ekd_options {
	enum ekd_verb verb;
	char **operands;
	size_t n_operands;
	bool has[OPT_COUNT];
	const char *text[OPT_COUNT]; /* values as they were given */
};

extern const struct cli_program ekd_program;

/* CLI_GO_ON, or the status to exit with. */
int ekd_parse(struct ekd_options *o, int argc, char **argv);

#endif
