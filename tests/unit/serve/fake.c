/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include "unit.h"

#include <erofskit/source.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&t, NULL);
}

static void answer(struct fake *f, struct asked *a)
{
	struct ek_err err = {.text = ""};
	uint8_t *bytes;

	if (a->cancelled || a->how == FAIL) {
		ek_status status = a->cancelled ? EK_CANCELLED : EK_IO;

		ek_fail(&err, status, a->cancelled ? "cancelled" : "broken");
		err.sys = a->cancelled ? 0 : EIO;
		a->done(a->arg, status, &err, NULL, 0);
		return;
	}
	bytes = malloc(a->n);
	assert_non_null(bytes);
	memcpy(bytes, f->bytes + a->offset, a->n);
	if (a->how == WRONG)
		bytes[a->n > LEAF ? LEAF - 1 : 0] ^= 1;
	a->done(a->arg, EK_OK, NULL, bytes, a->how == SHORT ? a->n - 1 : a->n);
	/* The bytes live no longer than the call. */
	memset(bytes, 0xee, a->n);
	free(bytes);
}

static struct asked *take_due(struct fake *f)
{
	int64_t now = now_ms();

	for (struct asked **link = &f->list; *link; link = &(*link)->next) {
		struct asked *a = *link;

		if (!a->cancelled && (a->held || a->due_ms > now))
			continue;
		*link = a->next;
		return a;
	}
	return NULL;
}

