/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/device.h"
#include "format/needs.h"

#include <string.h>

static void cleanup(struct ek_build *b)
{
	ek_pool_free(b->pool);
	ek_jobs_free(b);
	ek_codecs_close(b);
	for (unsigned i = 0; b->shas && i < b->workers; i++)
		ek_sha_free(b->shas[i]);
	free(b->shas);
	ek_chunkset_free(b->chunkset);
	ek_sink_free(b->blob);
	free(b->plans);
	free(b->head);
	ek_shares_free(&b->shares);
	free(b->digests);
	ek_vec_free(&b->large.pieces);
	ek_vec_free(&b->large.chunks);
	ek_sha_free(b->large.sha);
	ek_hash_free(b->hash);
	ek_pend_free(b->pend);
	ek_zone_free(&b->zone);
	ek_buf_free(&b->record);
	free(b->zpieces);
	/* The plans are gone: leave no pointers to them. */
	for (uint32_t i = 0; i < b->tree->n_inodes; i++)
		b->tree->inodes[i]->plan = NULL;
}

static ek_status make_chunks(struct ek_build *b, struct ek_err *err)
{
	if (!b->opt.chunk_size)
		return EK_OK;
	EK_TRY(ek_chunkset_new(&b->chunkset, err));
	b->shas = calloc(b->workers, sizeof(struct ek_sha *));
	if (!b->shas)
		return ek_fail(err, EK_NOMEM, "no memory for digests");
	for (unsigned i = 0; i < b->workers; i++)
		EK_TRY(ek_sha_new(&b->shas[i], err));
	return EK_OK;
}

static ek_status make_digests(struct ek_build *b, struct ek_err *err)
{
	if (b->opt.uuid_mode == EK_UUID_CONTENT)
		EK_TRY(ek_hash_new(&b->hash, err));
	if (!b->opt.manifest)
		return EK_OK;
	b->digests = calloc(b->tree->n_inodes, sizeof(*b->digests));
	if (!b->digests)
		return ek_fail(err, EK_NOMEM, "no memory for digests");
	return ek_sha_new(&b->large.sha, err);
}

/* The table of long prefixes goes behind what else the head has. */
static ek_status reserve_longs(struct ek_build *b, struct ek_err *err)
{
	uint64_t at = EK_SB_OFFSET + EK_SB_SIZE_MIN + EK_CFGS_ENCODED_MAX;
	uint64_t size;

	if (b->sb.extra_devices)
		at = ek_devslot_pos(&b->sb, b->sb.extra_devices);
	EK_TRY(ek_xattr_longs(b, NULL, 0, &size, err));
	if (size == 0)
		return EK_OK;
	b->sb.incompat |= EK_INCOMPAT_XATTR_PREFIXES;
	/* Wherever other readers would look else, should features come. */
	b->sb.compat |= EK_COMPAT_PLAIN_XATTR_PFX;
	b->sb.xattr_prefix_count = (uint8_t)b->shares.n_longs;
	b->sb.xattr_prefix_start = (uint32_t)(at / 4);
	b->head_blocks = ek_div_up(at + size, b->bs);
	return EK_OK;
}

static bool any_data(const struct ek_build *b)
{
	for (uint32_t i = 0; i < b->tree->n_inodes; i++)
		if (ek_build_has_data(b->tree->inodes[i]))
			return true;
	return false;
}

