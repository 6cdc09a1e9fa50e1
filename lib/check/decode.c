/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Decode every stream to its exact length. Streams come sorted by place, so
 * a job takes those of some bytes and reads them at once.
 */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"
#include "codec/codec.h"
#include "os/pool.h"

/* What a job reads is decoded at once: it should stay in a core's cache. */
#define JOB_BYTES   (256u << 10)
#define JOB_STREAMS 1024u
/* Jobs that are in flight while the calling thread does something else. */
#define JOBS_AHEAD 4096u
/* Failures that one job keeps apart; a broken region gives thousands. */
#define JOB_FAILURES 16u

struct worker {
	struct ek_decoder *decoders[EK_ALG_COUNT];
	uint8_t *in, *out;
	size_t in_cap, out_cap;
};

struct failure {
	size_t stream;
	struct ek_err err;
};

struct job {
	struct ek_job job; /* first */
	struct ck_decoding *d;
	size_t first, n;
	uint64_t done_streams, done_bytes;
	struct failure *failures; /* JOB_FAILURES of them, or NULL */
	size_t n_failures;	  /* all of them */
};

struct ck_decoding {
	struct ck *ck;
	struct worker *workers;
	unsigned n_workers;
	struct ek_pool *pool;
	size_t next, end; /* streams that are in no job yet */
};

static ek_status grow(uint8_t **buf, size_t *cap, size_t n, struct ek_err *err)
{
	uint8_t *bigger;

	if (n <= *cap)
		return EK_OK;
	n = (size_t)ek_round_up(n, 65536);
	bigger = realloc(*buf, n);
	if (!bigger)
		return ek_fail(err, EK_NOMEM, "a buffer of %zu bytes", n);
	*buf = bigger;
	*cap = n;
	return EK_OK;
}

static ek_status decoder_of(struct ck_decoding *d, struct worker *w,
			    uint8_t alg, struct ek_decoder **dec,
			    struct ek_err *err)
{
	const struct ek_cfgs *cfgs = &d->ck->image->cfgs;
	struct ek_decoder_params params = {
		.lzma_dict_size = cfgs->lzma_dict_size,
		.zstd_window_log = cfgs->zstd_windowlog,
	};

	if (!w->decoders[alg])
		EK_TRY(ek_decoder_new((enum ek_algorithm)alg, &params,
				      &w->decoders[alg], err));
	*dec = w->decoders[alg];
	return EK_OK;
}

static ek_status read_run(struct ck *ck, const struct ck_stream *first,
			  uint8_t *to, size_t n, struct ek_err *err)
{
	if (first->space == CK_BOX)
		return ek_meta_read(ck->image, true, first->pa, to, n, err);
	return ek_device_read(ck->image, first->space, first->pa, to, n, err);
}

static ek_status decode_one(struct ck_decoding *d, struct worker *w,
			    const struct ck_stream *s, const uint8_t *in,
			    struct ek_err *err)
{
	const struct ek_image *image = d->ck->image;
	uint32_t bs = image->info.block_size;
	struct ek_decoder *dec = NULL;
	bool partial = s->partial;
	size_t skip = 0, n = s->plen;

	EK_TRY(decoder_of(d, w, s->alg, &dec, err));
	EK_TRY(grow(&w->out, &w->out_cap, s->llen, err));
	/* Images older than Linux 5.3 pad behind the stream. */
	if (s->alg == EK_ALG_LZ4 &&
	    !ek_sb_incompat(&image->sb, EK_INCOMPAT_LZ4_0PADDING))
		partial = true;
	else
		EK_TRY(ek_skip_padding(
			in, n, (size_t)ek_min(n, bs - s->pa % bs), &skip, err));
	return ek_decode(dec, in + skip, n - skip, w->out, s->llen, partial,
			 err);
}

static void note_failure(struct job *job, size_t stream,
			 const struct ek_err *err)
{
	if (!job->failures)
		job->failures = calloc(JOB_FAILURES, sizeof(*job->failures));
	if (job->failures && job->n_failures < JOB_FAILURES)
		job->failures[job->n_failures] = (struct failure){stream, *err};
	job->n_failures++;
}

static ek_status run_job(struct ek_job *base, unsigned worker,
			 struct ek_err *err)
{
	struct job *job = (struct job *)base;
	struct ck_decoding *d = job->d;
	struct worker *w = &d->workers[worker];
	const struct ck_stream *s = &d->ck->streams.at[job->first];
	uint64_t end = 0;
	struct ek_err why;
	size_t i;

