/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TRUST_VERITY_H
#define EK_TRUST_VERITY_H

/*
 * Inside of the dm-verity code: where everything lies in a tree (format 1 of
 * the kernel's Documentation/admin-guide/device-mapper/verity.rst).
 *
 * A hash block holds hash_block_size / 32 hashes, of data blocks at level 0
 * and of hash blocks of the level below above that, the rest of it zero. A
 * hash is SHA-256(salt, block). Levels are stored from the highest, which is
 * one block and whose hash is the root, down to level 0. One data block alone
 * has no levels: its hash is the root.
 */

#include <erofskit/trust.h>
#include "base/bytes.h"
#include "trust/digest.h"

/* Blocks of 512 bytes hold 16 hashes: 63 bits need no more. */
#define EK_VERITY_LEVELS 16
#define EK_VERITY_SB	 512

struct ek_verity_level {
	uint64_t first;	 /* hash block, counted from the start of the tree */
	uint64_t blocks; /* hash blocks of this level */
};

struct ek_verity_plan {
	uint32_t data_size, hash_size; /* bytes of a block */
	uint32_t per_block;	       /* hashes in a hash block */
	uint64_t data_blocks;
	unsigned levels;
	struct ek_verity_level level[EK_VERITY_LEVELS];
	uint64_t blocks; /* of the whole area, with the superblock's */
};

/* Checks everything; EK_INVALID. @source_size in bytes. */
ek_status ek_verity_plan(const struct ek_verity_params *params,
			 uint64_t source_size, struct ek_verity_plan *plan,
			 struct ek_err *err);

/* Superblock <-> parameters; decode as ek_verity_superblock(). */
void ek_verity_sb_encode(const struct ek_verity_params *params,
			 const struct ek_verity_plan *plan,
			 uint8_t to[EK_VERITY_SB]);
ek_status ek_verity_sb_decode(const uint8_t from[EK_VERITY_SB],
			      struct ek_verity_params *params,
			      struct ek_err *err);

/* Level-0 hash blocks in order, computed from the data by several workers. */
struct ek_verity_batch {
	uint64_t first;	       /* hash block within level 0 */
	size_t blocks;	       /* hash blocks */
	const uint8_t *hashes; /* blocks * hash_size bytes */
	const uint8_t *above;  /* one hash of each of them: 32 * blocks bytes */
};

typedef ek_status (*ek_verity_batch_fn)(void *arg,
					const struct ek_verity_batch *batch,
					struct ek_err *err);

ek_status ek_verity_hash_data(struct ek_source *src,
			      const struct ek_verity_params *params,
			      const struct ek_verity_plan *plan,
			      const struct ek_verity_run *run,
			      ek_verity_batch_fn fn, void *arg,
			      struct ek_err *err);

/* Hash of the only data block of a source. */
ek_status ek_verity_hash_one(struct ek_source *src,
			     const struct ek_verity_params *params,
			     const struct ek_verity_plan *plan,
			     uint8_t root[EK_DIGEST_SIZE], struct ek_err *err);

#endif
