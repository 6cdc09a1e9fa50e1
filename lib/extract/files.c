/* SPDX-License-Identifier: Apache-2.0 */
#include "extract/extract.h"
#include "extract/place.h"
#include "base/bytes.h"
#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Zeros are left out in pieces of this: a block of common file systems. */
#define ZERO_UNIT 4096u

/* Whether a file above this may have its size is better known early. */
#define EARLY_SIZE ((uint64_t)256 << 10)

struct writing {
	struct ex *ex;
	int fd;
	uint64_t end; /* of all that was written */
};

static ek_status stopped(const struct ex *ex, struct ek_err *err)
{
	if (atomic_load_explicit(&ex->stop, memory_order_relaxed) ||
	    (ex->options->cancel && *ex->options->cancel))
		return ek_fail(err, EK_CANCELLED, "stopped");
	return EK_OK;
}

static ek_status write_all(int fd, uint64_t offset, const uint8_t *p, size_t n,
			   struct ek_err *err)
{
	while (n) {
		ssize_t done = pwrite(fd, p, n, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return ek_fail_sys(err, done ? errno : ENOSPC,
					   "cannot write");
		p += done;
		offset += (uint64_t)done;
		n -= (size_t)done;
	}
	return EK_OK;
}

/* Bytes at @p, up to @n, that are all zero (or, with @zero false, are not). */
static size_t run_of(const uint8_t *p, size_t n, bool zero)
{
	size_t at = 0;

	while (at < n) {
		size_t unit = (size_t)ek_min(n - at, ZERO_UNIT);

		if (ek_all_zero(p + at, unit) != zero)
			break;
		at += unit;
	}
	return at;
}

/*
 * The size of the file is set apart, so what is not written is a hole. Data
 * that is zero is not written either: a codec stores holes as zeros.
 */
static ek_status write_piece(void *arg, uint64_t offset, const uint8_t *bytes,
			     uint64_t n, struct ek_err *err)
{
	struct writing *w = arg;
	struct ex *ex = w->ex;
	uint64_t limit = ex->options->max_bytes;
	uint64_t before;
	size_t at = 0;

	EK_TRY(stopped(ex, err));
	if (!bytes)
		return EK_OK;
	before = atomic_fetch_add(&ex->written, n);
	if (limit && (n > limit || before > limit - n)) {
		atomic_store(&ex->over, 1);
		return ek_fail(err, EK_LIMIT,
			       "more than %llu bytes of file data",
			       (unsigned long long)limit);
	}
	while (w->fd >= 0 && at < n) {
		size_t run = run_of(bytes + at, (size_t)n - at, true);

		at += run;
		run = run_of(bytes + at, (size_t)n - at, false);
		if (run == 0)
			break;
		EK_TRY(write_all(w->fd, offset + at, bytes + at, run, err));
		at += run;
		w->end = offset + at;
	}
	return EK_OK;
}

static ek_status set_size(int fd, uint64_t size, struct ek_err *err)
{
	if ((uint64_t)(off_t)size != size || (off_t)size < 0)
		return ek_fail(err, EK_LIMIT, "the file is too large");
	if (ftruncate(fd, (off_t)size) != 0)
		return ek_fail_sys(err, errno, "cannot set the size");
	return EK_OK;
}

static ek_status fill_file(struct ex *ex, struct ex_file *file,
			   const struct ek_attr_born *born, int fd,
			   unsigned worker, struct ek_err *err)
{
	uint64_t size = file->node.size;
	struct writing w = {.ex = ex, .fd = fd};

	if (fd >= 0 && size > EARLY_SIZE)
		EK_TRY(set_size(fd, size, err));
	EK_TRY(ek_data_walk(ex->image, &file->node, &ex->bufs[worker],
			    write_piece, &w, err));
	if (fd < 0)
		return EK_OK;
	if (size <= EARLY_SIZE && w.end < size)
		EK_TRY(set_size(fd, size, err));
	return ek_attr_apply(ex->image, &ex->policy, born, &file->node, fd,
			     false, &file->skipped, err);
}

static ek_status one_file(struct ex *ex, struct ex_file *file,
			  struct ek_attr_born *born, unsigned worker,
			  struct ek_err *err)
{
	const struct ex_dirfd *dirfd = file->dirfd;
	struct ek_attr_born has;
	uint32_t mode = ek_attr_first_mode(&ex->policy, born, &file->node);
	ek_status status;
	int fd = -1;

