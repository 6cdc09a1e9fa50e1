/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/verity.h"

#include "base/try.h"
#include "os/pool.h"

#include <stdlib.h>
#include <string.h>

/* Data of one job: large reads, and little memory for each worker. */
#define JOB_BYTES (1u << 20)
/* Jobs for each worker: enough that none waits for the slowest. */
#define JOBS_PER_WORKER 3
#define MAX_WORKERS	256

struct job {
	struct ek_job base;
	struct pipeline *pipe;
	uint64_t first; /* data block */
	size_t n;	/* data blocks */
	struct ek_verity_batch batch;
	uint8_t *data, *hashes, *above;
};

struct pipeline {
	struct ek_source *src;
	const struct ek_verity_plan *plan;
	size_t batch; /* hash blocks of a full job */
	unsigned workers, n_jobs;
	struct ek_hasher **hashers; /* one a worker */
	struct ek_pool *pool;
	struct job *jobs;
};

static ek_status hash_job(struct ek_job *base, unsigned worker,
			  struct ek_err *err)
{
	struct job *job = (struct job *)base;
	const struct ek_verity_plan *plan = job->pipe->plan;
	struct ek_hasher *h = job->pipe->hashers[worker];
	uint32_t data = plan->data_size, hash = plan->hash_size;

	EK_TRY(ek_source_read(job->pipe->src, job->first * data, job->data,
			      job->n * data, err));
	memset(job->hashes, 0, job->batch.blocks * hash);
	for (size_t i = 0; i < job->n; i++)
		EK_TRY(ek_hasher_once(h, job->data + i * data, data,
				      job->hashes + i * EK_DIGEST_SIZE, err));
	for (size_t i = 0; i < job->batch.blocks; i++)
		EK_TRY(ek_hasher_once(h, job->hashes + i * hash, hash,
				      job->above + i * EK_DIGEST_SIZE, err));
	return EK_OK;
}

static ek_status open_pipeline(struct pipeline *p,
			       const struct ek_verity_params *params,
			       struct ek_err *err)
{
	const struct ek_verity_plan *plan = p->plan;
	size_t n;

	n = (size_t)plan->per_block * plan->data_size;
	p->batch = n < JOB_BYTES ? JOB_BYTES / n : 1;
	p->hashers = calloc(p->workers, sizeof(struct ek_hasher *));
	p->n_jobs = p->workers == 1 ? 1 : p->workers * JOBS_PER_WORKER;
	p->jobs = calloc(p->n_jobs, sizeof(*p->jobs));
	if (!p->hashers || !p->jobs)
		return ek_fail(err, EK_NOMEM, "no memory for a hash tree");
	for (unsigned i = 0; i < p->workers; i++)
		EK_TRY(ek_hasher_new(params->salt, params->salt_size,
				     &p->hashers[i], err));
	for (unsigned i = 0; i < p->n_jobs; i++) {
		struct job *job = &p->jobs[i];

		job->base.run = hash_job;
		job->pipe = p;
		job->data = malloc(p->batch * n);
		job->hashes = malloc(p->batch * plan->hash_size);
		job->above = malloc(p->batch * EK_DIGEST_SIZE);
		if (!job->data || !job->hashes || !job->above)
			return ek_fail(err, EK_NOMEM,
				       "no memory for a hash tree");
		job->batch.hashes = job->hashes;
		job->batch.above = job->above;
	}
	return ek_pool_new(p->workers, p->n_jobs, &p->pool, err);
}

static void close_pipeline(struct pipeline *p)
{
	ek_pool_free(p->pool);
	for (unsigned i = 0; p->hashers && i < p->workers; i++)
		ek_hasher_free(p->hashers[i]);
	for (unsigned i = 0; p->jobs && i < p->n_jobs; i++) {
		free(p->jobs[i].data);
		free(p->jobs[i].hashes);
		free(p->jobs[i].above);
	}
	free(p->hashers);
	free(p->jobs);
}

static ek_status take(struct pipeline *p, ek_verity_batch_fn fn, void *arg,
		      bool *more, struct ek_err *err)
{
	struct job *job = (struct job *)ek_pool_take(p->pool);

	*more = job != NULL;
	if (!job)
		return EK_OK;
	if (job->base.status != EK_OK) {
		if (err)
			*err = job->base.err;
		return job->base.status;
	}
	return fn(arg, &job->batch, err);
}

static ek_status run_pipeline(struct pipeline *p, const volatile int *cancel,
			      ek_verity_batch_fn fn, void *arg,
			      struct ek_err *err)
{
	const struct ek_verity_plan *plan = p->plan;
	uint64_t step = p->batch * plan->per_block, at = 0;
	unsigned next = 0;
	bool more = true;

	for (; at < plan->data_blocks; at += step) {
		struct job *job = &p->jobs[next];

		if (cancel && *cancel)
			return ek_fail(err, EK_CANCELLED, "cancelled");
		if (ek_pool_full(p->pool))
			EK_TRY(take(p, fn, arg, &more, err));
		job->first = at;
		job->n = (size_t)ek_min(step, plan->data_blocks - at);
		job->batch.first = at / plan->per_block;
		job->batch.blocks = (size_t)ek_div_up(job->n, plan->per_block);
		ek_pool_submit(p->pool, &job->base);
		next = (next + 1) % p->n_jobs;
	}
	while (more)
		EK_TRY(take(p, fn, arg, &more, err));
	return EK_OK;
}

ek_status ek_verity_hash_data(struct ek_source *src,
			      const struct ek_verity_params *params,
			      const struct ek_verity_plan *plan,
			      const struct ek_verity_run *run,
			      ek_verity_batch_fn fn, void *arg,
			      struct ek_err *err)
{
	struct pipeline p = {.src = src, .plan = plan};
	ek_status status;

	if (run && run->size != sizeof(*run))
		return ek_fail(err, EK_INVALID, "wrong size of the options");
	p.workers = run && run->workers ? run->workers : ek_cpus();
	if (p.workers > MAX_WORKERS)
		p.workers = MAX_WORKERS;
	status = open_pipeline(&p, params, err);
	if (status == EK_OK)
		status = run_pipeline(&p, run ? run->cancel : NULL, fn, arg,
				      err);
	close_pipeline(&p);
	return status;
}

ek_status ek_verity_hash_one(struct ek_source *src,
			     const struct ek_verity_params *params,
			     const struct ek_verity_plan *plan,
			     uint8_t root[EK_DIGEST_SIZE], struct ek_err *err)
{
	EK_AUTO_FREE uint8_t *block = malloc(plan->data_size);
	struct ek_hasher *h;
	ek_status status;

	if (!block)
		return ek_fail(err, EK_NOMEM, "no memory for a block");
	EK_TRY(ek_source_read(src, 0, block, plan->data_size, err));
	EK_TRY(ek_hasher_new(params->salt, params->salt_size, &h, err));
	status = ek_hasher_once(h, block, plan->data_size, root, err);
	ek_hasher_free(h);
	return status;
}
