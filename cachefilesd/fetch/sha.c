/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/sha.h"

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
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[32];
	bool ok = !sha->failed &&
		  EVP_DigestFinal_ex(sha->context, digest, NULL) == 1;

	ekd_sha_free(sha);
	if (!ok)
		return ek_fail(err, EK_IO, "libcrypto cannot hash");
	memcpy(text, "sha256:", 7);
	for (size_t i = 0; i < sizeof(digest); i++) {
		text[7 + 2 * i] = digits[digest[i] >> 4];
		text[8 + 2 * i] = digits[digest[i] & 15];
	}
	text[7 + 64] = '\0';
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
