/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/layers.h"
#include "tarfs/share.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 64u

/* What the threads share; they take layers one after another. */
struct expand {
	struct image *image;
	const struct tarfs_options *o;
	struct tarfs_meter *meter;
	bool read_all;
	pthread_mutex_t lock;
	size_t next;
	ek_status status; /* the first failure */
	struct ek_err err;
	struct tarfs_stop stop;
};

static bool wanted(const struct expand *x, size_t i)
{
	const struct image_layer *l = &x->image->layers[i];

	/* Other bytes of the same diff id: to be checked, not to be kept. */
	if (l->same != i && image_alike(l, &x->image->layers[l->same]))
		return false;
	return !l->checked && (!l->plain || x->read_all);
}

static ek_status compare(const struct image_layer *l, size_t i,
			 const struct tarfs_copy *c, struct ek_err *err)
{
	char got[TARFS_DIGEST_TEXT];

	tarfs_digest_text(c->digest, got);
	if (l->digest && strcmp(l->digest, got) != 0)
		return ek_fail(err, EK_DIFFERS,
			       "layer %zu is damaged: its digest is %s, not %s",
			       i, got, l->digest);
	tarfs_digest_text(c->plain, got);
	if (l->diff_id && strcmp(l->diff_id, got) != 0)
		return ek_fail(
			err, EK_DIFFERS,
			"layer %zu is damaged: its diff id is %s, not %s", i,
			got, l->diff_id);
	return EK_OK;
}

static ek_status learn(struct image_layer *l, struct tarfs_copy *c,
		       struct ek_err *err)
{
	char text[TARFS_DIGEST_TEXT];

	if (!l->leaves) {
		l->leaves = c->leaves;
		c->leaves = NULL;
	}

	l->checked = true;
	tarfs_digest_text(c->digest, text);
	if (!l->digest)
		CLI_TRY(image_set(&l->digest, text, err));
	tarfs_digest_text(c->plain, text);
	if (!l->diff_id)
		CLI_TRY(image_set(&l->diff_id, text, err));
	if (!l->path || l->plain)
		return EK_OK;
	l->data.bytes = l->data.file_bytes = c->bytes_out;
	l->plain = true;
	return EK_OK;
}

/* All bytes of @r, as @how says. */
static ek_status through(const struct range *r,
			 const struct tarfs_copy_how *how, struct tarfs_copy *c,
			 struct ek_err *err)
{
	struct range_source src;
	struct ek_tar_input *in = NULL;
	ek_status s;

	CLI_TRY(range_open(r, &src, err));
	s = ek_tar_input_from_source(src.slice, &in, err);
	if (s == EK_OK)
		s = tarfs_copy(in, how, c, err);
	ek_tar_input_free(in);
	range_close(&src);
	return s;
}

/*
 * The tar that --share found: it is what will be mounted, whatever the input
 * has. Its leaf digests came with it.
 */
static ek_status check_found(struct expand *x, const struct image_layer *l,
			     struct ek_err *err)
{
	const struct tarfs_copy_how how = {
		.name = l->data.path,
		.fd = -1,
		.leaves = true,
		.stop = &x->stop,
	};
	struct tarfs_copy c = {0};
	char got[TARFS_DIGEST_TEXT];
	ek_status s = EK_OK;

	CLI_TRY(through(&l->data, &how, &c, err));
	tarfs_digest_text(c.digest, got);
	if (strcmp(l->diff_id, got) != 0)
		s = ek_fail(err, EK_DIFFERS, "%s is damaged: its digest is %s",
			    l->data.path, got);
	else if (memcmp(c.leaves->root, l->leaves->root,
			sizeof(l->leaves->root)) != 0)
		s = ek_fail(err, EK_DIFFERS, "%s: its leaf digests are damaged",
			    l->data.path);
	ek_leaves_free(c.leaves);
	return s;
}

static ek_status one(struct expand *x, size_t i, struct ek_err *err)
{
	struct image_layer *l = &x->image->layers[i];
	const struct tarfs_copy_how how = {
		.name = l->in.path,
		.fd = l->path && !l->plain ? l->data.fd : -1,
		.to = l->data.path,
		.leaves = l->same == i && !l->leaves && tarfs_leaves(x->o),
		.stop = &x->stop,
		.meter = x->meter,
	};
	struct tarfs_copy c = {0};
	ek_status s;

	CLI_TRY(through(&l->in, &how, &c, err));
	s = compare(l, i, &c, err);
	if (s == EK_OK && l->shared_fd >= 0)
		s = check_found(x, l, err);
	if (s == EK_OK) {
		/* Others look at this layer to see whether theirs is equal. */
		pthread_mutex_lock(&x->lock);
		s = learn(l, &c, err);
		pthread_mutex_unlock(&x->lock);
	}
	if (s == EK_OK && l->sharing)
		s = share_commit(x->o, l, err);
	ek_leaves_free(c.leaves);
	return s;
}

