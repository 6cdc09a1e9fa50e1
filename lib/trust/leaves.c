/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/leaf.h>

#include "base/buf.h"
#include "base/try.h"

#include <openssl/evp.h>
#include <string.h>

#define DIGEST	   32u
#define READ_PIECE (1u << 20)

/* Begins the file form and what the root is taken over. */
static const char magic[8] = "EKLEAF1\n";

/* Places in the header. */
enum {
	AT_LEAF_SIZE = 8,
	AT_LEAVES = 12,
	AT_BLOB_SIZE = 16,
	AT_ROOT = 24,
	AT_END = AT_ROOT + DIGEST,
	ROOTED = 24, /* bytes that the root covers */
};

struct table {
	struct ek_leaves base;
	uint8_t bytes[];
};

struct ek_leaf_maker {
	EVP_MD_CTX *ctx;
	struct ek_buf digests;
	uint64_t size;
	uint32_t leaf_size;
	uint32_t in_leaf; /* bytes of the leaf that is under way */
};

static ek_status crypto_failed(struct ek_err *err)
{
	return ek_fail(err, EK_NOMEM, "SHA-256 failed");
}

static ek_status sha256(const void *a, size_t n_a, const void *b, size_t n_b,
			uint8_t to[DIGEST], struct ek_err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
		  EVP_DigestUpdate(ctx, a, n_a) &&
		  EVP_DigestUpdate(ctx, b, n_b) &&
		  EVP_DigestFinal_ex(ctx, to, NULL);

	EVP_MD_CTX_free(ctx);
	return ok ? EK_OK : crypto_failed(err);
}

static void put_header(const struct ek_leaves *l, uint8_t *to)
{
	memcpy(to, magic, sizeof(magic));
	ek_put_le32(to + AT_LEAF_SIZE, l->leaf_size);
	ek_put_le32(to + AT_LEAVES, l->n);
	ek_put_le64(to + AT_BLOB_SIZE, l->blob_size);
}

/* Level after level in place in @work (n digests), down to one. */
static ek_status reduce(uint8_t *work, uint64_t n, uint32_t leaf_size,
			struct ek_err *err)
{
	while (n > 1) {
		uint64_t bytes = n * DIGEST, up = 0;

		for (uint64_t at = 0; at < bytes; at += leaf_size, up++)
			EK_TRY(sha256(work + at,
				      (size_t)ek_min(leaf_size, bytes - at), "",
				      0, work + up * DIGEST, err));
		n = up;
	}
	return EK_OK;
}

static ek_status root_of(const struct ek_leaves *l, uint8_t root[DIGEST],
			 struct ek_err *err)
{
	uint8_t header[ROOTED];
	size_t bytes = (size_t)l->n * DIGEST;
	EK_AUTO_FREE uint8_t *work = malloc(bytes + 1);

	if (!work)
		return ek_fail(err, EK_NOMEM, "no memory for %u digests", l->n);
	if (bytes)
		memcpy(work, l->digests, bytes);
	put_header(l, header);
	EK_TRY(reduce(work, l->n, l->leaf_size, err));
	return sha256(header, sizeof(header), work, l->n ? DIGEST : 0, root,
		      err);
}

/* A table with these digests, copied, and its root. */
static ek_status new_table(uint64_t blob_size, uint32_t leaf_size,
			   const uint8_t *digests, uint32_t n,
			   struct ek_leaves **leaves, struct ek_err *err)
{
	struct table *t = malloc(sizeof(*t) + (size_t)n * DIGEST);
	ek_status status;

	if (!t)
		return ek_fail(err, EK_NOMEM, "no memory for %u digests", n);
	t->base.blob_size = blob_size;
	t->base.leaf_size = leaf_size;
	t->base.n = n;
	t->base.digests = t->bytes;
	if (n)
		memcpy(t->bytes, digests, (size_t)n * DIGEST);
	status = root_of(&t->base, t->base.root, err);
	if (status == EK_OK)
		*leaves = &t->base;
	else
		free(t);
	return status;
}

static bool good_leaf_size(uint32_t n)
{
	return ek_is_pow2(n) && n >= EK_LEAF_SIZE_MIN && n <= EK_LEAF_SIZE_MAX;
}

ek_status ek_leaf_maker_new(uint32_t leaf_size, struct ek_leaf_maker **maker,
			    struct ek_err *err)
{
	struct ek_leaf_maker *m;

	if (!good_leaf_size(leaf_size))
		return ek_fail(err, EK_INVALID, "leaves of %u bytes",
			       leaf_size);
	m = calloc(1, sizeof(*m));
	if (m)
		m->ctx = EVP_MD_CTX_new();
	if (!m || !m->ctx || !EVP_DigestInit_ex(m->ctx, EVP_sha256(), NULL)) {
		ek_leaf_maker_free(m);
		return crypto_failed(err);
	}
	m->digests = EK_BUF_INIT((size_t)EK_LEAVES_MAX * DIGEST);
	m->leaf_size = leaf_size;
	*maker = m;
	return EK_OK;
}

void ek_leaf_maker_free(struct ek_leaf_maker *maker)
{
	if (!maker)
		return;
	EVP_MD_CTX_free(maker->ctx);
	ek_buf_free(&maker->digests);
	free(maker);
}

static ek_status end_leaf(struct ek_leaf_maker *m, struct ek_err *err)
{
	uint8_t digest[DIGEST];

	if (!EVP_DigestFinal_ex(m->ctx, digest, NULL) ||
	    !EVP_DigestInit_ex(m->ctx, EVP_sha256(), NULL))
		return crypto_failed(err);
	m->in_leaf = 0;
	return ek_buf_append(&m->digests, digest, sizeof(digest), err);
}

