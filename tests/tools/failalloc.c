/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program: its EK_FAIL_AT-th allocation (from 1 on) fails, or
 * with EK_FAIL_ALL=1 all from that one on. With EK_FAIL_COUNT=FILE the number
 * of allocations is written to FILE in the end. Only calls from the program
 * itself and the libraries that it was linked with come here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static atomic_ulong calls;
static unsigned long fail_at;
static int fail_all;
static int ready;

__attribute__((constructor)) static void start(void)
{
	const char *at = getenv("EK_FAIL_AT");
	const char *all = getenv("EK_FAIL_ALL");

	fail_at = at ? strtoul(at, NULL, 10) : 0;
	fail_all = all && *all == '1';
	ready = 1;
}

__attribute__((destructor)) static void finish(void)
{
	const char *path = getenv("EK_FAIL_COUNT");
	char text[32];
	int fd, n;

	ready = 0;
	if (!path)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	n = snprintf(text, sizeof(text), "%lu\n", atomic_load(&calls));
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		_exit(99);
	close(fd);
}

static int fails(void)
{
	unsigned long call;

	if (!ready)
		return 0;
	call = atomic_fetch_add(&calls, 1) + 1;
	if (!fail_at || (fail_all ? call < fail_at : call != fail_at))
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
