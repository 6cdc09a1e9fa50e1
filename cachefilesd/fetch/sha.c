/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/sha.h"

#include <erofskit/trust.h>

#include <openssl/evp.h>

#include <stdlib.h>
#include <string.h>

struct ekd_sha {
	EVP_MD_CTX *context;
	bool failed;
};

void ekd_sha_free(struct ekd_sha *sha)
{
	if (!sha)
		return;
	EVP_MD_CTX_free(sha->context);
	free(sha);
}

ek_status ekd_sha_new(struct ekd_sha **sha, struct ek_err *err)
{
	struct ekd_sha *s = calloc(1, sizeof(*s));

	*sha = NULL;
	if (!s || !(s->context = EVP_MD_CTX_new()) ||
	    EVP_DigestInit_ex(s->context, EVP_sha256(), NULL) != 1) {
		ekd_sha_free(s);
		return ek_fail(err, EK_NOMEM, "no memory for a digest");
	}
	*sha = s;
	return EK_OK;
}

void ekd_sha_add(struct ekd_sha *sha, const void *bytes, size_t n)
{
	if (EVP_DigestUpdate(sha->context, bytes, n) != 1)
		sha->failed = true;
}

ek_status ekd_sha_end(struct ekd_sha *sha, char text[72], struct ek_err *err)
{
	uint8_t digest[EK_DIGEST_SIZE];
	bool ok = !sha->failed &&
		  EVP_DigestFinal_ex(sha->context, digest, NULL) == 1;

	ekd_sha_free(sha);
	if (!ok)
		return ek_fail(err, EK_IO, "libcrypto cannot hash");
	memcpy(text, "sha256:", 7);
	ek_digest_hex(digest, text + 7);
	return EK_OK;
}

ek_status ekd_sha_of(const void *bytes, size_t n, char text[72],
		     struct ek_err *err)
{
	struct ekd_sha *sha;
	ek_status status = ekd_sha_new(&sha, err);

	if (status != EK_OK)
		return status;
	ekd_sha_add(sha, bytes, n);
	return ekd_sha_end(sha, text, err);
}
