/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/copy.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EVERY_NS 100000000

struct tarfs_meter {
	pthread_mutex_t lock;
	const char *what;
	uint64_t done, total;
	int64_t next_ns;
	bool shown;
};

struct tarfs_meter *tarfs_meter_new(const char *what, uint64_t total)
{
	struct tarfs_meter *m = calloc(1, sizeof(*m));

	/* Without memory there is no line, that is all. */
	if (!m)
		return NULL;
	pthread_mutex_init(&m->lock, NULL);
	m->what = what;
	m->total = total;
	return m;
}

void tarfs_meter_step(struct tarfs_meter *m, uint64_t bytes)
{
	struct timespec t;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
	pthread_mutex_lock(&m->lock);
	m->done += bytes;
	if (now >= m->next_ns) {
		m->next_ns = now + EVERY_NS;
		m->shown = true;
		if (m->total)
			printf("\r\033[K%s %3u%%", m->what,
			       (unsigned)((double)m->done * 100 /
					  (double)m->total));
		else
			printf("\r\033[K%s %.1f MiB", m->what,
			       (double)m->done / (1 << 20));
		fflush(stdout);
	}
	pthread_mutex_unlock(&m->lock);
}

void tarfs_meter_free(struct tarfs_meter *m)
{
	if (!m)
		return;
	if (m->shown) {
		fputs("\r\033[K", stdout);
		fflush(stdout);
	}
	pthread_mutex_destroy(&m->lock);
	free(m);
}
