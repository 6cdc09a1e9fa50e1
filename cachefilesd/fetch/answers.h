/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_ANSWERS_H
#define EKD_FETCH_ANSWERS_H

/* JSON from registries: token answers, indexes, errors. Pure. */

#include <erofskit/status.h>

#include <stddef.h>
#include <stdint.h>

/* Longest token that is sent. */
#define EKD_TOKEN_MAX 32768

/*
 * The token in a token server's answer; *token is freed with free() after being
 * wiped. *seconds: how long it is good, 60 when the answer does not say. It
 * holds printable ASCII alone, so it cannot break out of a header.
 */
ek_status ekd_token_parse(const uint8_t *bytes, size_t n, char **token,
			  uint32_t *seconds, struct ek_err *err);

/*
 * The digest of the manifest for @platform ("os/arch" or "os/arch/variant";
 * NULL: this host's) in an index. A platform without variant takes the first
 * of its architecture. EK_NOTFOUND names what there is.
 */
ek_status ekd_index_choose(const uint8_t *bytes, size_t n, const char *platform,
			   char digest[72], struct ek_err *err);

/* The code of the first error ("DENIED"), or "" when there is none. */
void ekd_error_code(const uint8_t *bytes, size_t n, char *to, size_t room);

#endif
