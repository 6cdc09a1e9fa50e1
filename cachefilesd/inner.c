/* SPDX-License-Identifier: Apache-2.0 */

/*
 * erofs-cachefilesd-worker: what the holder starts, for as long as the service
 * runs (work) or for a moment (credentials, config). No program of a user: a
 * user's erofs-cachefilesd config or doors goes on as this one.
 */

#include "cachefilesd/verbs.h"
#include "cli/message.h"

#include <signal.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct ekd_options o;
	int status;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], "work") == 0)
		return ekd_work();
	if (argc > 1 && strcmp(argv[1], "credentials") == 0)
		return ekd_credentials(argc - 2, argv + 2);
	status = ekd_parse(&o, argc, argv);
	if (status != CLI_GO_ON)
		return status;
	if (o.verb == EKD_VERB_CONFIG)
		return ekd_config_verb(&o);
	if (o.verb == EKD_VERB_DOORS)
		return ekd_doors(&o);
	cli_error("the service starts this: use erofs-cachefilesd");
	return EKD_USAGE;
}