	EK_TRY(ck_cancelled(d->ck, err));
	for (i = 0; i < job->n; i++)
		end = ek_max(end, s[i].pa + s[i].plen);
	EK_TRY(grow(&w->in, &w->in_cap, (size_t)(end - s->pa), err));
	if (read_run(d->ck, s, w->in, (size_t)(end - s->pa), &why) != EK_OK) {
		note_failure(job, job->first, &why);
		return EK_OK;
	}
	for (i = 0; i < job->n; i++) {
		ek_status status = decode_one(d, w, &s[i],
					      w->in + (s[i].pa - s->pa), &why);

		if (status == EK_NOMEM) {
			*err = why;
			return status;
		}
		if (status != EK_OK) {
			note_failure(job, job->first + i, &why);
			continue;
		}
		job->done_streams++;
		job->done_bytes += s[i].llen;
	}
	return EK_OK;
}

static ek_status report(struct ck *ck, const struct job *job)
{
	size_t i;

	for (i = 0; i < job->n_failures; i++) {
		const struct failure *f;
		const struct ck_stream *s;

		if (!job->failures || i >= JOB_FAILURES) {
			ck_find(ck, CK_DATA_DECODE,
				ck->streams.at[job->first].owner, NULL,
				CK_NO_OFFSET, "one more damaged stream near");
			continue;
		}
		f = &job->failures[i];
		s = &ck->streams.at[f->stream];
		EK_TRY(ck_failed(
			ck,
			f->err.status == EK_UNSUPPORTED ? CK_SUPER_FEATURE
							: CK_DATA_DECODE,
			s->owner, NULL,
			s->space == CK_BOX ? CK_NO_OFFSET : s->pa, &f->err));
	}
	return EK_OK;
}

static ek_status settle(struct ck_decoding *d, struct job *job,
			struct ek_err *err)
{
	struct ek_check_result *r = d->ck->result;
	ek_status status = job->job.status;

	if (status != EK_OK)
		*err = job->job.err;
	else
		status = report(d->ck, job);
	r->decoded_pclusters += job->done_streams;
	r->decoded_bytes += job->done_bytes;
	free(job->failures);
	free(job);
	return status;
}

/* How many of the streams from the next one on a job takes. */
static size_t job_size(const struct ck_decoding *d)
{
	const struct ck_stream *s = &d->ck->streams.at[d->next];
	size_t n = 1;

	while (d->next + n < d->end && n < JOB_STREAMS &&
	       s[n].space == s->space &&
	       s[n].pa + s[n].plen - s->pa <= JOB_BYTES)
		n++;
	return n;
}

/* Submit as much as the pool takes. */
static ek_status submit(struct ck_decoding *d, struct ek_err *err)
{
	while (d->next < d->end && !ek_pool_full(d->pool)) {
		struct job *job = calloc(1, sizeof(*job));

		if (!job)
			return ek_fail(err, EK_NOMEM, "a job");
		job->job.run = run_job;
		job->d = d;
		job->first = d->next;
		job->n = job_size(d);
		d->next += job->n;
		ek_pool_submit(d->pool, &job->job);
	}
	return EK_OK;
}

void ck_decode_free(struct ck *ck)
{
	struct ck_decoding *d = ck->decoding;
	struct ek_job *taken;
	unsigned i, k;

	if (!d)
		return;
	while (d->pool && (taken = ek_pool_take(d->pool))) {
		free(((struct job *)taken)->failures);
		free(taken);
	}
	ek_pool_free(d->pool);
	for (i = 0; d->workers && i < d->n_workers; i++) {
		for (k = 0; k < EK_ALG_COUNT; k++)
			ek_decoder_free(d->workers[i].decoders[k]);
		free(d->workers[i].in);
		free(d->workers[i].out);
	}
	free(d->workers);
	free(d);
	ck->decoding = NULL;
}

ek_status ck_decode_start(struct ck *ck, size_t n, struct ek_err *err)
{
	struct ck_decoding *d = calloc(1, sizeof(*d));

	ck->decoding = d;
	if (!d)
		return ek_fail(err, EK_NOMEM, "workers");
	d->ck = ck;
	d->end = n;
	d->n_workers = ck->options->workers ? ck->options->workers : ek_cpus();
	d->workers = calloc(d->n_workers, sizeof(*d->workers));
	if (!d->workers)
		return ek_fail(err, EK_NOMEM, "workers");
	EK_TRY(ek_pool_new(d->n_workers, ek_max(d->n_workers * 2, JOBS_AHEAD),
			   &d->pool, err));
	return submit(d, err);
}

ek_status ck_decode_end(struct ck *ck, struct ek_err *err)
{
	struct ck_decoding *d = ck->decoding;
	struct ek_job *taken;

	while ((taken = ek_pool_take(d->pool))) {
		EK_TRY(settle(d, (struct job *)taken, err));
		EK_TRY(submit(d, err));
	}
	return EK_OK;
}