	if (!ex->options->dry_run)
		EK_TRY(ek_place_create(dirfd->fd, file->name, mode,
				       ex->options->overwrite, &fd, err));
	has = *born;
	if (fd >= 0 && dirfd->ours && !born->owned) {
		ek_attr_learn(&ex->policy, fd, mode, born);
		has = *born;
		has.moded = false; /* this one was made without knowing */
	}
	status = fill_file(ex, file, &has, fd, worker, err);
	if (fd < 0)
		return status;
	/* Network file systems tell of failed writes here. */
	if (close(fd) != 0 && status == EK_OK)
		status = ek_fail_sys(err, errno, "cannot write");
	/* Half a file must not be taken for a whole one. */
	if (status != EK_OK)
		unlinkat(dirfd->fd, file->name, 0);
	return status;
}

bool ex_fatal(struct ex *ex, ek_status status)
{
	return status == EK_NOMEM || status == EK_CANCELLED ||
	       (status == EK_LIMIT && atomic_load(&ex->over));
}

static ek_status run_batch(struct ek_job *job, unsigned worker,
			   struct ek_err *job_err)
{
	struct ex_batch *batch = (struct ex_batch *)job;
	const struct ex_dirfd *dirfd = NULL;
	struct ek_attr_born born;
	unsigned i;

	for (i = 0; i < batch->n; i++) {
		struct ex_file *file = &batch->files[i];
		struct ek_err err;
		ek_status status;

		EK_TRY(stopped(batch->ex, job_err));
		if (file->dirfd != dirfd) {
			dirfd = file->dirfd;
			born = (struct ek_attr_born){.no_acls = dirfd->no_acls};
		}
		status = one_file(batch->ex, file, &born, worker, &err);
		if (status == EK_OK)
			continue;
		file->err = malloc(sizeof(err));
		if (!file->err || ex_fatal(batch->ex, status)) {
			free(file->err);
			file->err = NULL;
			*job_err = err;
			return status;
		}
		*file->err = err;
	}
	return EK_OK;
}

void ex_dirfd_put(struct ex *ex, struct ex_dirfd *dirfd)
{
	if (!dirfd || --dirfd->users)
		return;
	if (dirfd->fd >= 0) {
		close(dirfd->fd);
		ex->open_dirs--;
	}
	free(dirfd);
}

static void free_batch(struct ex_batch *batch)
{
	struct ex *ex = batch->ex;
	unsigned i;

	for (i = 0; i < batch->n; i++) {
		free(batch->files[i].err);
		ex_dirfd_put(ex, batch->files[i].dirfd);
	}
	ex->spare[ex->n_spare++] = batch;
}

/* Count what a finished batch did. */
static ek_status settle(struct ex *ex, struct ex_batch *batch,
			struct ek_err *err)
{
	ek_status status = batch->job.status;
	unsigned i;

	if (status != EK_OK) {
		*err = batch->job.err;
		for (i = 0; i < batch->n; i++)
			if (batch->files[i].err)
				ex->result->failed++;
	}
	for (i = 0; i < batch->n && status == EK_OK; i++) {
		struct ex_file *file = &batch->files[i];
		uint32_t dir = file->dirfd->dir;

		if (file->err) {
			status =
				ex_problem(ex, dir, file->name, file->err, err);
			continue;
		}
		ex->result->files++;
		ex_note_skipped(ex, dir, file->name, file->skipped);
	}
	free_batch(batch);
	return status;
}

static ek_status take_one(struct ex *ex, struct ek_err *err)
{
	struct ek_job *job = ek_pool_take(ex->pool);

	return job ? settle(ex, (struct ex_batch *)job, err) : EK_OK;
}

/* Send the batch that is being filled. */
static ek_status flush(struct ex *ex, struct ek_err *err)
{
	struct ex_batch *batch = ex->batch;

	if (!batch)
		return EK_OK;
	if (ek_pool_full(ex->pool))
		EK_TRY(take_one(ex, err));
	ex->batch = NULL;
	ek_pool_submit(ex->pool, &batch->job);
	return EK_OK;
}

/* There is one more of them than the pool takes. */
static struct ex_batch *new_batch(struct ex *ex)
{
	struct ex_batch *batch = ex->spare[--ex->n_spare];

