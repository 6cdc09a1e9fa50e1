/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>

ek_status ek_commit_until(struct ek_build *b, uint32_t end, struct ek_err *err)
{
	for (; b->placed < end; b->placed++) {
		struct ek_tree_inode *inode = b->tree->inodes[b->placed];

		if (ek_plan_of(inode)->indexed) {
			EK_TRY(ek_index_place(b, inode, err));
		} else if (ek_plan_of(inode)->sparse) {
			EK_TRY(ek_sparse_place(b, inode, err));
		} else if (S_ISREG(inode->mode)) {
			EK_BUG_ON(inode->size);
			EK_TRY(ek_build_flat(b, inode, 0, NULL, 0, err));
		} else {
			EK_TRY(ek_special_place(b, inode, err));
		}
	}
	return EK_OK;
}

/* All before @inode, which the caller places next. */
static ek_status reach(struct ek_build *b, const struct ek_tree_inode *inode,
		       struct ek_err *err)
{
	EK_TRY(ek_commit_until(b, inode->index, err));
	b->placed++;
	return EK_OK;
}

static ek_status place_file(struct ek_build *b, const struct ek_build_job *job,
			    const struct ek_job_file *f, struct ek_err *err)
{
	struct ek_coded c = {
		.start = f->blk,
		.blocks = f->blocks,
		.shift = (uint32_t)(f->at % b->bs),
		.pieces = job->pieces + f->pieces,
		.n = f->n_pieces,
		.tail = f->tail,
		.tail_len = f->tail_len,
	};

	if (f->coded)
		return ek_build_coded(b, f->inode, &c, err);
	if (f->n_sums)
		return ek_chunks_place(b, f->inode, job->blks + f->sums,
				       f->n_sums, err);
	return ek_build_flat(b, f->inode, f->blk, f->tail, f->tail_len, err);
}

static ek_status commit_batch(struct ek_build *b, struct ek_build_job *job,
			      struct ek_err *err)
{
	for (uint32_t i = 0; i < job->n_files; i++) {
		struct ek_job_file *f = &job->files[i];

		EK_TRY(reach(b, f->inode, err));
		EK_TRY(place_file(b, job, f, err));
		if (b->digests)
			memcpy(b->digests[f->inode->index], f->sha256, 32);
	}
	return EK_OK;
}

/* Remember the extents of a segment, stored or coded. */
static ek_status note_pieces(struct ek_build *b, struct ek_build_job *job,
			     const struct ek_job_file *f, struct ek_err *err)
{
	struct ek_large *l = &b->large;
	uint32_t left = job->len, unit = (uint32_t)ek_codecs_unit(b, f->inode);

	if (f->coded) {
		l->coded = true;
		for (uint32_t i = 0; i < f->n_pieces; i++)
			EK_TRY(ek_vec_push(&l->pieces,
					   job->pieces[f->pieces + i],
					   EK_PIECES_MAX, err));
		return EK_OK;
	}
	for (; unit && left; left -= (uint32_t)ek_min(left, unit))
		EK_TRY(ek_vec_push(
			&l->pieces,
			ek_piece_make((uint32_t)ek_min(left, unit), 0),
			EK_PIECES_MAX, err));
	for (; left; left -= (uint32_t)ek_min(left, b->bs)) {
		ek_piece p = ek_piece_make((uint32_t)ek_min(left, b->bs), 1);

		/* Nothing but whole stored blocks so far: a number will do. */
		if (!l->coded && left >= b->bs) {
			l->lead++;
			continue;
		}
		EK_TRY(ek_vec_push(&l->pieces, p, EK_PIECES_MAX, err));
	}
	return EK_OK;
}

static ek_status finish_coded(struct ek_build *b, const struct ek_job_file *f,
			      struct ek_err *err)
{
	struct ek_large *l = &b->large;
	const struct ek_coded c = {
		.start = l->start,
		.blocks = l->blocks,
		.lead = l->lead,
		.pieces = l->pieces.at,
		.n = l->pieces.n,
	};

