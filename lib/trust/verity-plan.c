/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/verity.h"

#include "base/try.h"

#include <inttypes.h>
#include <string.h>

#define BLOCK_MIN     512u
#define BLOCK_MAX     4096u
#define BLOCK_DEFAULT 4096u

/* Offsets of the superblock's fields. */
enum {
	SB_MAGIC = 0,
	SB_VERSION = 8,
	SB_TYPE = 12,
	SB_UUID = 16,
	SB_ALGORITHM = 32, /* 32 bytes of text */
	SB_DATA_SIZE = 64,
	SB_HASH_SIZE = 68,
	SB_DATA_BLOCKS = 72,
	SB_SALT_SIZE = 80,
	SB_SALT = 88,
};

static const char magic[8] = "verity";

static ek_status check_block_size(const char *what, uint32_t size,
				  ek_status status, struct ek_err *err)
{
	if (!ek_is_pow2(size) || size < BLOCK_MIN || size > BLOCK_MAX)
		return ek_fail(err, status,
			       "%s blocks of %u bytes: powers of two from %u "
			       "to %u are known",
			       what, size, BLOCK_MIN, BLOCK_MAX);
	return EK_OK;
}

static ek_status count_data(const struct ek_verity_params *params,
			    uint64_t source_size, struct ek_verity_plan *plan,
			    struct ek_err *err)
{
	uint64_t whole = source_size / plan->data_size;

	plan->data_blocks = params->data_blocks ? params->data_blocks : whole;
	if (!params->data_blocks && source_size % plan->data_size)
		return ek_fail(err, EK_INVALID,
			       "%" PRIu64 " bytes are not a whole number of "
			       "blocks of %u",
			       source_size, plan->data_size);
	if (plan->data_blocks == 0)
		return ek_fail(err, EK_INVALID,
			       "nothing to make a hash tree of");
	if (plan->data_blocks > whole)
		return ek_fail(err, EK_CORRUPT,
			       "%" PRIu64 " blocks of data are wanted, %" PRIu64
			       " are there",
			       plan->data_blocks, whole);
	return EK_OK;
}

ek_status ek_verity_plan(const struct ek_verity_params *params,
			 uint64_t source_size, struct ek_verity_plan *plan,
			 struct ek_err *err)
{
	uint32_t data = params->data_block_size, hash = params->hash_block_size;
	uint64_t n, at;

	memset(plan, 0, sizeof(*plan));
	if (params->size != sizeof(*params))
		return ek_fail(err, EK_INVALID, "wrong size of the parameters");
	plan->data_size = data ? data : BLOCK_DEFAULT;
	plan->hash_size = hash ? hash : BLOCK_DEFAULT;
	EK_TRY(check_block_size("data", plan->data_size, EK_INVALID, err));
	EK_TRY(check_block_size("hash", plan->hash_size, EK_INVALID, err));
	if (params->salt_size > EK_VERITY_SALT_MAX)
		return ek_fail(err, EK_INVALID, "%u bytes of salt, at most %u",
			       params->salt_size, EK_VERITY_SALT_MAX);
	if (source_size > INT64_MAX)
		return ek_fail(err, EK_INVALID, "%" PRIu64 " bytes of data",
			       source_size);
	EK_TRY(count_data(params, source_size, plan, err));
	plan->per_block = plan->hash_size / EK_DIGEST_SIZE;
	for (n = plan->data_blocks; n > 1;) {
		n = ek_div_up(n, plan->per_block);
		EK_BUG_ON(plan->levels == EK_VERITY_LEVELS);
		plan->level[plan->levels++].blocks = n;
	}
	/* The superblock has a whole hash block to itself. */
	at = params->no_superblock ? 0 : 1;
	for (unsigned i = plan->levels; i-- > 0;) {
		plan->level[i].first = at;
		at += plan->level[i].blocks;
	}
	plan->blocks = at;
	return EK_OK;
}