ek_status ek_leaf_maker_add(struct ek_leaf_maker *m, const void *bytes,
			    size_t n, struct ek_err *err)
{
	const uint8_t *p = bytes;

	while (n) {
		size_t part = (size_t)ek_min(n, m->leaf_size - m->in_leaf);

		if (!EVP_DigestUpdate(m->ctx, p, part))
			return crypto_failed(err);
		m->in_leaf += (uint32_t)part;
		m->size += part;
		p += part;
		n -= part;
		if (m->in_leaf == m->leaf_size)
			EK_TRY(end_leaf(m, err));
	}
	return EK_OK;
}

ek_status ek_leaf_maker_finish(struct ek_leaf_maker *m,
			       struct ek_leaves **leaves, struct ek_err *err)
{
	if (m->in_leaf)
		EK_TRY(end_leaf(m, err));
	return new_table(m->size, m->leaf_size, m->digests.data,
			 (uint32_t)(m->digests.len / DIGEST), leaves, err);
}

static ek_status add_source(struct ek_leaf_maker *m, struct ek_source *src,
			    struct ek_err *err)
{
	EK_AUTO_FREE uint8_t *piece = malloc(READ_PIECE);

	if (!piece)
		return ek_fail(err, EK_NOMEM, "no memory to read a blob");
	for (uint64_t at = 0; at < src->size; at += READ_PIECE) {
		size_t n = (size_t)ek_min(READ_PIECE, src->size - at);

		EK_TRY(ek_source_read(src, at, piece, n, err));
		EK_TRY(ek_leaf_maker_add(m, piece, n, err));
	}
	return EK_OK;
}

ek_status ek_leaves_of(struct ek_source *src, uint32_t leaf_size,
		       struct ek_leaves **leaves, struct ek_err *err)
{
	struct ek_leaf_maker *m;
	ek_status status;

	EK_TRY(ek_leaf_maker_new(leaf_size, &m, err));
	status = add_source(m, src, err);
	if (status == EK_OK)
		status = ek_leaf_maker_finish(m, leaves, err);
	ek_leaf_maker_free(m);
	return status;
}

void ek_leaves_free(struct ek_leaves *leaves)
{
	free(leaves); /* the first member of its table */
}

size_t ek_leaves_file_size(const struct ek_leaves *leaves)
{
	return EK_LEAF_HEADER + (size_t)leaves->n * DIGEST;
}

void ek_leaves_encode(const struct ek_leaves *leaves, uint8_t *to)
{
	memset(to, 0, EK_LEAF_HEADER);
	put_header(leaves, to);
	memcpy(to + AT_ROOT, leaves->root, DIGEST);
	if (leaves->n)
		memcpy(to + EK_LEAF_HEADER, leaves->digests,
		       (size_t)leaves->n * DIGEST);
}

ek_status ek_leaves_decode(const uint8_t *bytes, size_t n, const uint8_t *root,
			   struct ek_leaves **leaves, struct ek_err *err)
{
	struct ek_leaves *l = NULL;
	uint64_t blob_size;
	uint32_t leaf_size, count;

	if (n < EK_LEAF_HEADER || memcmp(bytes, magic, sizeof(magic)) != 0)
		return ek_fail(err, EK_CORRUPT, "not a table of leaf digests");
	leaf_size = ek_get_le32(bytes + AT_LEAF_SIZE);
	count = ek_get_le32(bytes + AT_LEAVES);
	blob_size = ek_get_le64(bytes + AT_BLOB_SIZE);
	if (!good_leaf_size(leaf_size) || count > EK_LEAVES_MAX ||
	    ek_div_up(blob_size, leaf_size) != count ||
	    n - EK_LEAF_HEADER != (uint64_t)count * DIGEST ||
	    !ek_all_zero(bytes + AT_END, EK_LEAF_HEADER - AT_END))
		return ek_fail(err, EK_CORRUPT,
			       "leaf digests: sizes do not fit each other");
	EK_TRY(new_table(blob_size, leaf_size, bytes + EK_LEAF_HEADER, count,
			 &l, err));
	if (root && memcmp(l->root, root, DIGEST) != 0) {
		ek_leaves_free(l);
		return ek_fail(err, EK_DIFFERS,
			       "leaf digests do not lead to the root");
	}
	if (memcmp(l->root, bytes + AT_ROOT, DIGEST) != 0) {
		ek_leaves_free(l);
		return ek_fail(err, EK_CORRUPT,
			       "leaf digests do not lead to their own root");
	}
	*leaves = l;
	return EK_OK;
}

uint32_t ek_leaf_length(const struct ek_leaves *leaves, uint32_t i)
{
	uint64_t start = (uint64_t)i * leaves->leaf_size;

	return (uint32_t)ek_min(leaves->leaf_size, leaves->blob_size - start);
}

ek_status ek_leaf_verify(const struct ek_leaves *leaves, uint32_t i,
			 const void *bytes, size_t n, struct ek_err *err)
{
	uint8_t digest[DIGEST];

	EK_BUG_ON(i >= leaves->n);
	if (n != ek_leaf_length(leaves, i))
		return ek_fail(err, EK_DIFFERS, "leaf %u has %u bytes, not %zu",
			       i, ek_leaf_length(leaves, i), n);
	EK_TRY(sha256(bytes, n, "", 0, digest, err));
	if (memcmp(digest, leaves->digests + (size_t)i * DIGEST, DIGEST) != 0)
		return ek_fail(err, EK_DIFFERS, "leaf %u has a wrong digest",
			       i);
	return EK_OK;
}
