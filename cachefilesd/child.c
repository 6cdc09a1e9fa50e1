/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The short-lived child of the holder that reads docker's configuration or
 * runs a helper: so that neither the holder parses JSON nor the worker sees
 * more than the secret for one host.
 */

#include "cachefilesd/fetch/docker.h"
#include "cachefilesd/verbs.h"
#include "cli/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define HELPER_MS 20000

/* @argv: the file of the configuration ("": the default), then the host. */
int ekd_credentials(int argc, char **argv)
{
	const struct rlimit none = {0, 0};
	const char *home = getenv("HOME"), *config = getenv("DOCKER_CONFIG");
	char path[4096], *secret = NULL;
	struct ek_err err;
	ek_status s;

	if (argc != 2)
		return EKD_USAGE;
	/* No core file may hold a secret. */
	setrlimit(RLIMIT_CORE, &none);
	if (*argv[0])
		snprintf(path, sizeof(path), "%s", argv[0]);
	else if (config)
		snprintf(path, sizeof(path), "%s/config.json", config);
	else
		snprintf(path, sizeof(path), "%s/.docker/config.json",
			 home ? home : "/root");
	s = ekd_docker_credentials(path, argv[1], HELPER_MS, &secret, &err);
	if (s == EK_NOTFOUND || (s == EK_OK && !secret))
		return EKD_OK;
	if (s != EK_OK) {
		cli_error("%s", err.text);
		return EKD_FAILED;
	}
	puts(secret);
	explicit_bzero(secret, strlen(secret));
	free(secret);
	return cli_finish() ? EKD_FAILED : EKD_OK;
}
