/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/load.h"

#include "base/bytes.h"
#include "base/try.h"
#include "base/vec.h"
#include "os/pool.h"
#include "trust/digest.h"
#include "trust/manifest.h"

#include <string.h>
#include <sys/stat.h>

#define MAX_WORKERS 256
/* Small files are many: enough in flight to keep all workers busy. */
#define JOBS_PER_WORKER 16
#define READ_BYTES	(1u << 20)

struct loaded {
	struct ek_job base;
	struct ek_loader *loader;
	struct ek_node node;
	char *path;
	const char *link;
	char *target;
	uint8_t sha256[EK_DIGEST_SIZE];
	/* Names and values of the attributes, and where in bytes they are. */
	struct ek_buf bytes;
	EK_VEC(struct ek_manifest_xattr) xattrs;
};

struct ek_loader {
	struct ek_image *image;
	struct ek_manifest_sink *sink;
	const volatile int *cancel;
	uint64_t max_bytes, bytes;
	unsigned workers, n_jobs, next;
	struct ek_hasher **hashers; /* one a worker, as the next */
	uint8_t **buffers;
	struct ek_pool *pool;
	struct loaded *jobs;
	bool failed;
};

static ek_status hash_file(struct loaded *l, unsigned worker,
			   struct ek_err *err)
{
	struct ek_loader *loader = l->loader;
	struct ek_hasher *h = loader->hashers[worker];
	uint8_t *to = loader->buffers[worker];

	EK_TRY(ek_hasher_begin(h, err));
	for (uint64_t at = 0; at < l->node.size;) {
		size_t n = (size_t)ek_min(READ_BYTES, l->node.size - at);

		if (loader->cancel && *loader->cancel)
			return ek_fail(err, EK_CANCELLED, "cancelled");
		EK_TRY(ek_image_read(loader->image, &l->node, at, to, n, err));
		EK_TRY(ek_hasher_add(h, to, n, err));
		at += n;
	}
	return ek_hasher_end(h, l->sha256, err);
}

/* Copy one attribute; pointers come later, when the bytes stay in place. */
static ek_status on_xattr(void *arg, const struct ek_xattr *x,
			  struct ek_err *err)
{
	struct loaded *l = arg;
	struct ek_manifest_xattr copy = {.name_len = x->name_len,
					 .value_len = x->value_len};

	EK_TRY(ek_buf_append(&l->bytes, x->name, x->name_len, err));
	EK_TRY(ek_buf_append(&l->bytes, x->value, x->value_len, err));
	return ek_vec_push(&l->xattrs, copy, EK_MANIFEST_XATTRS_MAX, err);
}

static int by_name(const void *a, const void *b)
{
	return ek_manifest_xattr_order(a, b);
}

static ek_status load_xattrs(struct loaded *l, struct ek_err *err)
{
	const uint8_t *at;

	l->bytes.len = 0;
	l->xattrs.n = 0;
	EK_TRY(ek_image_xattrs(l->loader->image, &l->node, on_xattr, l, err));
	if (l->xattrs.n == 0)
		return EK_OK;
	at = l->bytes.data;
	for (size_t i = 0; i < l->xattrs.n; i++) {
		struct ek_manifest_xattr *x = &l->xattrs.at[i];

		x->name = (const char *)at;
		x->value = at + x->name_len;
		at = x->value + x->value_len;
	}
	qsort(l->xattrs.at, l->xattrs.n, sizeof(*l->xattrs.at), by_name);
	for (size_t i = 1; i < l->xattrs.n; i++)
		if (!by_name(&l->xattrs.at[i - 1], &l->xattrs.at[i]))
			return ek_fail(err, EK_CORRUPT, "an attribute twice");
	return EK_OK;
}

static ek_status load(struct ek_job *base, unsigned worker, struct ek_err *err)
{
	struct loaded *l = (struct loaded *)base;

	if (l->link)
		return EK_OK;
	EK_TRY(load_xattrs(l, err));
	if (S_ISREG(l->node.mode))
		return hash_file(l, worker, err);
	if (S_ISLNK(l->node.mode))
		return ek_image_readlink(l->loader->image, &l->node, &l->target,
					 err);
	return EK_OK;
}

static ek_status give(struct ek_loader *loader, const struct loaded *l,
		      struct ek_err *err)
{
	struct ek_manifest_entry e = {
		.path = l->path,
		.link = l->link,
		.mode = l->node.mode,
		.uid = l->node.uid,
		.gid = l->node.gid,
		.mtime = l->node.mtime,
		.mtime_nsec = l->node.mtime_nsec,
		.size = l->node.size,
		.target = l->target,
		.rdev_major = l->node.rdev_major,
		.rdev_minor = l->node.rdev_minor,
		.xattrs = l->xattrs.at,
		.n_xattrs = l->xattrs.n,
	};

