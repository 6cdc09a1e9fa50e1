/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Attributes of directories, when everything beneath them is there. They
 * stand breadth first, so those behind the parent of the last one have no
 * parent among them: ranges of such are finished from the last up, each on
 * all workers.
 */

#include "extract/extract.h"
#include "base/bytes.h"
#include "base/try.h"

#include <unistd.h>

#define JOB_DIRS 32

struct finish {
	struct ek_job job; /* first */
	struct ex *ex;
	uint32_t first, n;
	struct {
		struct ek_err *err; /* NULL: done */
		unsigned skipped;
	} of[JOB_DIRS];
};

static ek_status finish_dir(struct ex *ex, uint32_t dir, unsigned *skipped,
			    struct ek_err *err)
{
	struct ek_attr_born born = {.no_acls = ex->dirs.at[dir].no_acls};
	struct ek_node node;
	ek_status status;
	int fd;

	EK_TRY(ek_image_node(ex->image, ex->dirs.at[dir].nid, &node, err));
	EK_TRY(ex_open_dir(ex, dir, &fd, err));
	ek_attr_learn(&ex->policy, fd, 0700, &born);
	born.no_acls = born.no_acls && born.owned && born.uid == ex->policy.uid;
	status = ek_attr_apply(ex->image, &ex->policy, &born, &node, fd, false,
			       skipped, err);
	close(fd);
	return status;
}

static ek_status run_job(struct ek_job *job, unsigned worker,
			 struct ek_err *job_err)
{
	struct finish *f = (struct finish *)job;
	struct ek_err err;
	uint32_t i;

	(void)worker;
	for (i = 0; i < f->n; i++) {
		if (f->ex->dirs.at[f->first + i].failed ||
		    finish_dir(f->ex, f->first + i, &f->of[i].skipped, &err) ==
			    EK_OK)
			continue;
		f->of[i].err = malloc(sizeof(err));
		if (!f->of[i].err)
			return ek_fail(job_err, EK_NOMEM, "an error");
		*f->of[i].err = err;
	}
	return EK_OK;
}

/* Tell what a finished job did, unless *@status says that it is too late. */
static void settle(struct ex *ex, struct finish *f, ek_status *status,
		   struct ek_err *err)
{
	uint32_t i;

	if (*status == EK_OK && f->job.status != EK_OK) {
		*status = f->job.status;
		*err = f->job.err;
	}
	for (i = 0; i < f->n; i++) {
		uint32_t dir = f->first + i;

		if (*status == EK_OK && f->of[i].err)
			*status = ex_problem(ex, dir, NULL, f->of[i].err, err);
		else if (*status == EK_OK)
			ex_note_skipped(ex, dir, NULL, f->of[i].skipped);
		free(f->of[i].err);
	}
	free(f);
}

static ek_status finish_range(struct ex *ex, uint32_t first, uint32_t end,
			      struct ek_err *err)
{
	ek_status status = EK_OK;
	struct ek_job *job;

	while (first < end && status == EK_OK) {
		struct finish *f;

		if (ek_pool_full(ex->pool))
			settle(ex, (struct finish *)ek_pool_take(ex->pool),
			       &status, err);
		f = status == EK_OK ? calloc(1, sizeof(*f)) : NULL;
		if (!f) {
			if (status == EK_OK)
				status = ek_fail(err, EK_NOMEM, "a job");
			break;
		}
		f->job.run = run_job;
		f->ex = ex;
		f->first = first;
		f->n = ek_min(end - first, (uint32_t)JOB_DIRS);
		first += f->n;
		ek_pool_submit(ex->pool, &f->job);
	}
	while ((job = ek_pool_take(ex->pool)))
		settle(ex, (struct finish *)job, &status, err);
	return status;
}

ek_status ex_finish_dirs(struct ex *ex, struct ek_err *err)
{
	uint32_t end = (uint32_t)ex->dirs.n;

	while (end > 0 && !ex->options->dry_run) {
		/* No parent is greater, so none is in the range it begins. */
		uint32_t parent = ex->dirs.at[end - 1].parent;
		uint32_t first = parent == EX_NO_PARENT ? 0 : parent + 1;

		EK_TRY(finish_range(ex, first, end, err));
		end = first;
	}
	return EK_OK;
}
