/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_REFERENCE_H
#define EKD_FETCH_REFERENCE_H

/* Names of the distribution protocol. Pure. */

#include "cachefilesd/fetch/fetch.h"

/* "sha256:" and 64 lower-case hexadecimal digits. */
bool ekd_digest_ok(const char *text);
/* Whether host, repo, tag and digest are what a parser would have made. */
bool ekd_reference_ok(const struct ekd_reference *ref);

#endif