uint64_t ek_verity_tree_size(const struct ek_verity_params *params,
			     uint64_t source_size)
{
	struct ek_verity_plan plan;

	if (ek_verity_plan(params, source_size, &plan, NULL) != EK_OK)
		return 0;
	return plan.blocks * plan.hash_size;
}

void ek_verity_sb_encode(const struct ek_verity_params *params,
			 const struct ek_verity_plan *plan,
			 uint8_t to[EK_VERITY_SB])
{
	memset(to, 0, EK_VERITY_SB);
	memcpy(to + SB_MAGIC, magic, sizeof(magic));
	ek_put_le32(to + SB_VERSION, 1);
	ek_put_le32(to + SB_TYPE, 1);
	memcpy(to + SB_UUID, params->uuid, sizeof(params->uuid));
	memcpy(to + SB_ALGORITHM, "sha256", 6);
	ek_put_le32(to + SB_DATA_SIZE, plan->data_size);
	ek_put_le32(to + SB_HASH_SIZE, plan->hash_size);
	ek_put_le64(to + SB_DATA_BLOCKS, plan->data_blocks);
	ek_put_le16(to + SB_SALT_SIZE, (uint16_t)params->salt_size);
	memcpy(to + SB_SALT, params->salt, params->salt_size);
}

ek_status ek_verity_sb_decode(const uint8_t from[EK_VERITY_SB],
			      struct ek_verity_params *params,
			      struct ek_err *err)
{
	const char *algorithm = (const char *)from + SB_ALGORITHM;
	uint32_t version = ek_get_le32(from + SB_VERSION);
	uint32_t type = ek_get_le32(from + SB_TYPE);
	uint64_t bytes;

	memset(params, 0, sizeof(*params));
	params->size = sizeof(*params);
	if (memcmp(from + SB_MAGIC, magic, sizeof(magic)) != 0)
		return ek_fail(err, EK_CORRUPT, "no superblock of dm-verity");
	if (version != 1 || type != 1)
		return ek_fail(err, EK_UNSUPPORTED,
			       "dm-verity version %u, type %u", version, type);
	if (strnlen(algorithm, 32) == 32)
		return ek_fail(err, EK_CORRUPT,
			       "the name of the hash has no end");
	if (strcmp(algorithm, "sha256") != 0)
		return ek_fail(err, EK_UNSUPPORTED,
			       "dm-verity with %s; only sha256 is known",
			       algorithm);
	params->data_block_size = ek_get_le32(from + SB_DATA_SIZE);
	params->hash_block_size = ek_get_le32(from + SB_HASH_SIZE);
	EK_TRY(check_block_size("data", params->data_block_size, EK_UNSUPPORTED,
				err));
	EK_TRY(check_block_size("hash", params->hash_block_size, EK_UNSUPPORTED,
				err));
	params->data_blocks = ek_get_le64(from + SB_DATA_BLOCKS);
	params->salt_size = ek_get_le16(from + SB_SALT_SIZE);
	if (params->data_blocks == 0 ||
	    !ek_mul(params->data_blocks, params->data_block_size, &bytes) ||
	    bytes > INT64_MAX)
		return ek_fail(err, EK_CORRUPT, "%" PRIu64 " blocks of data",
			       params->data_blocks);
	if (params->salt_size > EK_VERITY_SALT_MAX)
		return ek_fail(err, EK_CORRUPT, "%u bytes of salt, at most %u",
			       params->salt_size, EK_VERITY_SALT_MAX);
	memcpy(params->salt, from + SB_SALT, params->salt_size);
	memcpy(params->uuid, from + SB_UUID, sizeof(params->uuid));
	return EK_OK;
}

ek_status ek_verity_superblock(struct ek_source *tree,
			       struct ek_verity_params *params,
			       struct ek_err *err)
{
	uint8_t sb[EK_VERITY_SB];

	EK_TRY(ek_source_read(tree, 0, sb, sizeof(sb), err));
	return ek_verity_sb_decode(sb, params, err);
}