	EK_TRY(reach(b, f->inode, err));
	/* Nothing but stored blocks: that is a flat file. */
	if (!l->coded)
		return ek_build_flat(b, f->inode, l->start, f->tail,
				     f->tail_len, err);
	return ek_build_coded(b, f->inode, &c, err);
}

static ek_status commit_coded(struct ek_build *b, struct ek_build_job *job,
			      const struct ek_job_file *f, struct ek_err *err)
{
	b->large.blocks += f->blocks;
	EK_TRY(note_pieces(b, job, f, err));
	return job->last ? finish_coded(b, f, err) : EK_OK;
}

/* Remember where the chunks of a segment are. */
static ek_status note_chunks(struct ek_build *b, const struct ek_build_job *job,
			     struct ek_err *err)
{
	uint32_t n = (uint32_t)ek_div_up(job->len, EK_HOLE_CHUNK);
	uint64_t blk = job->files[0].blk;

	for (uint32_t i = 0; i < n; i++) {
		bool hole = job->holes >> i & 1;

		EK_TRY(ek_vec_push(&b->large.chunks,
				   hole ? UINT32_MAX : (uint32_t)blk,
				   EK_HOLE_CHUNKS_MAX, err));
		if (!hole)
			blk += EK_HOLE_CHUNK / b->bs;
	}
	b->large.holes = b->large.holes || job->holes;
	return EK_OK;
}

static ek_status commit_plain(struct ek_build *b, struct ek_build_job *job,
			      const struct ek_job_file *f, struct ek_err *err)
{
	struct ek_large *l = &b->large;

	EK_TRY(note_chunks(b, job, err));
	if (!job->last)
		return EK_OK;
	EK_TRY(reach(b, f->inode, err));
	if (l->holes)
		return ek_build_chunked(b, f->inode, l->chunks.at, l->chunks.n,
					EK_HOLE_CHUNK_BITS, err);
	return ek_build_flat(b, f->inode, l->start, f->tail, f->tail_len, err);
}

static ek_status commit_summed(struct ek_build *b, struct ek_build_job *job,
			       const struct ek_job_file *f, struct ek_err *err)
{
	struct ek_large *l = &b->large;

	for (size_t i = 0; i < job->n_sums; i++)
		EK_TRY(ek_vec_push(&l->chunks, job->blks[i], EK_HOLE_CHUNKS_MAX,
				   err));
	if (!job->last)
		return EK_OK;
	EK_TRY(reach(b, f->inode, err));
	return ek_chunks_place(b, f->inode, l->chunks.at, l->chunks.n, err);
}

static ek_status commit_segment(struct ek_build *b, struct ek_build_job *job,
				struct ek_err *err)
{
	const struct ek_job_file *f = &job->files[0];
	struct ek_large *l = &b->large;

	if (job->offset == 0) {
		l->start = f->blk;
		l->blocks = l->lead = 0;
		l->coded = l->holes = false;
		l->pieces.n = l->chunks.n = 0;
	}
	if (b->digests)
		EK_TRY(ek_sha_add(l->sha,
				  ek_plan_codes(f->inode) ? job->all : job->out,
				  job->len, err));
	if (ek_plan_codes(f->inode))
		EK_TRY(commit_coded(b, job, f, err));
	else if (b->opt.chunk_size)
		EK_TRY(commit_summed(b, job, f, err));
	else
		EK_TRY(commit_plain(b, job, f, err));
	if (job->last && b->digests)
		return ek_sha_get(l->sha, b->digests[f->inode->index], err);
	return EK_OK;
}

ek_status ek_commit_job(struct ek_build *b, struct ek_build_job *job,
			struct ek_err *err)
{
	if (b->hash)
		ek_hash_add(b->hash, job->hash, sizeof(job->hash));
	if (job->len)
		return commit_segment(b, job, err);
	return commit_batch(b, job, err);
}
