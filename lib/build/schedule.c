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

/* The next file with data, first of a job; NULL when there is none left. */
static const struct ek_tree_inode *next_file(struct ek_build *b,
					     struct cursor *c)
{
	while (c->next < b->tree->n_inodes &&
	       !ek_build_has_data(b->tree->inodes[c->next]))
		c->next++;
	return c->next < b->tree->n_inodes ? b->tree->inodes[c->next] : NULL;
}

static void submit(struct ek_build *b, struct cursor *c, uint64_t size)
{
	struct ek_build_job *job = ek_jobs_get(b, size);

	if (size > b->batched)
		fill_segment(b, c, job);
	else
		fill_batch(b, c, job);
	job->job.run = ek_build_job_run;
	job->job.settle = ek_build_job_append;
	ek_pool_submit(b->pool, &job->job);
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

static ek_status take(struct ek_build *b, struct ek_build_job *job,
		      struct ek_err *err)
{
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
	ek_jobs_put(b, job);
	return EK_OK;
}

ek_status ek_build_data(struct ek_build *b, struct ek_err *err)
{
	struct cursor c = {0};

	for (;;) {
		const struct ek_tree_inode *next = next_file(b, &c);
		bool room = next && ek_jobs_idle(b, next->size);
		struct ek_job *job;

		/* Few jobs wait for workers: what is taken late is as good. */
		job = ek_pool_take_or(b->pool, room ? b->workers : 0);
		if (job)
			EK_TRY(take(b, (struct ek_build_job *)job, err));
		else if (room)
			submit(b, &c, next->size);
		else
			return EK_OK;
	}
}
