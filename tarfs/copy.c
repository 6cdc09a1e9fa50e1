/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/copy.h"

#include "cli/leaves.h"
#include "cli/options.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (1u << 20)

static ek_status sha_failed(struct ek_err *err)
{
	return ek_fail(err, EK_NOMEM, "libcrypto cannot make a SHA-256");
}

static ek_status sha_new(EVP_MD_CTX **sha, struct ek_err *err)
{
	*sha = EVP_MD_CTX_new();
	if (*sha && EVP_DigestInit_ex(*sha, EVP_sha256(), NULL) == 1)
		return EK_OK;
	EVP_MD_CTX_free(*sha);
	*sha = NULL;
	return sha_failed(err);
}

ek_status tarfs_sha256(const void *bytes, size_t n,
		       uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err)
{
	if (EVP_Digest(bytes, n, digest, NULL, EVP_sha256(), NULL) != 1)
		return sha_failed(err);
	return EK_OK;
}

ek_status tarfs_digest_fd(int fd, const char *name, const volatile int *cancel,
			  uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err)
{
	struct ek_source *src;
	ek_status s;

	CLI_TRY(ek_source_from_fd(fd, name, 0, &src, err));
	s = ek_digest_source(src, cancel, digest, err);
	ek_source_free(src);
	return s;
}

void tarfs_digest_text(const uint8_t digest[EK_DIGEST_SIZE],
		       char text[TARFS_DIGEST_TEXT])
{
	memcpy(text, "sha256:", 7);
	ek_digest_hex(digest, text + 7);
}

ek_status tarfs_digest_check(const char *text, struct ek_err *err)
{
	size_t n = strcspn(text, ":");

	if (text[n] && strncmp(text, "sha256:", 7) != 0)
		return ek_fail(err, EK_UNSUPPORTED,
			       "%.200s: only SHA-256 digests are known", text);
	if (text[n] && strlen(text) == TARFS_DIGEST_TEXT - 1 &&
	    strspn(text + 7, "0123456789abcdef") == 64)
		return EK_OK;
	return ek_fail(err, EK_CORRUPT, "'%.200s' is no digest", text);
}

/* An input that digests what is read through it. */
struct hashed {
	struct ek_tar_input base;
	struct ek_tar_input *in; /* borrowed */
	EVP_MD_CTX *sha;
	struct tarfs_meter *meter;
	uint64_t bytes;
	bool whole; /* the end was seen */
};

static ek_status hashed_read(struct ek_tar_input *in, void *to, size_t n,
			     size_t *got, struct ek_err *err)
{
	struct hashed *h = (struct hashed *)in;

	CLI_TRY(h->in->read(h->in, to, n, got, err));
	h->whole = *got == 0;
	h->bytes += *got;
	if (EVP_DigestUpdate(h->sha, to, *got) != 1)
		return sha_failed(err);
	if (h->meter)
		tarfs_meter_step(h->meter, *got);
	return EK_OK;
}

/* It lives on the stack of tarfs_copy(). */
static void hashed_free(struct ek_tar_input *in)
{
	(void)in;
}

static ek_status drain(struct hashed *h, uint8_t *piece, struct ek_err *err)
{
	size_t got = 0;

	while (!h->whole)
		CLI_TRY(hashed_read(&h->base, piece, PIECE, &got, err));
	return EK_OK;
}

/* What digests the bytes that come out. */
struct plain {
	EVP_MD_CTX *sha;
	struct ek_leaf_maker *leaves; /* or NULL */
};

static ek_status pump(struct ek_tar_input *in, const struct tarfs_copy_how *how,
		      const struct plain *plain, bool packed, uint8_t *piece,
		      uint64_t *bytes, struct ek_err *err)
{
	const struct tarfs_stop *stop = how->stop;

	for (;;) {
		size_t got = 0;

		if ((stop->signal && *stop->signal) || stop->failed)
			return ek_fail(err, EK_CANCELLED, "stopped");
		CLI_TRY(in->read(in, piece, PIECE, &got, err));
		if (!got)
			return EK_OK;
		*bytes += got;
		if (packed && EVP_DigestUpdate(plain->sha, piece, got) != 1)
			return sha_failed(err);
		if (plain->leaves)
			CLI_TRY(ek_leaf_maker_add(plain->leaves, piece, got,
						  err));
		if (how->fd >= 0)
			CLI_TRY(cli_write_all(how->fd, how->to, piece, got,
					      err));
	}
}

static ek_status run(struct hashed *h, const struct tarfs_copy_how *how,
		     const struct plain *plain, uint8_t *piece,
		     struct tarfs_copy *c, struct ek_err *err)
{
	struct ek_tar_input *in = NULL;
	bool packed;
	ek_status s;

	CLI_TRY(ek_stream_auto(&h->base, how->name, &in, &c->kind, err));
	packed = c->kind != EK_STREAM_PLAIN;
	s = pump(in, how, plain, packed, piece, &c->bytes_out, err);
	/* The digest is of everything, whatever a decoder left unread. */
	if (s == EK_OK)
		s = drain(h, piece, err);
	ek_tar_input_free(in);
	if (s != EK_OK)
		return s;
	c->bytes_in = h->bytes;
	if (EVP_DigestFinal_ex(h->sha, c->digest, NULL) != 1 ||
	    (packed && EVP_DigestFinal_ex(plain->sha, c->plain, NULL) != 1))
		return sha_failed(err);
	if (!packed)
		memcpy(c->plain, c->digest, sizeof(c->plain));
	if (!plain->leaves)
		return EK_OK;
	return ek_leaf_maker_finish(plain->leaves, &c->leaves, err);
}

ek_status tarfs_copy(struct ek_tar_input *in, const struct tarfs_copy_how *how,
		     struct tarfs_copy *copy, struct ek_err *err)
{
	struct hashed h = {
		.base = {.read = hashed_read, .free = hashed_free},
		.in = in,
		.meter = how->meter,
	};
	struct plain plain = {NULL, NULL};
	uint8_t *piece = malloc(PIECE);
	ek_status s;

	*copy = (struct tarfs_copy){.kind = EK_STREAM_PLAIN};
	s = piece ? sha_new(&h.sha, err)
		  : ek_fail(err, EK_NOMEM, "no memory for a copy");
	if (s == EK_OK)
		s = sha_new(&plain.sha, err);
	if (s == EK_OK && how->leaves)
		s = ek_leaf_maker_new(EK_LEAF_SIZE, &plain.leaves, err);
	if (s == EK_OK)
		s = run(&h, how, &plain, piece, copy, err);
	EVP_MD_CTX_free(h.sha);
	EVP_MD_CTX_free(plain.sha);
	ek_leaf_maker_free(plain.leaves);
	free(piece);
	return s;
}
