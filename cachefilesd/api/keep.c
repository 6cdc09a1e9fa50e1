/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/api/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct word {
	uint64_t id;
	int fd; /* -1: drop */
	struct word *next;
};

struct ekd_keep {
	void (*keep)(void *arg, uint64_t id, int fd);
	void (*drop)(void *arg, uint64_t id);
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more, less;
	struct word *first, **last;
	uint64_t said, told; /* words, ever */
	bool stop;
};

static void tell(struct ekd_keep *k, struct word *w)
{
	if (w->fd < 0) {
		if (k->drop)
			k->drop(k->arg, w->id);
	} else {
		if (k->keep)
			k->keep(k->arg, w->id, w->fd);
		close(w->fd);
	}
	free(w);
}

static void *loop(void *arg)
{
	struct ekd_keep *k = arg;
	struct word *w;

	pthread_mutex_lock(&k->lock);
	while (k->first || !k->stop) {
		w = k->first;
		if (!w) {
			pthread_cond_wait(&k->more, &k->lock);
			continue;
		}
		k->first = w->next;
		if (!k->first)
			k->last = &k->first;
		pthread_mutex_unlock(&k->lock);
		tell(k, w);
		pthread_mutex_lock(&k->lock);
		k->told++;
		pthread_cond_broadcast(&k->less);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

ek_status ekd_keep_new(void (*keep)(void *arg, uint64_t id, int fd),
		       void (*drop)(void *arg, uint64_t id), void *arg,
		       struct ekd_keep **made, struct ek_err *err)
{
	struct ekd_keep *k = malloc(sizeof(*k));
	pthread_condattr_t attr;
	int sys;

	if (!k)
		return ek_fail(err, EK_NOMEM, "no memory for the API");
	*k = (struct ekd_keep){.keep = keep, .drop = drop, .arg = arg};
	k->last = &k->first;
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->more, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->less, &attr);
	pthread_condattr_destroy(&attr);
	sys = pthread_create(&k->thread, NULL, loop, k);
	if (sys) {
		free(k);
		return ek_fail_sys(err, sys, "cannot start a thread");
	}
	*made = k;
	return EK_OK;
}

void ekd_keep_free(struct ekd_keep *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_cond_signal(&k->more);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	pthread_cond_destroy(&k->more);
	pthread_cond_destroy(&k->less);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static uint64_t say(struct ekd_keep *k, uint64_t id, int fd)
{
	struct word *w = malloc(sizeof(*w));
	uint64_t n;

	if (!w) {
		/* Not kept: a successor cannot have it, nothing worse. */
		if (fd >= 0)
			close(fd);
		return 0;
	}
	*w = (struct word){.id = id, .fd = fd};
	pthread_mutex_lock(&k->lock);
	*k->last = w;
	k->last = &w->next;
	n = ++k->said;
	pthread_cond_signal(&k->more);
	pthread_mutex_unlock(&k->lock);
	return n;
}

uint64_t ekd_keep_add(struct ekd_keep *k, uint64_t id, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy >= 0 ? say(k, id, copy) : 0;
}

void ekd_keep_drop(struct ekd_keep *k, uint64_t id)
{
	say(k, id, -1);
}

void ekd_keep_wait(struct ekd_keep *k, uint64_t added, unsigned seconds)
{
	struct timespec until;
	int waited = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)seconds;
	pthread_mutex_lock(&k->lock);
	while (k->told < added && waited == 0)
		waited = pthread_cond_timedwait(&k->less, &k->lock, &until);
	pthread_mutex_unlock(&k->lock);
}
