/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_HELPER_H
#define EKD_FETCH_HELPER_H

/* A short-lived program: text in, bounded text out, in bounded time. */

#include <erofskit/status.h>

#include <stddef.h>
#include <stdint.h>

/*
 * Runs @argv (found in $PATH, no shell) with @input as its standard input and
 * nothing open but the standard descriptors; what it says on standard error is
 * dropped. *output, NUL-terminated, is for free() after being wiped, also when
 * *code (its exit status) is not 0. EK_LIMIT: more than @most bytes; EK_IO: it
 * could not be run, was killed, or took longer than @timeout_ms.
 */
ek_status ekd_helper_run(const char *const argv[], const char *input,
			 size_t most, uint32_t timeout_ms, char **output,
			 int *code, struct ek_err *err);

#endif
