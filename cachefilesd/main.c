/* SPDX-License-Identifier: Apache-2.0 */

/*
 * erofs-cachefilesd: images load on demand from a registry, and never lie.
 * The command line, and the holder; the worker is a program of its own.
 */

#include "cachefilesd/program.h"
#include "cachefilesd/verbs.h"

#include <signal.h>

static int (*const verbs[EKD_VERBS])(const struct ekd_options *o) = {
	[EKD_VERB_RUN] = ekd_run,
	[EKD_VERB_MOUNT] = ekd_mount_verb,
	[EKD_VERB_UMOUNT] = ekd_umount,
	[EKD_VERB_STATUS] = ekd_status_verb,
	[EKD_VERB_IMAGES] = ekd_images,
	[EKD_VERB_BLOBS] = ekd_blobs,
	[EKD_VERB_WAITS] = ekd_waits,
	[EKD_VERB_PREFETCH] = ekd_prefetch,
	[EKD_VERB_COMPLETE] = ekd_complete,
	[EKD_VERB_TRACE] = ekd_trace_verb,
	[EKD_VERB_GC] = ekd_gc,
	[EKD_VERB_VERIFY] = ekd_verify,
	[EKD_VERB_STOP] = ekd_stop,
};

int main(int argc, char **argv)
{
	struct ekd_options o;
	int status;

	signal(SIGPIPE, SIG_IGN);
	status = ekd_parse(&o, argc, argv);
	if (status != CLI_GO_ON)
		return status;
	/* Those that try what a worker does are its program's. */
	return verbs[o.verb] ? verbs[o.verb](&o) : ekd_worker_exec(argv);
}