static void *run(void *arg)
{
	struct fake *f = arg;

	pthread_mutex_lock(&f->lock);
	while (!f->stop || f->list) {
		struct asked *a = take_due(f);
		struct timespec at;

		if (a) {
			pthread_mutex_unlock(&f->lock);
			answer(f, a);
			free(a);
			pthread_mutex_lock(&f->lock);
			continue;
		}
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_nsec += 1000000;
		if (at.tv_nsec >= 1000000000) {
			at.tv_sec++;
			at.tv_nsec -= 1000000000;
		}
		pthread_cond_timedwait(&f->cond, &f->lock, &at);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void note(struct fake *f, const struct asked *a)
{
	if (f->requests < 256)
		f->order[f->requests] = a->offset;
	f->requests++;
	f->demand += a->priority == EKD_DEMAND;
	f->fetched += a->n;
	for (uint64_t i = a->offset / LEAF; i * LEAF < a->offset + a->n; i++)
		f->asked_leaf[i]++;
}

static ek_status fake_start(struct ekd_backend *backend, uint64_t offset,
			    size_t n, enum ekd_priority priority,
			    uint32_t deadline_ms, ekd_fetched done, void *arg,
			    uint64_t *id, struct ek_err *err)
{
	struct fake *f = (struct fake *)backend;
	struct asked *a = calloc(1, sizeof(*a)), **link = &f->list;

	assert_non_null(a);
	assert_true(deadline_ms > 0);
	pthread_mutex_lock(&f->lock);
	a->offset = offset;
	a->n = n;
	a->priority = priority;
	a->done = done;
	a->arg = arg;
	a->id = *id = ++f->last_id;
	a->held = f->hold || (f->hold_later && priority != EKD_DEMAND);
	a->due_ms = now_ms() +
		    (f->shuffle ? rand() % (f->delay_ms + 1) : f->delay_ms);
	a->how = f->how;
	if (f->how_times && !--f->how_times)
		f->how = RIGHT;
	note(f, a);
	if (a->how == REFUSE) {
		pthread_mutex_unlock(&f->lock);
		free(a);
		return ek_fail(err, EK_IO, "refused");
	}
	while (*link)
		link = &(*link)->next;
	*link = a;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
	return EK_OK;
}

static void fake_cancel(struct ekd_backend *backend, uint64_t id)
{
	struct fake *f = (struct fake *)backend;

	pthread_mutex_lock(&f->lock);
	for (struct asked *a = f->list; a; a = a->next)
		if (a->id == id)
			a->cancelled = true;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

static ek_status fake_info(struct ekd_backend *backend, uint64_t id,
			   struct ekd_fetch_info *info, struct ek_err *err)
{
	(void)backend;
	(void)id;
	(void)err;
	info->attempts = 3;
	snprintf(info->host, sizeof(info->host), "fake.example:1");
	snprintf(info->last_error, sizeof(info->last_error), "no answer");
	return EK_OK;
}

static void fake_free(struct ekd_backend *backend)
{
	struct fake *f = (struct fake *)backend;

	pthread_mutex_lock(&f->lock);
	assert_null(f->list);
	f->stop = f->freed = true;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
}

static struct fake *fake_new(const uint8_t *bytes)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->backend = (struct ekd_backend){.start = fake_start,
					  .cancel = fake_cancel,
					  .info = fake_info,
					  .free = fake_free};
	f->bytes = bytes;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, NULL);
	assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
	return f;
}

void fake_set(struct fake *f, bool hold, enum how how, unsigned times)
{
	pthread_mutex_lock(&f->lock);
	f->hold = hold;
	f->how = how;
	f->how_times = times;
	pthread_mutex_unlock(&f->lock);
}

void fake_release(struct fake *f)
{
	pthread_mutex_lock(&f->lock);
	f->hold = f->hold_later = false;
	for (struct asked *a = f->list; a; a = a->next)
		a->held = false;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

unsigned fake_requests(struct fake *f)
{
	unsigned n;

	pthread_mutex_lock(&f->lock);
	n = f->requests;
	pthread_mutex_unlock(&f->lock);
	return n;
}

void fake_wait(struct fake *f, unsigned requests)
{
	wait_until(fake_requests(f) >= requests);
}

static void make_bytes(struct rig *rig)
{
	struct ek_source *src;
	uint32_t x = 12345;

	rig->bytes = malloc(rig->size);
	assert_non_null(rig->bytes);
	for (size_t i = 0; i < rig->size; i++) {
		x = x * 1664525u + 1013904223u;
		rig->bytes[i] = (uint8_t)(x >> 24);
	}
	assert_int_equal(
		ek_source_from_memory(rig->bytes, rig->size, &src, NULL),
		EK_OK);
	assert_int_equal(ek_leaves_of(src, LEAF, &rig->leaves, NULL), EK_OK);
	ek_source_free(src);
}

static void completed(void *arg)
{
	struct rig *rig = arg;

	__atomic_fetch_add(&rig->completed, 1, __ATOMIC_SEQ_CST);
}

static struct ekd_backend *local_backend(struct rig *rig)
{
	struct ekd_backend *backend;
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/blob", rig->path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, rig->bytes, rig->size), rig->size);
	assert_int_equal(ekd_backend_local(fd, &backend, NULL), EK_OK);
	return backend;
}

static void must(ek_status status, const struct ek_err *err)
{
	if (status != EK_OK)
		fail_msg("%s", err->text);
}

void rig_new(struct rig *rig, const struct rig_options *options)
{
	struct ekd_store_options so = {.quota = options->quota,
				       .hooks = options->hooks};
	struct ekd_serve_options serve = options->serve;
	struct ekd_backend *backend;
	struct ek_err err;
	char path[80];

	memset(rig, 0, sizeof(*rig));
	snprintf(rig->path, sizeof(rig->path), "/tmp/ekd-serve-XXXXXX");
	assert_non_null(mkdtemp(rig->path));
	snprintf(path, sizeof(path), "%s/s", rig->path);
	rig->size = options->size;
	make_bytes(rig);
	must(ekd_store_open(path, &so, &rig->store, &err), &err);
	must(ekd_blob_open(rig->store, "one", rig->leaves, "x", &rig->blob,
			   &err),
	     &err);
	if (!options->ahead)
		serve.ahead_max = 1;
	must(ekd_serve_new(&serve, &rig->serve, &err), &err);
	if (options->local) {
		backend = local_backend(rig);
	} else {
		rig->fake = fake_new(rig->bytes);
		backend = &rig->fake->backend;
	}
	must(ekd_served_open(rig->serve, rig->blob, backend, completed, rig,
			     &rig->served, &err),
	     &err);
}

void rig_reopen(struct rig *rig)
{
	struct ek_err err;

	ekd_served_close(rig->served);
	must(ekd_served_open(rig->serve, rig->blob, local_backend(rig),
			     completed, rig, &rig->served, &err),
	     &err);
}

static int remove_one(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void rig_free(struct rig *rig)
{
	struct ekd_serve_stats stats;

	ekd_served_close(rig->served);
	if (rig->fake) {
		assert_true(rig->fake->freed);
		pthread_cond_destroy(&rig->fake->cond);
		pthread_mutex_destroy(&rig->fake->lock);
		free(rig->fake);
	}
	ekd_serve_stats(rig->serve, &stats);
	assert_int_equal(stats.memory, 0);
	assert_int_equal(stats.blobs, 0);
	ekd_serve_free(rig->serve);
	ekd_blob_close(rig->blob);
	ekd_store_close(rig->store);
	ek_leaves_free(rig->leaves);
	free(rig->bytes);
	nftw(rig->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct ekd_served_stats rig_stats(struct rig *rig)
{
	struct ekd_served_stats stats;

	ekd_served_stats(rig->served, &stats);
	return stats;
}

ek_status rig_read(struct rig *rig, uint64_t offset, size_t n,
		   struct ek_err *err)
{
	uint8_t *to = malloc(n);
	ek_status status;

	assert_non_null(to);
	status = ekd_served_pread(rig->served, offset, to, n, err);
	if (status == EK_OK)
		assert_memory_equal(to, rig->bytes + offset, n);
	free(to);
	return status;
}

static void pending_done(struct ekd_read *r, ek_status status,
			 const struct ek_err *err)
{
	struct pending *p = r->arg;

	pthread_mutex_lock(&p->lock);
	assert_false(p->over);
	p->over = true;
	p->status = status;
	if (status != EK_OK)
		p->sys = err->sys;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
}

struct pending *read_start(struct rig *rig, uint64_t offset, size_t n)
{
	struct pending *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->to = malloc(n);
	assert_non_null(p->to);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->cond, NULL);
	p->read = (struct ekd_read){.offset = offset,
				    .n = n,
				    .to = p->to,
				    .pid = 4711,
				    .done = pending_done,
				    .arg = p};
	ekd_served_read(rig->served, &p->read);
	return p;
}

bool read_over(struct pending *p)
{
	bool over;

	pthread_mutex_lock(&p->lock);
	over = p->over;
	pthread_mutex_unlock(&p->lock);
	return over;
}

ek_status read_end(struct rig *rig, struct pending *p, int *sys)
{
	ek_status status;

	wait_until(read_over(p));
	/* Whoever answered is through. */
	pthread_mutex_lock(&p->lock);
	status = p->status;
	if (sys)
		*sys = p->sys;
	pthread_mutex_unlock(&p->lock);
	if (status == EK_OK)
		assert_memory_equal(p->to, rig->bytes + p->read.offset,
				    p->read.n);
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->lock);
	free(p->to);
	free(p);
	return status;
}
