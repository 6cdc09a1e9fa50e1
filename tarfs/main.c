/* SPDX-License-Identifier: Apache-2.0 */

/* erofs-tarfs: container images as file systems, without unpacking. */

#include "tarfs/verbs.h"

#include <signal.h>
#include <string.h>

/* Set by a signal: what runs stops where it can and undoes itself. */
static volatile int caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void watch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	/* A second one kills. No SA_RESTART: a wait for a lock or a pipe ends.
	 */
	struct sigaction act = {.sa_handler = on_signal,
				.sa_flags = (int)SA_RESETHAND};
	struct sigaction old;

	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(const struct tarfs_options *o)
{
	switch (o->verb) {
	case VERB_CONVERT:
		return tarfs_convert(o);
	case VERB_INSPECT:
		return tarfs_inspect(o);
	case VERB_MOUNT:
		return tarfs_mount(o);
	case VERB_UMOUNT:
		return tarfs_umount(o);
	case VERB_MERGE:
		return tarfs_merge(o);
	case VERB_VERIFY:
		return tarfs_verify(o);
	case VERB_NONE:
		break;
	}
	return TARFS_USAGE;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
	struct tarfs_options o;
	int status;

	watch_signals();
	if (argc > 0 && strcmp(base_name(argv[0]), "nydus-image") == 0)
		return tarfs_nydus(argc, argv, &caught);
	status = tarfs_parse(&o, argc, argv);
	if (status == CLI_GO_ON) {
		o.build.cancel = &caught;
		status = run(&o);
	}
	if (caught && status) {
		signal(caught, SIG_DFL);
		raise(caught);
	}
	return status;
}
