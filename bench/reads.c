/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reads of a file, timed one by one.
 *
 * usage: reads FILE BYTES seq|random|warm-seq|warm-random COUNT THREADS
 *
 * Without "warm" the file's pages are dropped first and no block is read twice;
 * COUNT (0: the whole file) reads by each thread, in parts of their own.
 * Prints: MB/s, median and 99th percentile in microseconds.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct reader {
	pthread_t thread;
	const char *path;
	size_t bytes, count;
	uint64_t from, blocks; /* its part, in blocks */
	bool jump;
	uint32_t *took; /* nanoseconds / 10 */
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The blocks of a part in the order of reading. */
static uint32_t *order(const struct reader *r)
{
	uint32_t *o = malloc(r->blocks * sizeof(*o));
	uint64_t x = 88172645463325252u;

	if (!o)
		die("memory");
	for (uint64_t i = 0; i < r->blocks; i++)
		o[i] = (uint32_t)i;
	for (uint64_t i = r->blocks; r->jump && i > 1; i--) {
		uint32_t t = o[i - 1];
		uint64_t k;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		k = x % i;
		o[i - 1] = o[k];
		o[k] = t;
	}
	return o;
}

static void *run(void *arg)
{
	struct reader *r = arg;
	int fd = open(r->path, O_RDONLY | O_CLOEXEC);
	char *to = malloc(r->bytes);
	uint32_t *blocks = order(r);

	if (fd < 0 || !to)
		die(r->path);
	posix_fadvise(fd, 0, 0,
		      r->jump ? POSIX_FADV_RANDOM : POSIX_FADV_NORMAL);
	for (size_t i = 0; i < r->count; i++) {
		int64_t begin = now_ns();
		uint64_t offset = (r->from + blocks[i]) * r->bytes;

		if (pread(fd, to, r->bytes, (off_t)offset) <= 0)
			die(r->path);
		r->took[i] = (uint32_t)((now_ns() - begin) / 10);
	}
	free(blocks);
	free(to);
	close(fd);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	size_t bytes, count, threads;
	struct reader *readers;
	uint32_t *took;
	struct stat st;
	bool warm;
	int64_t begin;
	double s;
	int fd;

	if (argc != 6) {
		fprintf(stderr, "usage: reads FILE BYTES HOW COUNT THREADS\n");
		return 2;
	}
	bytes = strtoul(argv[2], NULL, 10);
	count = strtoul(argv[4], NULL, 10);
	threads = strtoul(argv[5], NULL, 10);
	warm = strncmp(argv[3], "warm", 4) == 0;
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		die(argv[1]);
	if (!warm && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		die("fadvise");
	if (!count || count > (uint64_t)st.st_size / bytes / threads)
		count = (size_t)((uint64_t)st.st_size / bytes / threads);
	readers = calloc(threads, sizeof(*readers));
	took = calloc(threads * count, sizeof(*took));
	if (!readers || !took)
		die("memory");
	begin = now_ns();
	for (size_t i = 0; i < threads; i++) {
		uint64_t part = (uint64_t)st.st_size / bytes / threads;

		readers[i] = (struct reader){.path = argv[1],
					     .bytes = bytes,
					     .count = count,
					     .from = i * part,
					     .blocks = part,
					     .jump = strstr(argv[3], "random"),
					     .took = took + i * count};
		if (pthread_create(&readers[i].thread, NULL, run,
				   &readers[i]) != 0)
			die("thread");
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(readers[i].thread, NULL);
	s = (double)(now_ns() - begin) / 1e9;
	qsort(took, threads * count, sizeof(*took), by_value);
	printf("%.1f %.1f %.1f\n", (double)(threads * count * bytes) / s / 1e6,
	       took[threads * count / 2] / 100.0,
	       took[threads * count * 99 / 100] / 100.0);
	return 0;
}
