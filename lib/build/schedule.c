/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PROGRESS_NS INT64_C(100000000)

/* What has not been given to a job yet. */
struct cursor {
	uint32_t next;	 /* of tree->inodes */
	uint64_t offset; /* in a large file */
};

int64_t ek_build_now(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Room that a file takes in a job at most. */
static uint64_t weight(const struct ek_build *b,
		       const struct ek_tree_inode *inode)
{
	return ek_round_up(inode->size, b->bs) + b->bs;
}

static void fill_segment(struct ek_build *b, struct cursor *c,
			 struct ek_build_job *job)
{
	uint64_t left = b->tree->inodes[c->next]->size - c->offset;

	job->first = c->next;
	job->end = c->next + 1;
	job->offset = c->offset;
	job->len = (uint32_t)ek_min(left, b->segment);
	job->last = left <= b->segment;
	c->offset += job->len;
	if (job->last) {
		c->next++;
		c->offset = 0;
	}
}

static void fill_batch(struct ek_build *b, struct cursor *c,
		       struct ek_build_job *job)
{
	uint64_t sum = 0;
	uint32_t files = 0;

	job->first = c->next;
	for (; c->next < b->tree->n_inodes; c->next++) {
		const struct ek_tree_inode *inode = b->tree->inodes[c->next];

		if (!ek_build_has_data(inode))
			continue;
		if (inode->size > b->batched || files == EK_BATCH_FILES)
			break;
		if (files > 0 && sum + weight(b, inode) > EK_BATCH_BYTES)
			break;
		sum += weight(b, inode);
		files++;
	}
	job->end = c->next;
}

/* The next job; false when there is none left. */
static bool fill(struct ek_build *b, struct cursor *c, struct ek_build_job *job)
{
	while (c->next < b->tree->n_inodes &&
	       !ek_build_has_data(b->tree->inodes[c->next]))
		c->next++;
	if (c->next == b->tree->n_inodes)
		return false;
	job->offset = 0;
	job->len = 0;
	job->last = false;
	job->zeros = job->holes = 0;
	job->bytes_in = job->codec_in = 0;
	job->n_files = 0;
	job->in_used = job->out_used = 0;
	job->n_pieces = 0;
	job->n_sums = 0;
	if (b->tree->inodes[c->next]->size > b->batched)
		fill_segment(b, c, job);
	else
		fill_batch(b, c, job);
	return true;
}

static void progress(struct ek_build *b, const struct ek_build_job *job)
{
	int64_t now;
	char *path;

	if (!b->opt.progress)
		return;
	now = ek_build_now();
	if (now - b->last_progress < PROGRESS_NS)
		return;
	b->last_progress = now;
	path = ek_tree_path(b->tree->inodes[job->first]->first);
	b->opt.progress(b->opt.progress_arg, path ? path : "", b->done_bytes,
			b->total_bytes);
	free(path);
}

static ek_status take(struct ek_build *b, struct ek_err *err)
{
	struct ek_build_job *job;

	job = (struct ek_build_job *)ek_pool_take(b->pool);
	if (job->job.status != EK_OK) {
		if (err)
			*err = job->job.err;
		return job->job.status;
	}
	if (b->opt.cancel && *b->opt.cancel)
		return ek_fail(err, EK_CANCELLED, "cancelled");
	b->done_bytes += job->bytes_in;
	b->stats->codec_bytes_in += job->codec_in;
	EK_TRY(ek_commit_job(b, job, err));
	progress(b, job);
	return EK_OK;
}

ek_status ek_build_data(struct ek_build *b, struct ek_err *err)
{
	struct cursor c = {0};
	unsigned slot = 0, in_flight = 0;
	bool more = true;

	while (more || in_flight) {
		struct ek_build_job *job = &b->jobs[slot];

		/* Slots become free in the order in which they were used. */
		if (more && in_flight < b->n_jobs) {
			more = fill(b, &c, job);
			if (!more)
				continue;
			job->job.run = ek_build_job_run;
			job->job.settle = ek_build_job_append;
			ek_pool_submit(b->pool, &job->job);
			slot = (slot + 1) % b->n_jobs;
			in_flight++;
			continue;
		}
		in_flight--;
		EK_TRY(take(b, err));
	}
	return EK_OK;
}
