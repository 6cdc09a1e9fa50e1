/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck/beside.h"
#include "cli/cpu.h"
#include "fsck/restore.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What waits to be told, at most; beyond it extraction waits. */
#define WAITING_MAX 4096

/* As many descriptors as ek_extract() may want at once. */
#define DESCRIPTORS 400

struct item {
	struct item *next;
	ek_status status;
	const char *words; /* behind path */
	bool have_path;
	char path[];
};

struct fsck_beside {
	const struct fsck_options *options;
	struct ek_image *image;
	struct ek_extract_result result; /* the thread's until it is done */
	double cpu;			 /* seconds; the same */
	pthread_t thread;

	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t changed;
	struct item *first, **end;
	unsigned waiting;
	bool lost;    /* something could not be kept */
	bool unheard; /* nobody will be told */
	bool done;
};

static struct item *new_item(ek_status status, const char *path,
			     const char *words)
{
	size_t n = path ? strlen(path) + 1 : 0, m = strlen(words) + 1;
	struct item *item = malloc(sizeof(*item) + n + m);

	if (!item)
		return NULL;
	item->next = NULL;
	item->status = status;
	item->have_path = path != NULL;
	if (path)
		memcpy(item->path, path, n);
	memcpy(item->path + n, words, m);
	item->words = item->path + n;
	return item;
}

/* On the thread: keep what is to be told. */
static void keep(void *arg, const char *path, ek_status status,
		 const char *words)
{
	struct item *item = new_item(status, path, words);
	struct fsck_beside *b = arg;

	pthread_mutex_lock(&b->lock);
	while (b->waiting >= WAITING_MAX && !b->unheard)
		pthread_cond_wait(&b->changed, &b->lock);
	if (item) {
		*b->end = item;
		b->end = &item->next;
		b->waiting++;
	} else {
		b->lost = true;
	}
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void *run(void *arg)
{
	struct fsck_beside *b = arg;

	fsck_restore(b->options, b->image, &b->result, keep, b);
	b->cpu = cli_cpu_seconds(RUSAGE_THREAD);
	pthread_mutex_lock(&b->lock);
	b->done = true;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/*
 * Extraction has hundreds of descriptors open. The kernel makes all threads
 * wait for milliseconds when their common table grows, so it grows before.
 */
static void grow_table(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, DESCRIPTORS);

	if (fd >= 0)
		close(fd);
}

/* Signals are for the main thread, whose calls they interrupt. */
static int start_thread(struct fsck_beside *b)
{
	sigset_t all, old;
	int rc;

	grow_table();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&b->thread, NULL, run, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

struct fsck_beside *fsck_beside_start(const struct fsck_report *r,
				      struct ek_source *source,
				      const struct ek_image_options *io)
{
	struct fsck_beside *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->options = r->options;
	b->end = &b->first;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	if (ek_image_open(source, io, &b->image, NULL) == EK_OK &&
	    start_thread(b) == 0)
		return b;
	ek_image_free(b->image);
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return NULL;
}

/* The next item, when there is one; NULL: all is done. */
static struct item *take(struct fsck_beside *b)
{
	struct item *item;

	pthread_mutex_lock(&b->lock);
	while (!b->first && !b->done)
		pthread_cond_wait(&b->changed, &b->lock);
	item = b->first;
	if (item) {
		b->first = item->next;
		if (!b->first)
			b->end = &b->first;
		b->waiting--;
		pthread_cond_signal(&b->changed);
	}
	pthread_mutex_unlock(&b->lock);
	return item;
}

void fsck_beside_end(struct fsck_beside *b, struct fsck_report *r)
{
	struct item *item;

	pthread_mutex_lock(&b->lock);
	b->unheard = r == NULL;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
	while ((item = take(b))) {
		if (r)
			fsck_restore_tell(r,
					  item->have_path ? item->path : NULL,
					  item->status, item->words);
		free(item);
	}
	pthread_join(b->thread, NULL);
	if (r) {
		r->have_extract = true;
		r->extract = b->result;
		r->extract_cpu = b->cpu;
		if (b->lost)
			fsck_restore_tell(r, NULL, EK_NOMEM,
					  "no memory for all messages");
	}
	ek_image_free(b->image);
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
