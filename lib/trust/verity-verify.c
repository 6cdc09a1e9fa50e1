/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/verity.h"

#include "base/try.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Hash blocks that are read at once. */
#define READ_BLOCKS 128

struct verify {
	const struct ek_verity_plan *plan;
	struct ek_source *tree;
	struct ek_hasher *hasher;
	uint8_t *block; /* of READ_BLOCKS hash blocks */
	uint8_t *above; /* one hash block of the level above */
};

static uint64_t place(const struct verify *v, unsigned level, uint64_t block)
{
	return (v->plan->level[level].first + block) * v->plan->hash_size;
}

/* Hash block @n of @level against @want. */
static ek_status check_block(struct verify *v, unsigned level, uint64_t n,
			     const uint8_t *block, const uint8_t *want,
			     struct ek_err *err)
{
	uint8_t d[EK_DIGEST_SIZE];

	EK_TRY(ek_hasher_once(v->hasher, block, v->plan->hash_size, d, err));
	if (memcmp(d, want, sizeof(d)) == 0)
		return EK_OK;
	return ek_fail(err, EK_DIFFERS,
		       "the hash tree differs at byte %" PRIu64 " (level %u)%s",
		       place(v, level, n), level,
		       level + 1 == v->plan->levels ? ": not the tree of this "
						      "root"
						    : "");
}

/* All blocks of @level against the hashes in the level above, now trusted. */
static ek_status check_level(struct verify *v, unsigned level,
			     const volatile int *cancel, struct ek_err *err)
{
	const struct ek_verity_plan *plan = v->plan;
	uint32_t size = plan->hash_size;
	uint64_t blocks = plan->level[level].blocks;

	for (uint64_t at = 0; at < blocks;) {
		/* Not across the end of a block of the level above. */
		uint64_t in = at % plan->per_block;
		size_t n = (size_t)ek_min(
			ek_min(READ_BLOCKS, plan->per_block - in), blocks - at);

		if (cancel && *cancel)
			return ek_fail(err, EK_CANCELLED, "cancelled");
		EK_TRY(ek_source_read(v->tree, place(v, level, at), v->block,
				      n * size, err));
		if (in == 0)
			EK_TRY(ek_source_read(
				v->tree,
				place(v, level + 1, at / plan->per_block),
				v->above, size, err));
		for (size_t i = 0; i < n; i++)
			EK_TRY(check_block(
				v, level, at + i, v->block + i * size,
				v->above + (in + i) * EK_DIGEST_SIZE, err));
		at += n;
	}
	return EK_OK;
}

/* From the root down, so that each level is judged by what is trusted. */
static ek_status check_tree(struct verify *v, const uint8_t *root,
			    const volatile int *cancel, struct ek_err *err)
{
	unsigned top = v->plan->levels - 1;

	EK_TRY(ek_source_read(v->tree, place(v, top, 0), v->block,
			      v->plan->hash_size, err));
	EK_TRY(check_block(v, top, 0, v->block, root, err));
	for (unsigned level = top; level-- > 0;)
		EK_TRY(check_level(v, level, cancel, err));
	return EK_OK;
}

/* Computed hashes of data against the trusted ones of level 0. */
static ek_status on_batch(void *arg, const struct ek_verity_batch *batch,
			  struct ek_err *err)
{
	struct verify *v = arg;
	const struct ek_verity_plan *plan = v->plan;

	for (size_t i = 0; i < batch->blocks; i++) {
		const uint8_t *got = batch->hashes + i * plan->hash_size;
		uint64_t block = batch->first + i;
		uint32_t k = 0;

		EK_TRY(ek_source_read(v->tree, place(v, 0, block), v->block,
				      plan->hash_size, err));
		if (memcmp(got, v->block, plan->hash_size) == 0)
			continue;
		while (k + 1 < plan->per_block &&
		       memcmp(got + k * EK_DIGEST_SIZE,
			      v->block + k * EK_DIGEST_SIZE,
			      EK_DIGEST_SIZE) == 0)
			k++;
		block = block * plan->per_block + k;
		return ek_fail(err, EK_DIFFERS,
			       "data differs in block %" PRIu64
			       " at byte %" PRIu64,
			       block, block * plan->data_size);
	}
	return EK_OK;
}

static ek_status verify_with_tree(struct verify *v, struct ek_source *src,
				  const struct ek_verity_params *params,
				  const uint8_t *root,
				  const struct ek_verity_run *run,
				  struct ek_err *err)
{
	EK_TRY(ek_hasher_new(params->salt, params->salt_size, &v->hasher, err));
	v->block = malloc((size_t)READ_BLOCKS * v->plan->hash_size);
	v->above = malloc(v->plan->hash_size);
	if (!v->block || !v->above)
		return ek_fail(err, EK_NOMEM, "no memory for hash blocks");
	EK_TRY(check_tree(v, root, run ? run->cancel : NULL, err));
	return ek_verity_hash_data(src, params, v->plan, run, on_batch, v, err);
}

static ek_status verify_root(struct ek_source *src,
			     const struct ek_verity_params *params,
			     const uint8_t *root,
			     const struct ek_verity_run *run,
			     struct ek_err *err)
{
	char hex[65], want[65];
	uint8_t got[EK_DIGEST_SIZE];

	EK_TRY(ek_verity_format(src, params, -1, "", 0, run, got, err));
	if (memcmp(got, root, sizeof(got)) == 0)
		return EK_OK;
	ek_digest_hex(got, hex);
	ek_digest_hex(root, want);
	return ek_fail(err, EK_DIFFERS, "verity root is %s, expected %s", hex,
		       want);
}

ek_status ek_verity_verify(struct ek_source *src,
			   const struct ek_verity_params *params,
			   struct ek_source *tree,
			   const uint8_t root[EK_DIGEST_SIZE],
			   const struct ek_verity_run *run, struct ek_err *err)
{
	struct ek_verity_plan plan;
	struct verify v = {.plan = &plan, .tree = tree};
	ek_status status;

	EK_TRY(ek_verity_plan(params, src->size, &plan, err));
	/* The root of one block is the hash of the block itself. */
	if (!tree || plan.levels == 0)
		return verify_root(src, params, root, run, err);
	status = verify_with_tree(&v, src, params, root, run, err);
	ek_hasher_free(v.hasher);
	free(v.block);
	free(v.above);
	return status;
}
