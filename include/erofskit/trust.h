/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_TRUST_H
#define EROFSKIT_TRUST_H

/**
 * @file trust.h
 * Evidence about the bytes of an image: SHA-256 of all of them, and hash
 * trees of dm-verity, equal to what veritysetup(8) makes of the same bytes.
 */

#include <erofskit/source.h>
#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EK_DIGEST_SIZE 32

/**
 * SHA-256 of all bytes of @p src, read ahead in large pieces. @p cancel (NULL
 * allowed) non-zero ends it with EK_CANCELLED.
 */
ek_status ek_digest_source(struct ek_source *src, const volatile int *cancel,
			   uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err);

/**
 * Parse "sha256:HEX" or 64 hexadecimal digits in either case. EK_UNSUPPORTED
 * for another algorithm, EK_INVALID else.
 */
ek_status ek_digest_parse(const char *text, uint8_t digest[EK_DIGEST_SIZE],
			  struct ek_err *err);

/** Lower-case hexadecimal digits with NUL, 65 bytes. */
void ek_digest_hex(const uint8_t digest[EK_DIGEST_SIZE], char to[65]);

/** Most bytes of salt, as in the superblock of dm-verity. */
#define EK_VERITY_SALT_MAX 256

/**
 * A hash tree's parameters. Zeros with size set are veritysetup's defaults, but
 * without salt and UUID.
 */
struct ek_verity_params {
	size_t size; /**< sizeof(struct ek_verity_params) */
	/** Bytes, power of two from 512 to 4096; 0: 4096. */
	uint32_t data_block_size, hash_block_size;
	/** Blocks of data; 0: all of the source, a whole number of blocks. */
	uint64_t data_blocks;
	uint32_t salt_size;
	uint8_t salt[EK_VERITY_SALT_MAX];
	/** In the superblock alone. */
	uint8_t uuid[16];
	bool no_superblock;
};

/** Options of running it; zeros with size set are the defaults. */
struct ek_verity_run {
	size_t size;
	uint32_t workers; /**< 0: the CPUs that the process may use */
	const volatile int *cancel;
};

/**
 * Compute the tree over @p src and its root. With @p fd >= 0 (readable and
 * writable regular file or block device, called @p name in errors) the tree is
 * written there from byte @p offset (a multiple of the hash block) on; what
 * the file held from there on is cut. @p run may be NULL.
 *
 * EK_INVALID: a wrong parameter, an empty source or one that is not a whole
 * number of blocks; EK_CORRUPT when it is shorter than data_blocks.
 */
ek_status ek_verity_format(struct ek_source *src,
			   const struct ek_verity_params *params, int fd,
			   const char *name, uint64_t offset,
			   const struct ek_verity_run *run,
			   uint8_t root[EK_DIGEST_SIZE], struct ek_err *err);

/**
 * Parameters from the superblock at the beginning of @p tree. EK_CORRUPT: no
 * superblock or a broken one; EK_UNSUPPORTED: another version, type or
 * algorithm.
 */
ek_status ek_verity_superblock(struct ek_source *tree,
			       struct ek_verity_params *params,
			       struct ek_err *err);

/**
 * Verify @p src against @p root. With @p tree (its superblock, if any, at its
 * beginning; NULL allowed) the tree is verified too, and the first wrong block
 * is named. EK_DIFFERS when something is not as @p root says; other errors as
 * ek_verity_format().
 */
ek_status ek_verity_verify(struct ek_source *src,
			   const struct ek_verity_params *params,
			   struct ek_source *tree,
			   const uint8_t root[EK_DIGEST_SIZE],
			   const struct ek_verity_run *run, struct ek_err *err);

/** Bytes of the tree with its superblock; 0: parameters or size are wrong. */
uint64_t ek_verity_tree_size(const struct ek_verity_params *params,
			     uint64_t source_size);

#ifdef __cplusplus
}
#endif

#endif
