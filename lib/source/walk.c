/* SPDX-License-Identifier: Apache-2.0 */
#include "source/directory.h"

#include "base/try.h"

#include <sys/stat.h>

/*
 * Directories are scanned by the pool and put into the tree by the calling
 * thread. A directory that was met last is scanned first, which keeps the
 * queue short. The order does not matter: sealing sorts.
 */

/* Jobs in flight for each worker: enough to bridge a slow directory. */
#define JOBS_PER_WORKER 8
/* Most directories of a job: waking a thread costs as much as a small one. */
#define SCANS_PER_JOB 16

struct walk {
	const struct ek_directory_options *options;
	struct ek_tree *tree;
	struct ek_filter filter;
	struct ek_scanner scanner;
	struct ek_pool *pool;
	struct ek_links links;
	EK_VEC(struct ek_tree_node *) pending;
	EK_VEC(const struct ek_tree_xattr *) xattrs; /* of one inode */
	unsigned workers;
};

static void walk_free(struct walk *w)
{
	ek_pool_free(w->pool);
	ek_filter_free(&w->filter);
	ek_links_free(&w->links);
	ek_vec_free(&w->pending);
	ek_vec_free(&w->xattrs);
	for (unsigned i = 0; w->scanner.rooms && i < w->workers; i++)
		free(w->scanner.rooms[i]);
	free(w->scanner.rooms);
}

static ek_status walk_init(struct walk *w, const struct ek_root *root,
			   struct ek_err *err)
{
	const struct ek_directory_options *o = w->options;

	w->workers = o->workers ? o->workers : ek_cpus();
	w->scanner = (struct ek_scanner){
		.root = root,
		.filter = &w->filter,
		.cancel = o->cancel,
		.xattrs = !o->no_xattrs,
	};
	EK_TRY(ek_filter_init(&w->filter, o, err));
	w->scanner.rooms = calloc(w->workers, sizeof(*w->scanner.rooms));
	for (unsigned i = 0; w->scanner.rooms && i < w->workers; i++) {
		w->scanner.rooms[i] = malloc(sizeof(**w->scanner.rooms));
		if (!w->scanner.rooms[i])
			return ek_fail(err, EK_NOMEM, "no memory to walk");
	}
	if (!w->scanner.rooms)
		return ek_fail(err, EK_NOMEM, "no memory to walk");
	return ek_pool_new(w->workers, w->workers * JOBS_PER_WORKER, &w->pool,
			   err);
}

/* Everything of @e but its name becomes @inode's. */
static ek_status fill(struct walk *w, const struct ek_scan *scan,
		      const struct ek_scan_entry *e,
		      struct ek_tree_inode *inode, struct ek_err *err)
{
	const char *blob = (const char *)scan->blob.data;
	struct ek_dir_data *data;

	inode->mode = e->mode;
	inode->uid = e->uid;
	inode->gid = e->gid;
	inode->mtime = e->mtime;
	inode->mtime_nsec = e->mtime_nsec;
	inode->rdev_major = e->rdev_major;
	inode->rdev_minor = e->rdev_minor;
	inode->size = e->size;
	w->xattrs.n = 0;
	for (uint32_t i = 0; i < e->n_xattrs; i++) {
		const struct ek_scan_xattr *x = &scan->xattrs.at[e->xattrs + i];
		const struct ek_tree_xattr *xattr;

		EK_TRY(ek_tree_xattr(w->tree, blob + x->name, blob + x->value,
				     x->value_len, &xattr, err));
		EK_TRY(ek_vec_push(&w->xattrs, xattr, UINT16_MAX, err));
	}
	EK_TRY(ek_tree_set_xattrs(w->tree, inode, w->xattrs.at, w->xattrs.n,
				  err));
	if (S_ISLNK(e->mode)) {
		inode->target = ek_arena_copy(w->tree->arena, blob + e->target,
					      (size_t)e->size);
		if (!inode->target)
			return ek_fail(err, EK_NOMEM, "no memory to walk");
	}
	if (S_ISREG(e->mode)) {
		data = ek_arena_alloc(w->tree->arena, sizeof(*data));
		if (!data)
			return ek_fail(err, EK_NOMEM, "no memory to walk");
		data->ctime = e->ctime;
		data->ctime_nsec = e->ctime_nsec;
		inode->data = data;
	}
	return EK_OK;
}

/* The inode of @e: a new one, or that of a hard link met before. */
static ek_status inode_of(struct walk *w, const struct ek_scan *scan,
			  const struct ek_scan_entry *e,
			  struct ek_tree_inode **inode, struct ek_err *err)
{
	struct ek_link *link = NULL;

	if (e->nlink > 1 && !S_ISDIR(e->mode) &&
	    !w->options->hard_dereference) {
		EK_TRY(ek_links_find(&w->links, e->dev, e->ino, &link, err));
		if (link->inode) {
			*inode = link->inode;
			return EK_OK;
		}
	}
	EK_TRY(ek_tree_inode(w->tree, e->mode, inode, err));
	if (link)
		link->inode = *inode;
	return fill(w, scan, e, *inode, err);
}

