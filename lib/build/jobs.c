/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

/*
 * The memory of the data stage: what each worker has for itself, and jobs with
 * room for what comes of them. Pages that nothing touches are never there.
 */

/*
 * Jobs for batches beyond two a worker. A whole segment takes as long as many
 * batches, which must not wait for it; the jobs are taken from a stack, so
 * that what is seldom needed is seldom touched. Large files that are batches
 * of their own are for the other jobs.
 */
#define AHEAD 14u

static void set_sizes(struct ek_build *b)
{
	size_t keep = ek_compress_keep(b->bs, b->max_blocks);

	b->segment = b->batched = EK_SEGMENT;
	if (b->n_codecs)
		b->segment = EK_CODED_SEGMENT;
	else if (!b->opt.chunk_size)
		b->segment = b->batched = EK_PLAIN_SEGMENT;
	/* A file, or so much that moving the rest is worth it. */
	b->window = ek_max((size_t)b->batched, keep + (3u << 20)) + b->bs;
}

static ek_status make_workers(struct ek_build *b, struct ek_err *err)
{
	b->nears = calloc(b->workers, sizeof(*b->nears));
	b->windows = calloc(b->workers, sizeof(*b->windows));
	if (!b->nears || !b->windows)
		return ek_fail(err, EK_NOMEM, "no memory for workers");
	for (unsigned i = 0; b->n_codecs && i < b->workers; i++) {
		b->windows[i] = malloc(b->window);
		if (!b->windows[i])
			return ek_fail(err, EK_NOMEM, "no memory for workers");
	}
	return EK_OK;
}

/* Room for @most bytes of files. */
static bool make_job(struct ek_build *b, struct ek_build_job *job, size_t most)
{
	job->b = b;
	job->out_cap = ek_compress_room(most, b->bs, b->max_blocks);
	job->cap_pieces = most / b->bs + 2 * EK_BATCH_FILES + 2;
	job->out = malloc(job->out_cap);
	job->tails = malloc(EK_TAILS_BYTES);
	job->files = malloc(EK_BATCH_FILES * sizeof(*job->files));
	job->pieces = malloc(job->cap_pieces * sizeof(*job->pieces));
	if (!job->out || !job->tails || !job->files || !job->pieces)
		return false;
	/* The committer needs all of a segment for the digest of its file. */
	if (b->n_codecs && b->digests && most == b->segment) {
		job->all = malloc(b->segment);
		if (!job->all)
			return false;
	}
	if (!b->opt.chunk_size)
		return true;
	job->sums = malloc(ek_chunks_room(b) * sizeof(*job->sums));
	job->blks = malloc(ek_chunks_room(b) * sizeof(*job->blks));
	return job->sums && job->blks;
}

ek_status ek_jobs_make(struct ek_build *b, struct ek_err *err)
{
	unsigned large, small = 0;

	set_sizes(b);
	EK_TRY(make_workers(b, err));
	/*
	 * With one worker jobs run when they are submitted. Else each worker
	 * has one at work and one waiting to be committed; when they only read
	 * there is nothing to wait for but the committer.
	 */
	large = b->workers == 1 ? 1 : b->workers * 2;
	if (b->workers > 1 && !b->n_codecs && !b->opt.chunk_size)
		large = b->workers + 1;
	if (b->segment > b->batched)
		small = b->workers == 1 ? 1 : large + AHEAD;
	b->n_jobs = large + small;
	b->jobs = calloc(b->n_jobs, sizeof(*b->jobs));
	if (!b->jobs)
		return ek_fail(err, EK_NOMEM, "no memory for jobs");
	for (unsigned i = 0; i < b->n_jobs; i++) {
		b->jobs[i].large = i < large;
		if (!make_job(b, &b->jobs[i],
			      i < large ? b->segment : EK_BATCH_BYTES))
			return ek_fail(err, EK_NOMEM, "no memory for jobs");
		ek_jobs_put(b, &b->jobs[i]);
	}
	return ek_pool_new(b->workers, b->n_jobs, &b->pool, err);
}

void ek_jobs_free(struct ek_build *b)
{
	for (unsigned i = 0; b->jobs && i < b->n_jobs; i++) {
		struct ek_build_job *job = &b->jobs[i];

		free(job->out);
		free(job->tails);
		free(job->all);
		free(job->pieces);
		free(job->files);
		free(job->sums);
		free(job->blks);
	}
	free(b->jobs);
	for (unsigned i = 0; b->nears && i < b->workers; i++)
		ek_near_close(&b->nears[i]);
	free(b->nears);
	for (unsigned i = 0; b->windows && i < b->workers; i++)
		free(b->windows[i]);
	free(b->windows);
}

/* Where a job for a file of @size bytes is taken from. */
static struct ek_build_job **stack(struct ek_build *b, uint64_t size)
{
	bool large = size > EK_BATCH_BYTES || b->segment == b->batched;

	return &b->idle[large ? 1 : 0];
}

bool ek_jobs_idle(struct ek_build *b, uint64_t size)
{
	return *stack(b, size);
}

struct ek_build_job *ek_jobs_get(struct ek_build *b, uint64_t size)
{
	struct ek_build_job **top = stack(b, size), *job = *top;

	EK_BUG_ON(!job);
	*top = job->below;
	job->offset = 0;
	job->len = 0;
	job->last = false;
	job->zeros = job->holes = 0;
	job->bytes_in = job->codec_in = 0;
	job->n_files = 0;
	job->out_used = job->tails_used = 0;
	job->n_pieces = 0;
	job->n_sums = 0;
	return job;
}

void ek_jobs_put(struct ek_build *b, struct ek_build_job *job)
{
	struct ek_build_job **top = &b->idle[job->large ? 1 : 0];

	job->below = *top;
	*top = job;
}
