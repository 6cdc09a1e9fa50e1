/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_DOCKER_H
#define EKD_FETCH_DOCKER_H

/*
 * Credentials as docker and podman keep them: a config.json with auths,
 * credHelpers and credsStore. Transfers do not use this: it is for the
 * short-lived child that the holder starts, so that no key to all registries
 * comes near the process that talks to them. Never from a thread of a process
 * that handles SIGCHLD by waiting for any child.
 */

#include <erofskit/status.h>

#include <stdint.h>

/* Bytes of a configuration, and of what a helper says. */
#define EKD_DOCKER_CONFIG_MAX (1u << 20)
#define EKD_DOCKER_HELPER_MAX (64u << 10)

/*
 * The credentials for registry @host ("name:port") in the file @path, as
 * "user:password" or "<token>:TEXT" for an identity token; *secret NULL when
 * there are none. For free() after being wiped.
 *
 * A helper is docker-credential-NAME in $PATH, run without a shell; NAME has
 * letters, digits, '-', '_' and '.' only. It is killed after @timeout_ms.
 * Errors: EK_NOTFOUND (no file), EK_LIMIT (no regular file, or one that is too
 * long; a helper says too much), EK_CORRUPT (not such a file, or an answer of a
 * helper that is not one), EK_IO (a helper that cannot be run or fails).
 */
ek_status ekd_docker_credentials(const char *path, const char *host,
				 uint32_t timeout_ms, char **secret,
				 struct ek_err *err);

#endif
