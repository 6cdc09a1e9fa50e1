/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Run a program and tell what it took. usage: launch PROGRAM ARGUMENT...
 *
 * What the kernel calls the peak memory of a process is at least that of the
 * one that it was forked from, so a small program must start what may be
 * small: linked statically this one has well under a MiB. The program's
 * input and output are /dev/null. Written to standard output: nanoseconds of
 * wall clock, microseconds of CPU (user and system), KiB of peak memory, and
 * the status as wait(2) has it.
 */

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long micros(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t files;
	struct rusage use;
	long long start;
	int status;
	pid_t pid;

	if (argc < 2 || posix_spawn_file_actions_init(&files) ||
	    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY,
					     0) ||
	    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY,
					     0))
		return 1;
	start = now();
	if (posix_spawn(&pid, argv[1], &files, NULL, argv + 1, environ)) {
		fprintf(stderr, "launch: cannot run %s\n", argv[1]);
		return 1;
	}
	while (wait4(pid, &status, 0, &use) < 0)
		;
	printf("%lld %lld %ld %d\n", now() - start,
	       micros(use.ru_utime) + micros(use.ru_stime), use.ru_maxrss,
	       status);
	return 0;
}
