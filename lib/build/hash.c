/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

#include <openssl/evp.h>
#include <string.h>
#include <xxhash.h>

/* Both handles are opaque: they are the libraries' own. */

ek_status ek_hash_new(struct ek_hash **hash, struct ek_err *err)
{
	XXH3_state_t *state = XXH3_createState();

	if (!state || XXH3_128bits_reset(state) != XXH_OK) {
		XXH3_freeState(state);
		return ek_fail(err, EK_NOMEM, "no memory for a hash");
	}
	*hash = (struct ek_hash *)state;
	return EK_OK;
}

void ek_hash_free(struct ek_hash *hash)
{
	XXH3_freeState((XXH3_state_t *)hash);
}

void ek_hash_add(struct ek_hash *hash, const void *from, size_t n)
{
	(void)XXH3_128bits_update((XXH3_state_t *)hash, from, n);
}

static void put(XXH128_hash_t hash, uint8_t to[16])
{
	XXH128_canonical_t out;

	XXH128_canonicalFromHash(&out, hash);
	memcpy(to, out.digest, 16);
}

void ek_hash_get(const struct ek_hash *hash, uint8_t to[16])
{
	put(XXH3_128bits_digest((const XXH3_state_t *)hash), to);
}

void ek_hash_once(const void *from, size_t n, uint8_t to[16])
{
	put(XXH3_128bits(from, n), to);
}

ek_status ek_sha_new(struct ek_sha **sha, struct ek_err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		return ek_fail(err, EK_NOMEM, "no memory for SHA-256");
	}
	*sha = (struct ek_sha *)ctx;
	return EK_OK;
}

void ek_sha_free(struct ek_sha *sha)
{
	EVP_MD_CTX_free((EVP_MD_CTX *)sha);
}

ek_status ek_sha_add(struct ek_sha *sha, const void *from, size_t n,
		     struct ek_err *err)
{
	if (EVP_DigestUpdate((EVP_MD_CTX *)sha, from, n) != 1)
		return ek_fail(err, EK_NOMEM, "SHA-256 failed");
	return EK_OK;
}

ek_status ek_sha_get(struct ek_sha *sha, uint8_t to[32], struct ek_err *err)
{
	EVP_MD_CTX *ctx = (EVP_MD_CTX *)sha;

	if (EVP_DigestFinal_ex(ctx, to, NULL) != 1 ||
	    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		return ek_fail(err, EK_NOMEM, "SHA-256 failed");
	return EK_OK;
}

ek_status ek_sha_once(const void *from, size_t n, uint8_t to[32],
		      struct ek_err *err)
{
	if (EVP_Digest(from, n, to, NULL, EVP_sha256(), NULL) != 1)
		return ek_fail(err, EK_NOMEM, "SHA-256 failed");
	return EK_OK;
}
