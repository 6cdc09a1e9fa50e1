/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_LEAF_H
#define EROFSKIT_LEAF_H

/**
 * @file leaf.h
 * Leaf digests: SHA-256 over each leaf (64 KiB) of a blob, under a Merkle
 * root. Who trusts the root can verify each leaf alone, so a blob may come in
 * pieces from somebody who is not trusted.
 *
 * Level 0 are the digests of the leaves, the last of which may be short. Level
 * k + 1 are the digests of level k cut in pieces of one leaf size. The root is
 * SHA-256 over a header (magic, leaf size, length of the blob) and the one
 * digest of the last level; for an empty blob over the header alone.
 */

#include <erofskit/source.h>
#include <erofskit/status.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of a leaf of a new table. */
#define EK_LEAF_SIZE (64u << 10)
/** Smallest and largest leaf that a table may have. */
#define EK_LEAF_SIZE_MIN 4096u
#define EK_LEAF_SIZE_MAX (1u << 20)
/** Most leaves of one blob: 4 TiB of 64 KiB. */
#define EK_LEAVES_MAX (UINT32_C(1) << 26)
/** Bytes of the file form before the digests. */
#define EK_LEAF_HEADER 64u

/** Digests of one blob's leaves; read-only after it is made. */
struct ek_leaves {
	uint64_t blob_size;
	uint32_t leaf_size;
	uint32_t n; /**< leaves */
	uint8_t root[32];
	const uint8_t *digests; /**< n times 32 bytes */
};

/** Makes the digests of a stream of bytes. One thread at a time. */
struct ek_leaf_maker;

ek_status ek_leaf_maker_new(uint32_t leaf_size, struct ek_leaf_maker **maker,
			    struct ek_err *err);
void ek_leaf_maker_free(struct ek_leaf_maker *maker);
/** The next @p n bytes of the blob. EK_LIMIT beyond EK_LEAVES_MAX leaves. */
ek_status ek_leaf_maker_add(struct ek_leaf_maker *maker, const void *bytes,
			    size_t n, struct ek_err *err);
/** The end: *leaves for ek_leaves_free(). The maker is then of no more use. */
ek_status ek_leaf_maker_finish(struct ek_leaf_maker *maker,
			       struct ek_leaves **leaves, struct ek_err *err);

/** Digests of all of @p src, read once. */
ek_status ek_leaves_of(struct ek_source *src, uint32_t leaf_size,
		       struct ek_leaves **leaves, struct ek_err *err);

void ek_leaves_free(struct ek_leaves *leaves);

/** Bytes of the file form. */
size_t ek_leaves_file_size(const struct ek_leaves *leaves);
/** Write the file form to @p to (ek_leaves_file_size() bytes). */
void ek_leaves_encode(const struct ek_leaves *leaves, uint8_t *to);
/**
 * Read the file form. With @p root (NULL: none is known) the digests must lead
 * to it: EK_DIFFERS otherwise. EK_CORRUPT: not a table, or one whose own root
 * does not fit.
 */
ek_status ek_leaves_decode(const uint8_t *bytes, size_t n, const uint8_t *root,
			   struct ek_leaves **leaves, struct ek_err *err);

/** Bytes of leaf @p i, all alike but the last. */
uint32_t ek_leaf_length(const struct ek_leaves *leaves, uint32_t i);

/**
 * Whether @p n bytes at @p bytes are leaf @p i: EK_OK, or EK_DIFFERS. Any
 * thread.
 */
ek_status ek_leaf_verify(const struct ek_leaves *leaves, uint32_t i,
			 const void *bytes, size_t n, struct ek_err *err);

#ifdef __cplusplus
}
#endif

#endif
