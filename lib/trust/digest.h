/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TRUST_DIGEST_H
#define EK_TRUST_DIGEST_H

/*
 * SHA-256 by libcrypto, made for many short messages: nothing is looked up or
 * allocated while hashing. A hasher belongs to one thread at a time.
 */

#include <erofskit/status.h>
#include <erofskit/trust.h>

struct ek_hasher;

/* @salt (copied, @n may be 0) goes before each message. */
ek_status ek_hasher_new(const void *salt, size_t n, struct ek_hasher **hasher,
			struct ek_err *err);
/* NULL allowed. */
void ek_hasher_free(struct ek_hasher *hasher);

/* A message in pieces: begin, add as often as needed, end. */
ek_status ek_hasher_begin(struct ek_hasher *hasher, struct ek_err *err);
ek_status ek_hasher_add(struct ek_hasher *hasher, const void *from, size_t n,
			struct ek_err *err);
ek_status ek_hasher_end(struct ek_hasher *hasher,
			uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err);

/* The three for a message in one piece. */
ek_status ek_hasher_once(struct ek_hasher *hasher, const void *from, size_t n,
			 uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err);

#endif