	memcpy(e.sha256, l->sha256, sizeof(e.sha256));
	return loader->sink->add(loader->sink, &e, err);
}

/* Hand on the oldest node; *more is false when there was none. */
static ek_status take(struct ek_loader *loader, bool *more, struct ek_err *err)
{
	struct loaded *l = (struct loaded *)ek_pool_take(loader->pool);
	ek_status status;

	*more = l != NULL;
	if (!l)
		return EK_OK;
	status = l->base.status;
	if (status == EK_OK) {
		status = give(loader, l, err);
	} else if (err) {
		*err = l->base.err;
		ek_err_prefix(err, "%s", l->path);
	}
	free(l->path);
	free(l->target);
	l->path = l->target = NULL;
	loader->failed = status != EK_OK;
	return status;
}

ek_status ek_loader_submit(struct ek_loader *loader, const struct ek_node *node,
			   const char *path, const char *link,
			   struct ek_err *err)
{
	struct loaded *l = &loader->jobs[loader->next];
	bool more;

	if (ek_pool_full(loader->pool))
		EK_TRY(take(loader, &more, err));
	if (S_ISREG(node->mode) && !link) {
		if (!ek_add(loader->bytes, node->size, &loader->bytes) ||
		    (loader->max_bytes && loader->bytes > loader->max_bytes))
			return ek_fail(err, EK_LIMIT,
				       "more file data than may be decoded");
	}
	l->path = strdup(path);
	if (!l->path)
		return ek_fail(err, EK_NOMEM, "no memory for a path");
	l->node = *node;
	l->link = link;
	l->xattrs.n = 0;
	ek_pool_submit(loader->pool, &l->base);
	loader->next = (loader->next + 1) % loader->n_jobs;
	return EK_OK;
}

ek_status ek_loader_finish(struct ek_loader *loader, struct ek_err *err)
{
	bool more = true;

	while (more)
		EK_TRY(take(loader, &more, err));
	return EK_OK;
}

bool ek_loader_failed(const struct ek_loader *loader)
{
	return loader->failed;
}

static ek_status open_loader(struct ek_loader *loader, struct ek_err *err)
{
	loader->hashers = calloc(loader->workers, sizeof(struct ek_hasher *));
	loader->buffers = calloc(loader->workers, sizeof(uint8_t *));
	loader->jobs = calloc(loader->n_jobs, sizeof(*loader->jobs));
	if (!loader->hashers || !loader->buffers || !loader->jobs)
		return ek_fail(err, EK_NOMEM, "no memory for workers");
	for (unsigned i = 0; i < loader->workers; i++) {
		EK_TRY(ek_hasher_new(NULL, 0, &loader->hashers[i], err));
		loader->buffers[i] = malloc(READ_BYTES);
		if (!loader->buffers[i])
			return ek_fail(err, EK_NOMEM, "no memory for workers");
	}
	for (unsigned i = 0; i < loader->n_jobs; i++) {
		loader->jobs[i].base.run = load;
		loader->jobs[i].loader = loader;
		loader->jobs[i].bytes = EK_BUF_INIT(EK_MANIFEST_LINE_MAX);
	}
	return ek_pool_new(loader->workers, loader->n_jobs, &loader->pool, err);
}

ek_status ek_loader_new(struct ek_image *image,
			const struct ek_manifest_image_options *options,
			struct ek_manifest_sink *sink,
			struct ek_loader **loaderp, struct ek_err *err)
{
	struct ek_loader *loader = calloc(1, sizeof(*loader));
	ek_status status;

	*loaderp = NULL;
	if (!loader)
		return ek_fail(err, EK_NOMEM, "no memory for workers");
	loader->image = image;
	loader->sink = sink;
	loader->cancel = options->cancel;
	loader->max_bytes = options->max_bytes;
	loader->workers = options->workers ? options->workers : ek_cpus();
	if (loader->workers > MAX_WORKERS)
		loader->workers = MAX_WORKERS;
	loader->n_jobs =
		loader->workers == 1 ? 1 : loader->workers * JOBS_PER_WORKER;
	status = open_loader(loader, err);
	if (status != EK_OK) {
		ek_loader_free(loader);
		return status;
	}
	*loaderp = loader;
	return EK_OK;
}

void ek_loader_free(struct ek_loader *loader)
{
	if (!loader)
		return;
	ek_pool_free(loader->pool);
	for (unsigned i = 0; loader->jobs && i < loader->n_jobs; i++) {
		struct loaded *l = &loader->jobs[i];

		free(l->path);
		free(l->target);
		ek_buf_free(&l->bytes);
		ek_vec_free(&l->xattrs);
	}
	for (unsigned i = 0; i < loader->workers; i++) {
		if (loader->hashers)
			ek_hasher_free(loader->hashers[i]);
		if (loader->buffers)
			free(loader->buffers[i]);
	}
	free(loader->hashers);
	free(loader->buffers);
	free(loader->jobs);
	free(loader);
}
