/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_SHA_H
#define EKD_FETCH_SHA_H

/* SHA-256 of a stream, compared with a digest's text. */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>

struct ekd_sha;

ek_status ekd_sha_new(struct ekd_sha **sha, struct ek_err *err);
void ekd_sha_add(struct ekd_sha *sha, const void *bytes, size_t n);
/* Ends and frees; @text gets "sha256:HEX". EK_IO if libcrypto failed. */
ek_status ekd_sha_end(struct ekd_sha *sha, char text[72], struct ek_err *err);
void ekd_sha_free(struct ekd_sha *sha);

/* All of a text at once. */
ek_status ekd_sha_of(const void *bytes, size_t n, char text[72],
		     struct ek_err *err);

#endif
