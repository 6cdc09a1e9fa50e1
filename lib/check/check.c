/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

#define MAX_FINDINGS 10000u
#define DECODE_RATIO 1000u

/*
 * Directories are read whole before they are known to be sane. They compress
 * well, but not a hundredfold; small images get room for odd ones.
 */
#define DIR_RATIO     64u
#define DIR_BYTES_MIN (UINT64_C(64) << 20)

/* Largest region of attributes, and all names that one can hold. */
#define NAMES_LIMIT   ((size_t)65792 * (EK_XATTR_FULL_MAX + 1))
#define SCRATCH_LIMIT ((size_t)EK_XATTR_ENTRY_MAX)

static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return ek_mul(a, b, &product) ? product : UINT64_MAX;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return ek_add(a, b, &sum) ? sum : UINT64_MAX;
}

/* Limits in proportion to what is there. */
static void set_limits(struct ck *ck)
{
	uint64_t bytes = ck->src->size;
	size_t i;

	for (i = 0; i < ck->options->n_devices; i++)
		bytes = plus(bytes, ck->options->devices[i]->size);
	ck->max_decode = ck->options->max_decode ? ck->options->max_decode
						 : times(bytes, DECODE_RATIO);
	ck->max_findings = ck->options->max_findings ? ck->options->max_findings
						     : MAX_FINDINGS;
	ck->dir_bytes_left =
		ek_max(times(ck->src->size, DIR_RATIO), DIR_BYTES_MIN);
}

/*
 * Honest metadata does not overlap, so all of it fits its spaces. Twice that
 * is enough to find out more about a damaged image.
 */
static void set_meta_limit(struct ck *ck)
{
	uint64_t bytes = ck->src->size;

	if (ck->image->have_metabox)
		bytes = plus(bytes,
			     ek_min(ck->image->metabox.size, ck->max_decode));
	ck->meta_limit = plus(times(bytes, 2), 1u << 20);
}

static ek_status run(struct ck *ck, struct ek_err *err)
{
	bool go_on;

	EK_TRY(ck_super(ck, &go_on, err));
	if (!go_on)
		return EK_OK;
	ck->result->opened = true;
	if (ck->options->opened)
		ck->options->opened(ck->options->opened_arg);
	set_meta_limit(ck);
	EK_TRY(ck_super_tables(ck, err));
	EK_TRY(ck_walk(ck, err));
	EK_TRY(ck_streams_start(ck, err));
	EK_TRY(ck_links(ck, err));
	EK_TRY(ck_claims_check(ck, err));
	return ck_streams_check(ck, err);
}

static ek_status check_options(const struct ek_check_options *options,
			       struct ek_err *err)
{
	if (options->size != sizeof(*options))
		return ek_fail(err, EK_INVALID,
			       "options of another version of the library");
	if (options->path && options->has_nid)
		return ek_fail(err, EK_INVALID,
			       "both a path and an inode number");
	return EK_OK;
}

ek_status ek_check(struct ek_source *image,
		   const struct ek_check_options *options,
		   struct ek_check_result *result, struct ek_err *err)
{
	static const struct ek_check_options defaults = {
		.size = sizeof(defaults)};
	struct ck ck = {.src = image,
			.options = options ? options : &defaults,
			.result = result,
			.root = CK_NOBODY,
			.packed = CK_NOBODY,
			.metabox = CK_NOBODY};
	ek_status status;

	memset(result, 0, sizeof(*result));
	EK_TRY(check_options(ck.options, err));
	result->restricted = ck.options->path || ck.options->has_nid;
	ck.claims_compact_at = ck.streams_compact_at = 65536;
	ck.scratch.limit = SCRATCH_LIMIT;
	ck.names.limit = NAMES_LIMIT;
	set_limits(&ck);
	ck.arena = ek_arena_new();
	ck.dir_buf = malloc((size_t)1 << EK_BLKSZBITS_MAX);
	if (ck.arena && ck.dir_buf)
		status = run(&ck, err);
	else
		status = ek_fail(err, EK_NOMEM, "memory for a check");
	ck_decode_free(&ck);
	ek_image_free(ck.image);
	ek_arena_free(ck.arena);
	free(ck.dir_buf);
	ek_buf_free(&ck.scratch);
	ek_buf_free(&ck.names);
	ek_vec_free(&ck.inodes);
	ek_vec_free(&ck.claims);
	ek_vec_free(&ck.streams);
	ek_idmap_free(&ck.by_nid);
	return status;
}
