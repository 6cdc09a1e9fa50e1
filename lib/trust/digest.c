/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/digest.h"

#include "base/bytes.h"
#include "base/try.h"
#include "os/pool.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct ek_hasher {
	EVP_MD *md;
	EVP_MD_CTX *salted; /* after the salt */
	EVP_MD_CTX *work;
};

static ek_status no_crypto(struct ek_err *err)
{
	return ek_fail(err, EK_NOMEM, "libcrypto cannot compute SHA-256");
}

ek_status ek_hasher_new(const void *salt, size_t n, struct ek_hasher **hasher,
			struct ek_err *err)
{
	struct ek_hasher *h = calloc(1, sizeof(*h));

	*hasher = NULL;
	if (!h)
		return ek_fail(err, EK_NOMEM, "no memory for a hasher");
	h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	h->salted = EVP_MD_CTX_new();
	h->work = EVP_MD_CTX_new();
	if (!h->md || !h->salted || !h->work ||
	    !EVP_DigestInit_ex2(h->salted, h->md, NULL) ||
	    (n && !EVP_DigestUpdate(h->salted, salt, n))) {
		ek_hasher_free(h);
		return no_crypto(err);
	}
	*hasher = h;
	return EK_OK;
}

void ek_hasher_free(struct ek_hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->work);
	EVP_MD_CTX_free(h->salted);
	EVP_MD_free(h->md);
	free(h);
}

ek_status ek_hasher_begin(struct ek_hasher *h, struct ek_err *err)
{
	return EVP_MD_CTX_copy_ex(h->work, h->salted) ? EK_OK : no_crypto(err);
}

ek_status ek_hasher_add(struct ek_hasher *h, const void *from, size_t n,
			struct ek_err *err)
{
	return EVP_DigestUpdate(h->work, from, n) ? EK_OK : no_crypto(err);
}

ek_status ek_hasher_end(struct ek_hasher *h, uint8_t digest[EK_DIGEST_SIZE],
			struct ek_err *err)
{
	unsigned n = 0;

	if (!EVP_DigestFinal_ex(h->work, digest, &n) || n != EK_DIGEST_SIZE)
		return no_crypto(err);
	return EK_OK;
}

ek_status ek_hasher_once(struct ek_hasher *h, const void *from, size_t n,
			 uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err)
{
	EK_TRY(ek_hasher_begin(h, err));
	EK_TRY(ek_hasher_add(h, from, n, err));
	return ek_hasher_end(h, digest, err);
}

/* Two readers ahead of the one thread that hashes: the digest is a chain. */
#define READERS 2
#define AHEAD	6
#define PIECE	((size_t)1 << 20)

struct piece {
	struct ek_job job;
	struct ek_source *src;
	uint64_t offset;
	size_t n;
	uint8_t *bytes;
};

static ek_status read_piece(struct ek_job *job, unsigned worker,
			    struct ek_err *err)
{
	struct piece *p = (struct piece *)job;

	(void)worker;
	return ek_source_read(p->src, p->offset, p->bytes, p->n, err);
}

/* Hash the oldest piece that was read. */
static ek_status take_piece(struct ek_pool *pool, struct ek_hasher *h,
			    struct ek_err *err)
{
	struct piece *p = (struct piece *)ek_pool_take(pool);

	if (p->job.status != EK_OK) {
		if (err)
			*err = p->job.err;
		return p->job.status;
	}
	return ek_hasher_add(h, p->bytes, p->n, err);
}

static ek_status hash_all(struct ek_source *src, struct ek_pool *pool,
			  struct piece *pieces, struct ek_hasher *h,
			  const volatile int *cancel, struct ek_err *err)
{
	uint64_t done = 0;
	size_t next = 0;

	while (done < src->size) {
		struct piece *p = &pieces[next];

		if (cancel && *cancel)
			return ek_fail(err, EK_CANCELLED, "cancelled");
		if (ek_pool_full(pool))
			EK_TRY(take_piece(pool, h, err));
		p->job.run = read_piece;
		p->src = src;
		p->offset = done;
		p->n = (size_t)ek_min(PIECE, src->size - done);
		ek_pool_submit(pool, &p->job);
		done += p->n;
		next = (next + 1) % AHEAD;
	}
	for (uint64_t left = ek_min(AHEAD, ek_div_up(done, PIECE)); left;
	     left--)
		EK_TRY(take_piece(pool, h, err));
	return EK_OK;
}

ek_status ek_digest_source(struct ek_source *src, const volatile int *cancel,
			   uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err)
{
	EK_AUTO_FREE struct piece *pieces = calloc(AHEAD, sizeof(*pieces));
	EK_AUTO_FREE uint8_t *bytes = malloc(AHEAD * PIECE);
	struct ek_hasher *h = NULL;
	struct ek_pool *pool = NULL;
	ek_status status;

	if (!pieces || !bytes)
		return ek_fail(err, EK_NOMEM, "no memory to read ahead");
	for (size_t i = 0; i < AHEAD; i++)
		pieces[i].bytes = bytes + i * PIECE;
	status = ek_hasher_new(NULL, 0, &h, err);
	if (status == EK_OK)
		status = ek_hasher_begin(h, err);
	if (status == EK_OK)
		status = ek_pool_new(READERS, AHEAD, &pool, err);
	if (status == EK_OK)
		status = hash_all(src, pool, pieces, h, cancel, err);
	if (status == EK_OK)
		status = ek_hasher_end(h, digest, err);
	ek_pool_free(pool);
	ek_hasher_free(h);
	return status;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

ek_status ek_digest_parse(const char *text, uint8_t digest[EK_DIGEST_SIZE],
			  struct ek_err *err)
{
	const char *colon = strchr(text, ':');
	const char *hex = colon ? colon + 1 : text;

	if (colon && (colon - text != 6 || memcmp(text, "sha256", 6) != 0))
		return ek_fail(err, EK_UNSUPPORTED,
			       "%s: only sha256 is known as a digest", text);
	if (strlen(hex) != 2 * EK_DIGEST_SIZE)
		return ek_fail(err, EK_INVALID,
			       "%s: a SHA-256 has 64 hexadecimal digits", text);
	for (size_t i = 0; i < EK_DIGEST_SIZE; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return ek_fail(err, EK_INVALID,
				       "%s: not a hexadecimal number", text);
		digest[i] = (uint8_t)(high << 4 | low);
	}
	return EK_OK;
}

void ek_digest_hex(const uint8_t digest[EK_DIGEST_SIZE], char to[65])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < EK_DIGEST_SIZE; i++) {
		to[2 * i] = digits[digest[i] >> 4];
		to[2 * i + 1] = digits[digest[i] & 15];
	}
	to[2 * EK_DIGEST_SIZE] = 0;
}