static ek_status prepare(struct ek_build *b,
			 const struct ek_build_options *options,
			 struct ek_err *err)
{
	EK_TRY(ek_build_options_load(options, &b->opt, err));
	EK_BUG_ON(!b->tree->sealed || b->tree->n_inodes == 0 ||
		  b->tree->inodes[0] != b->tree->root->inode);
	b->bs = b->opt.block_size;
	b->blkszbits = (uint8_t)__builtin_ctz(b->bs);
	b->workers = b->opt.workers ? b->opt.workers : ek_cpus();
	EK_TRY(ek_codecs_load(b, err));
	b->sb.blkszbits = b->blkszbits;
	if (b->opt.dot_omitted || b->opt.wide)
		b->sb.incompat |= EK_INCOMPAT_48BIT;
	if (b->opt.dot_omitted)
		b->uses |= EK_USE_IFORMAT_BIT4;
	/* The superblock and the configurations of codecs. */
	b->head_blocks = ek_div_up(
		EK_SB_OFFSET + EK_SB_SIZE_MIN + EK_CFGS_ENCODED_MAX, b->bs);
	if (b->opt.blob)
		EK_TRY(ek_sink_from_fd(b->opt.blob_fd, ek_build_blob_name(b), 0,
				       &b->blob, err));
	EK_TRY(ek_index_devices(b, err));
	EK_TRY(reserve_longs(b, err));
	b->head = calloc((size_t)b->head_blocks, b->bs);
	if (!b->head)
		return ek_fail(err, EK_NOMEM, "no memory for the head");
	b->next_blk = b->head_blocks;
	b->record = EK_BUF_INIT(EK_RECORD_MAX);
	ek_zone_init(&b->zone, b->bs);
	b->plans = calloc(b->tree->n_inodes, sizeof(*b->plans));
	if (!b->plans)
		return ek_fail(err, EK_NOMEM, "no memory for %u inodes",
			       b->tree->n_inodes);
	EK_TRY(ek_pend_new(&b->pend, err));
	EK_TRY(ek_build_plan(b, err));
	/* An index has nothing to read: threads would only be made. */
	if (!any_data(b))
		b->workers = 1;
	EK_TRY(make_digests(b, err));
	EK_TRY(ek_codecs_open(b, err));
	EK_TRY(make_chunks(b, err));
	return ek_jobs_make(b, err);
}

/*
 * The zone begins with a slot that no inode has, since NID 0 means "none" in
 * some fields, then the root, whose NID has 16 bits, then the shared
 * attributes.
 */
static ek_status begin_zone(struct ek_build *b, struct ek_err *err)
{
	struct ek_shares *s = &b->shares;
	uint64_t pos;

	EK_TRY(ek_zone_alloc(&b->zone, EK_NID_SLOT, false, &pos, err));
	EK_TRY(ek_commit_until(b, 1, err));
	EK_TRY(ek_pend_flush(b->pend, &b->zone, err));
	if (s->area_size == 0)
		return EK_OK;
	EK_TRY(ek_zone_alloc(&b->zone, s->area_size, true, &s->area_pos, err));
	for (size_t i = 0; i < s->n; i++)
		s->at[i].id += (uint32_t)(s->area_pos / 4);
	return EK_OK;
}

static ek_status run(struct ek_build *b, const struct ek_build_options *options,
		     struct ek_err *err)
{
	int64_t start, data;

	EK_TRY(prepare(b, options, err));
	start = ek_build_now();
	EK_TRY(begin_zone(b, err));
	EK_TRY(ek_sparse_copy(b, err));
	EK_TRY(ek_build_data(b, err));
	data = ek_build_now();
	EK_TRY(ek_build_finish(b, err));
	if (b->opt.manifest)
		EK_TRY(ek_build_manifest(b, err));
	b->stats->ns_data = (uint64_t)(data - start);
	b->stats->ns_meta = (uint64_t)(ek_build_now() - data);
	return EK_OK;
}

ek_status ek_build_tree(struct ek_tree_source *src,
			const struct ek_build_options *options,
			struct ek_sink *sink, struct ek_build_stats *stats,
			struct ek_err *err)
{
	struct ek_build b = {.src = src, .tree = src->tree, .sink = sink};
	struct ek_build_stats ignored;
	ek_status status;

	b.stats = stats ? stats : &ignored;
	memset(b.stats, 0, sizeof(*b.stats));
	status = run(&b, options, err);
	cleanup(&b);
	return status;
}
