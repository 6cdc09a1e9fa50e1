/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/verity.h"

#include "base/try.h"
#include "io/sink.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One hash block of each level above 0 that is being filled. */
struct growing {
	uint8_t *block;
	size_t n;      /* hashes in it */
	uint64_t done; /* blocks of this level that are complete */
};

struct format {
	const struct ek_verity_plan *plan;
	struct ek_hasher *hasher;
	struct ek_sink *sink; /* NULL: only the root is wanted */
	struct growing level[EK_VERITY_LEVELS];
	uint8_t root[EK_DIGEST_SIZE];
};

static ek_status put(struct format *f, unsigned level, uint64_t block,
		     const uint8_t *from, size_t blocks, struct ek_err *err)
{
	uint32_t size = f->plan->hash_size;

	if (!f->sink)
		return EK_OK;
	return ek_sink_write(f->sink,
			     (f->plan->level[level].first + block) * size, from,
			     blocks * size, err);
}

static ek_status end_block(struct format *f, unsigned level,
			   uint8_t digest[EK_DIGEST_SIZE], struct ek_err *err)
{
	struct growing *g = &f->level[level];
	size_t used = g->n * EK_DIGEST_SIZE;

	memset(g->block + used, 0, f->plan->hash_size - used);
	g->n = 0;
	EK_TRY(put(f, level, g->done++, g->block, 1, err));
	return ek_hasher_once(f->hasher, g->block, f->plan->hash_size, digest,
			      err);
}

/* Add a hash to @level; full blocks go on to the levels above. */
static ek_status add_hash(struct format *f, unsigned level,
			  const uint8_t *digest, struct ek_err *err)
{
	uint8_t d[EK_DIGEST_SIZE];

	memcpy(d, digest, sizeof(d));
	for (; level < f->plan->levels; level++) {
		struct growing *g = &f->level[level];

		memcpy(g->block + g->n * EK_DIGEST_SIZE, d, sizeof(d));
		if (++g->n < f->plan->per_block)
			return EK_OK;
		EK_TRY(end_block(f, level, d, err));
	}
	memcpy(f->root, d, sizeof(d));
	return EK_OK;
}

/* Close what is half full, from below; the last hash is the root. */
static ek_status finish(struct format *f, struct ek_err *err)
{
	uint8_t d[EK_DIGEST_SIZE];

	for (unsigned level = 1; level < f->plan->levels; level++) {
		if (f->level[level].n == 0)
			continue;
		EK_TRY(end_block(f, level, d, err));
		EK_TRY(add_hash(f, level + 1, d, err));
	}
	return EK_OK;
}

static ek_status on_batch(void *arg, const struct ek_verity_batch *batch,
			  struct ek_err *err)
{
	struct format *f = arg;

	EK_TRY(put(f, 0, batch->first, batch->hashes, batch->blocks, err));
	for (size_t i = 0; i < batch->blocks; i++)
		EK_TRY(add_hash(f, 1, batch->above + i * EK_DIGEST_SIZE, err));
	return EK_OK;
}

static ek_status write_superblock(struct format *f,
				  const struct ek_verity_params *params,
				  struct ek_err *err)
{
	uint8_t sb[EK_VERITY_SB];

	if (!f->sink || params->no_superblock)
		return EK_OK;
	ek_verity_sb_encode(params, f->plan, sb);
	return ek_sink_write(f->sink, 0, sb, sizeof(sb), err);
}

static ek_status run_format(struct format *f, struct ek_source *src,
			    const struct ek_verity_params *params,
			    const struct ek_verity_run *run, struct ek_err *err)
{
	uint64_t size = f->plan->blocks * f->plan->hash_size;

	EK_TRY(ek_hasher_new(params->salt, params->salt_size, &f->hasher, err));
	for (unsigned i = 1; i < f->plan->levels; i++) {
		f->level[i].block = malloc(f->plan->hash_size);
		if (!f->level[i].block)
			return ek_fail(err, EK_NOMEM,
				       "no memory for a hash block");
	}
	if (f->plan->levels == 0) {
		EK_TRY(ek_verity_hash_one(src, params, f->plan, f->root, err));
	} else {
		EK_TRY(ek_verity_hash_data(src, params, f->plan, run, on_batch,
					   f, err));
		EK_TRY(finish(f, err));
	}
	EK_TRY(write_superblock(f, params, err));
	return f->sink ? ek_sink_resize(f->sink, size, err) : EK_OK;
}

ek_status ek_verity_format(struct ek_source *src,
			   const struct ek_verity_params *params, int fd,
			   const char *name, uint64_t offset,
			   const struct ek_verity_run *run,
			   uint8_t root[EK_DIGEST_SIZE], struct ek_err *err)
{
	struct ek_verity_plan plan;
	struct format f = {.plan = &plan};
	ek_status status = EK_OK;

	EK_TRY(ek_verity_plan(params, src->size, &plan, err));
	if (fd >= 0 && offset % plan.hash_size)
		return ek_fail(err, EK_INVALID,
			       "%s: byte %" PRIu64
			       " is not at a block of %u bytes",
			       name, offset, plan.hash_size);
	if (fd >= 0)
		status = ek_sink_from_fd(fd, name, offset, &f.sink, err);
	if (status == EK_OK)
		status = run_format(&f, src, params, run, err);
	if (status == EK_OK)
		memcpy(root, f.root, EK_DIGEST_SIZE);
	for (unsigned i = 0; i < EK_VERITY_LEVELS; i++)
		free(f.level[i].block);
	ek_hasher_free(f.hasher);
	ek_sink_free(f.sink);
	return status;
}