static bool skipped(const struct walk *w, const struct ek_scan_entry *e)
{
	const struct ek_directory_options *o = w->options;

	for (size_t i = 0; i < o->n_skip; i++)
		if (e->ino == o->skip[i].ino && e->dev == o->skip[i].dev)
			return true;
	return false;
}

static ek_status merge_entry(struct walk *w, const struct ek_scan *scan,
			     const struct ek_scan_entry *e, struct ek_err *err)
{
	struct ek_tree_inode *inode;
	struct ek_tree_node *node;

	if (skipped(w, e))
		return EK_OK;
	EK_TRY(inode_of(w, scan, e, &inode, err));
	EK_TRY(ek_tree_add(w->tree, scan->node,
			   (const char *)scan->blob.data + e->name, e->name_len,
			   inode, &node, err));
	if (!S_ISDIR(e->mode))
		return EK_OK;
	return ek_vec_push(&w->pending, node, EK_TREE_INODES_MAX, err);
}

/* Errors of the tree name neither the file nor its directory. */
static ek_status merge(struct walk *w, const struct ek_scan *scan,
		       struct ek_err *err)
{
	const struct ek_root *root = w->scanner.root;

	for (size_t i = 0; i < scan->entries.n; i++) {
		const struct ek_scan_entry *e = &scan->entries.at[i];

		if (merge_entry(w, scan, e, err) != EK_OK)
			return ek_err_prefix(err, "%s%s%s/%s", root->path,
					     *scan->path ? "/" : "", scan->path,
					     (const char *)scan->blob.data +
						     e->name);
	}
	return EK_OK;
}

static void free_job(struct ek_scan_job *job)
{
	while (job->scans) {
		struct ek_scan *scan = job->scans;

		job->scans = scan->next;
		ek_scan_free(scan);
	}
	free(job);
}

/* A job of @n pending directories; NULL after a failure. */
static struct ek_scan_job *new_job(struct walk *w, size_t n, struct ek_err *err)
{
	struct ek_scan_job *job = calloc(1, sizeof(*job));

	if (!job) {
		ek_fail(err, EK_NOMEM, "no memory for the walk");
		return NULL;
	}
	job->job.run = ek_scan_run;
	while (n--) {
		struct ek_scan *scan = ek_scan_new(
			&w->scanner, w->pending.at[w->pending.n - 1], err);

		if (!scan) {
			free_job(job);
			return NULL;
		}
		w->pending.n--;
		scan->next = job->scans;
		job->scans = scan;
	}
	return job;
}

/* Keep the pool full: few directories a job while there are few. */
static ek_status feed(struct walk *w, struct ek_err *err)
{
	while (w->pending.n && !ek_pool_full(w->pool)) {
		size_t n = ek_div_up(w->pending.n, 2 * (size_t)w->workers);
		struct ek_scan_job *job =
			new_job(w, ek_min(n, SCANS_PER_JOB), err);

		if (!job)
			return err ? err->status : EK_NOMEM;
		ek_pool_submit(w->pool, &job->job);
	}
	return EK_OK;
}

static ek_status take(struct walk *w, const struct ek_scan_job *job,
		      struct ek_err *err)
{
	const volatile int *cancel = w->options->cancel;

	if (job->job.status != EK_OK) {
		if (err)
			*err = job->job.err;
		return job->job.status;
	}
	if (cancel && *cancel)
		return ek_fail(err, EK_CANCELLED, "cancelled");
	for (struct ek_scan *scan = job->scans; scan; scan = scan->next)
		EK_TRY(merge(w, scan, err));
	return EK_OK;
}

static ek_status drain(struct walk *w, struct ek_err *err)
{
	ek_status s = feed(w, err);
	struct ek_job *job;

	/* After a failure jobs are still ours to free. */
	while ((job = ek_pool_take(w->pool))) {
		struct ek_scan_job *scans = (struct ek_scan_job *)job;

		if (s == EK_OK)
			s = take(w, scans, err);
		free_job(scans);
		if (s == EK_OK)
			s = feed(w, err);
	}
	return s;
}

static ek_status walk_root(struct walk *w, struct ek_err *err)
{
	struct ek_tree_node *root = w->tree->root;
	struct ek_scan *scan = ek_scan_new(&w->scanner, root, err);
	ek_status s;

	if (!scan)
		return err ? err->status : EK_NOMEM;
	s = ek_scan_root(scan, err);
	if (s == EK_OK)
		s = fill(w, scan, &scan->entries.at[0], root->inode, err);
	ek_scan_free(scan);
	EK_TRY(s);
	return ek_vec_push(&w->pending, root, EK_TREE_INODES_MAX, err);
}

ek_status ek_walk(const struct ek_root *root,
		  const struct ek_directory_options *options,
		  struct ek_tree *tree, struct ek_err *err)
{
	struct walk w = {.options = options, .tree = tree};
	ek_status s = walk_init(&w, root, err);

	if (s == EK_OK)
		s = walk_root(&w, err);
	if (s == EK_OK)
		s = drain(&w, err);
	walk_free(&w);
	if (s == EK_OK && ek_tree_seal(tree, err) != EK_OK)
		s = ek_err_prefix(err, "%s", root->path);
	return s;
}
