/* SPDX-License-Identifier: Apache-2.0 */
#include "os/cpus.h"
#include "os/pool.h"

#include "base/bytes.h"
#include "base/try.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the kernel's own mask stops to grow. */
#define MAX_CPUS 65536

/* Read a small text file; false when it cannot be read. */
static bool slurp(const char *path, char *text, size_t size)
{
	EK_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		return false;
	while (n < size - 1) {
		ssize_t got = read(fd, text + n, size - 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	text[n] = 0;
	return true;
}

static unsigned divide(unsigned long long quota, unsigned long long period)
{
	unsigned long long n;

	if (period == 0)
		return EK_CPUS_UNLIMITED;
	n = ek_div_up(quota, period);
	return n == 0 ? 1 : n > MAX_CPUS ? EK_CPUS_UNLIMITED : (unsigned)n;
}

/* The quota in one directory: "QUOTA PERIOD" or "max PERIOD". */
static unsigned quota_v2(const char *dir)
{
	unsigned long long quota, period;
	char path[PATH_MAX], text[128];
	int n = snprintf(path, sizeof(path), "%s/cpu.max", dir);

	if (n < 0 || (size_t)n >= sizeof(path) ||
	    !slurp(path, text, sizeof(text)) ||
	    sscanf(text, "%llu %llu", &quota, &period) != 2)
		return EK_CPUS_UNLIMITED;
	return divide(quota, period);
}

/* The same in version 1: two files, the quota -1 when there is none. */
static unsigned quota_v1(const char *dir)
{
	static const char *const names[] = {"cfs_quota_us", "cfs_period_us"};
	long long value[2];

	for (int i = 0; i < 2; i++) {
		char path[PATH_MAX], text[64];
		int n = snprintf(path, sizeof(path), "%s/cpu.%s", dir,
				 names[i]);

		if (n < 0 || (size_t)n >= sizeof(path) ||
		    !slurp(path, text, sizeof(text)) ||
		    sscanf(text, "%lld", &value[i]) != 1 || value[i] <= 0)
			return EK_CPUS_UNLIMITED;
	}
	return divide((unsigned long long)value[0],
		      (unsigned long long)value[1]);
}

/* The least quota of @base/@group and of every group above it. */
static unsigned walk_up(const char *base, const char *group,
			unsigned (*quota)(const char *dir))
{
	unsigned least = EK_CPUS_UNLIMITED;
	size_t base_len = strlen(base);
	char dir[PATH_MAX];
	int n = snprintf(dir, sizeof(dir), "%s%s", base, group);

	if (n < 0 || (size_t)n >= sizeof(dir))
		return least;
	for (;;) {
		char *slash = strrchr(dir, '/');
		unsigned here = quota(dir);

		least = here < least ? here : least;
		if (!slash || (size_t)(slash - dir) < base_len)
			return least;
		*slash = 0;
	}
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (;;) {
		const char *comma = strchrnul(list, ',');

		if ((size_t)(comma - list) == n && !memcmp(list, word, n))
			return true;
		if (!*comma)
			return false;
		list = comma + 1;
	}
}

/* One line "NUMBER:CONTROLLERS:GROUP"; no controllers: version 2. */
static unsigned quota_of_line(char *line, const char *mount)
{
	char *list = strchr(line, ':');
	char *group = list ? strchr(list + 1, ':') : NULL;
	char base[PATH_MAX];
	int n;

	if (!group)
		return EK_CPUS_UNLIMITED;
	list++;
	*group++ = 0;
	/* Outside of our namespace: only what is mounted can be asked. */
	if (!strncmp(group, "/..", 3))
		group = strrchr(group, 0);
	if (!*list)
		return walk_up(mount, group, quota_v2);
	if (!has_word(list, "cpu"))
		return EK_CPUS_UNLIMITED;
	n = snprintf(base, sizeof(base), "%s/cpu", mount);
	if (n < 0 || (size_t)n >= sizeof(base))
		return EK_CPUS_UNLIMITED;
	return walk_up(base, group, quota_v1);
}

unsigned ek_cpus_quota(const char *proc, const char *mount)
{
	unsigned least = EK_CPUS_UNLIMITED;
	char text[8192], *line = text;

	if (!slurp(proc, text, sizeof(text)))
		return least;
	while (*line) {
		char *end = strchrnul(line, '\n');
		bool last = !*end;
		unsigned n;

		*end = 0;
		n = quota_of_line(line, mount);
		least = n < least ? n : least;
		if (last)
			break;
		line = end + 1;
	}
	return least;
}

/* The mask may be larger than cpu_set_t: grow until the kernel is content. */
static unsigned affinity(void)
{
	for (int n = CPU_SETSIZE; n <= MAX_CPUS; n *= 2) {
		cpu_set_t *set = CPU_ALLOC(n);
		size_t size = CPU_ALLOC_SIZE(n);
		int count = -1, failed;

		if (!set)
			return 1;
		failed = sched_getaffinity(0, size, set) ? errno : 0;
		if (!failed)
			count = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (count > 0)
			return (unsigned)count;
		if (failed != EINVAL)
			return 1;
	}
	return 1;
}

unsigned ek_cpus(void)
{
	unsigned quota = ek_cpus_quota("/proc/self/cgroup", "/sys/fs/cgroup");
	unsigned n = affinity();

	return n < quota ? n : quota;
}