	batch->job = (struct ek_job){.run = run_batch};
	batch->ex = ex;
	batch->n = 0;
	batch->bytes = batch->names_len = 0;
	return batch;
}

ek_status ex_files_add(struct ex *ex, struct ex_dirfd *dirfd, const char *name,
		       const struct ek_node *node, struct ek_err *err)
{
	size_t n = strlen(name) + 1;
	struct ex_batch *batch;
	char *kept;

	if (!ex->batch)
		ex->batch = new_batch(ex);
	batch = ex->batch;
	kept = batch->names + batch->names_len;
	memcpy(kept, name, n);
	batch->names_len += n;
	dirfd->users++;
	batch->files[batch->n++] =
		(struct ex_file){.node = *node, .dirfd = dirfd, .name = kept};
	if (!ek_add(batch->bytes, node->size, &batch->bytes))
		batch->bytes = UINT64_MAX;
	if (batch->n == EX_BATCH_FILES || batch->bytes >= EX_BATCH_BYTES ||
	    sizeof(batch->names) - batch->names_len <= EX_NAME_MAX)
		return flush(ex, err);
	return EK_OK;
}

ek_status ex_files_close_dirs(struct ex *ex, struct ek_err *err)
{
	struct ek_job *job;

	if (ex->open_dirs < EX_OPEN_DIRS_MAX)
		return EK_OK;
	EK_TRY(flush(ex, err));
	while (ex->open_dirs >= EX_OPEN_DIRS_MAX &&
	       (job = ek_pool_take(ex->pool)))
		EK_TRY(settle(ex, (struct ex_batch *)job, err));
	return EK_OK;
}

ek_status ex_files_drain(struct ex *ex, struct ek_err *err)
{
	struct ek_job *job;

	EK_TRY(flush(ex, err));
	while ((job = ek_pool_take(ex->pool)))
		EK_TRY(settle(ex, (struct ex_batch *)job, err));
	return EK_OK;
}

/*
 * A table of descriptors that grows while threads share it makes them all wait
 * for the kernel, for milliseconds: let it grow before there are any.
 */
static void grow_table(const struct ex *ex)
{
	int fd = fcntl(ex->root, F_DUPFD_CLOEXEC, EX_DESCRIPTORS);

	if (fd >= 0)
		close(fd);
}

ek_status ex_files_start(struct ex *ex, struct ek_err *err)
{
	unsigned depth;

	grow_table(ex);
	ex->workers = ex->options->workers ? ex->options->workers : ek_cpus();
	/* Results come in order, so a large file holds up those behind it. */
	depth = ek_max(ex->workers * 4, 64u);
	ex->bufs = calloc(ex->workers, sizeof(*ex->bufs));
	ex->batches = malloc((depth + 1) * sizeof(*ex->batches));
	ex->spare = calloc(depth + 1, sizeof(*ex->spare));
	if (!ex->bufs || !ex->batches || !ex->spare)
		return ek_fail(err, EK_NOMEM, "buffers of the workers");
	while (ex->n_spare <= depth) {
		ex->spare[ex->n_spare] = &ex->batches[depth - ex->n_spare];
		ex->n_spare++;
	}
	return ek_pool_new(ex->workers, depth, &ex->pool, err);
}

void ex_files_end(struct ex *ex)
{
	struct ek_job *job;
	unsigned i;

	atomic_store(&ex->stop, 1);
	while (ex->pool && (job = ek_pool_take(ex->pool)))
		free_batch((struct ex_batch *)job);
	ek_pool_free(ex->pool);
	if (ex->batch)
		free_batch(ex->batch);
	for (i = 0; ex->bufs && i < ex->workers; i++)
		ek_data_buf_free(&ex->bufs[i]);
	free(ex->bufs);
	free(ex->batches);
	free(ex->spare);
}