static void *work(void *arg)
{
	struct expand *x = arg;
	struct ek_err err;

	for (;;) {
		size_t i;
		ek_status s;

		pthread_mutex_lock(&x->lock);
		while (x->next < x->image->n && !wanted(x, x->next))
			x->next++;
		i = x->status == EK_OK ? x->next++ : x->image->n;
		pthread_mutex_unlock(&x->lock);
		if (i >= x->image->n)
			return NULL;
		s = one(x, i, &err);
		if (s == EK_OK)
			continue;
		pthread_mutex_lock(&x->lock);
		if (x->status == EK_OK) {
			x->status = s;
			x->err = err;
		}
		x->stop.failed = 1;
		pthread_mutex_unlock(&x->lock);
	}
}

static unsigned threads_for(const struct tarfs_options *o, size_t jobs)
{
	unsigned n = o->build.workers;
	cpu_set_t cpus;

	if (!n) {
		n = 1;
		if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
			n = (unsigned)CPU_COUNT(&cpus);
	}
	n = n > THREADS_MAX ? THREADS_MAX : n;
	return jobs < n ? (unsigned)jobs : n;
}

static void run(struct expand *x, unsigned n)
{
	pthread_t threads[THREADS_MAX];
	unsigned made = 0;

	/* This thread is one of them, and may be all that there are. */
	while (made + 1 < n &&
	       pthread_create(&threads[made], NULL, work, x) == 0)
		made++;
	work(x);
	for (unsigned i = 0; i < made; i++)
		pthread_join(threads[i], NULL);
}

/* Where a compressed layer goes. */
static ek_status room(const struct expand *x, struct image_layer *l,
		      struct store *store, struct ek_err *err)
{
	char name[128];
	char *path = NULL;
	int fd;

	if (x->o->share)
		return share_begin(x->o, l, err);
	snprintf(name, sizeof(name), "blobs/sha256-%s.tar", l->diff_id + 7);
	CLI_TRY(image_set(&l->blob, name, err));
	CLI_TRY(store_file(store, name, &fd, &l->file, err));
	CLI_TRY(store_path(store, name, &path, err));
	l->data = (struct range){.fd = fd, .path = path};
	l->path = path;
	return EK_OK;
}

static ek_status prepare(struct expand *x, struct store *store, size_t *jobs,
			 uint64_t *bytes, struct ek_err *err)
{
	bool found;

	*jobs = 0;
	*bytes = 0;
	if (x->o->share)
		CLI_TRY(share_open(x->o, store->path, err));
	for (size_t i = 0; i < x->image->n; i++) {
		struct image_layer *l = &x->image->layers[i];

		if (x->o->share && !l->plain && l->same == i)
			CLI_TRY(share_find(x->o, l, &found, err));
		if (!wanted(x, i))
			continue;
		if (!l->plain && l->same == i)
			CLI_TRY(room(x, l, store, err));
		++*jobs;
		*bytes += l->in.bytes;
	}
	return EK_OK;
}

/*
 * A layer that is there already has the same data, so what was checked of its
 * own bytes says nothing of what is used when that was not read.
 */
static ek_status share(struct image *image, struct ek_err *err)
{
	for (size_t i = 0; i < image->n; i++) {
		struct image_layer *l = &image->layers[i];
		const struct image_layer *first = &image->layers[l->same];

		if (l->same == i)
			continue;
		l->data = first->data;
		l->plain = true;
		l->checked |= image_alike(l, first);
		l->checked &= first->checked;
		CLI_TRY(image_set(&l->blob, first->blob, err));
	}
	return EK_OK;
}

ek_status layers_expand(struct image *image, const struct tarfs_options *o,
			struct store *store, bool read_all, struct ek_err *err)
{
	struct expand x = {.image = image,
			   .o = o,
			   .read_all = read_all,
			   .stop = {.signal = o->build.cancel},
			   .lock = PTHREAD_MUTEX_INITIALIZER};
	uint64_t bytes;
	size_t jobs;

	CLI_TRY(prepare(&x, store, &jobs, &bytes, err));
	if (jobs && !o->quiet && !o->json && isatty(STDOUT_FILENO))
		x.meter = tarfs_meter_new("Layers", bytes);
	if (jobs)
		run(&x, threads_for(o, jobs));
	tarfs_meter_free(x.meter);
	pthread_mutex_destroy(&x.lock);
	if (x.status != EK_OK) {
		*err = x.err;
		return x.status;
	}
	return share(image, err);
}
