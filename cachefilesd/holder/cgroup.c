/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The worker's control group, with the limit of its memory.
 *
 * A group that passes controllers on has no processes of its own. So the
 * holder makes one only beside its own, and only when that is called "holder":
 * the service manager (DelegateSubgroup=holder, systemd 254) or whoever else
 * made it so hands over the group above. Were the holder to move itself, its
 * successor could not be started where it was.
 */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define GROUPS "/sys/fs/cgroup"
#define OWN    "/holder"

/* What is in small file @name of @dir; false: not to be read. */
static bool get(int dir, const char *name, char *to, size_t room)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, to, room - 1);
	close(fd);
	to[n > 0 ? n : 0] = 0;
	return n >= 0;
}

static ek_status put(int dir, const char *name, const char *text,
		     struct ek_err *err)
{
	int sys, fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", name);
	n = write(fd, text, strlen(text));
	sys = errno;
	close(fd);
	if (n < 0)
		return ek_fail_sys(err, sys, "%s", name);
	return EK_OK;
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (*list) {
		size_t len = strcspn(list, " \n");

		if (len == n && memcmp(list, word, n) == 0)
			return true;
		list += len + (list[len] != 0);
	}
	return false;
}

/* The group above @own, when @own is a holder's. */
static ek_status open_above(int root, const char *own, int *above,
			    struct ek_err *err)
{
	size_t n = strlen(own), tail = sizeof(OWN) - 1;
	char path[EKD_PATH];

	if (n >= sizeof(path) || n < tail || strcmp(own + n - tail, OWN) != 0)
		return ek_fail(err, EK_NOTFOUND,
			       "its control group is not one called holder");
	/* Relative: "./a/b" of "/a/b/holder". */
	snprintf(path, sizeof(path), ".%.*s", (int)(n - tail), own);
	*above = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*above < 0)
		return ek_fail_sys(err, errno, "%s", own);
	return EK_OK;
}

static ek_status make_beneath(int above, uint64_t limit, int *group,
			      struct ek_err *err)
{
	char text[512];
	ek_status status;

	if (!get(above, "cgroup.controllers", text, sizeof(text)) ||
	    !has_word(text, "memory"))
		return ek_fail(err, EK_NOTFOUND,
			       "no memory controller is delegated to it");
	EK_TRY(put(above, "cgroup.subtree_control", "+memory", err));
	if (mkdirat(above, "worker", 0755) != 0 && errno != EEXIST)
		return ek_fail_sys(err, errno, "a group for the worker");
	*group = openat(above, "worker", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*group < 0)
		return ek_fail_sys(err, errno, "the worker's group");
	snprintf(text, sizeof(text), "%llu", (unsigned long long)limit);
	status = put(*group, "memory.max", text, err);
	if (status != EK_OK)
		close(*group);
	return status;
}

ek_status ekd_group_make(int root, const char *own, uint64_t limit, int *group,
			 struct ek_err *err)
{
	ek_status status;
	int above, low;

	EK_TRY(open_above(root, own, &above, err));
	status = make_beneath(above, limit, &low, err);
	close(above);
	EK_TRY(status);
	*group = fcntl(low, F_DUPFD_CLOEXEC, EKD_HIGH_FD);
	close(low);
	if (*group < 0)
		return ek_fail_sys(err, errno, "the worker's group");
	return EK_OK;
}

bool ekd_group_enter(int group)
{
	return put(group, "cgroup.procs", "0", NULL) == EK_OK;
}

uint64_t ekd_group_kills(int group)
{
	char text[512];
	const char *at;

	if (!get(group, "memory.events", text, sizeof(text)))
		return 0;
	at = strstr(text, "\noom_kill ");
	return at ? strtoull(at + strlen("\noom_kill "), NULL, 10) : 0;
}

/* Where this process is; @text holds it. */
static const char *own_group(char *text, size_t room)
{
	char *at;

	if (!get(AT_FDCWD, "/proc/self/cgroup", text, room))
		return "";
	at = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!at)
		return "";
	at = strchr(at, ':') + 2;
	at[strcspn(at, "\n")] = 0;
	return at;
}

static ek_status make(struct ekd_state *h, struct ek_err *err)
{
	char text[EKD_PATH];
	struct statfs st;
	ek_status status;
	int root;

	root = open(GROUPS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return ek_fail_sys(err, errno, GROUPS);
	if (fstatfs(root, &st) != 0 || st.f_type != CGROUP2_SUPER_MAGIC)
		status = ek_fail(err, EK_NOTFOUND,
				 GROUPS " is not of the second version");
	else
		status = ekd_group_make(root, own_group(text, sizeof(text)),
					h->options->worker_memory, &h->group,
					err);
	close(root);
	return status;
}

void ekd_group_open(struct ekd_state *h)
{
	ek_status status;

	if (h->group >= 0)
		close(h->group);
	h->group = -1;
	if (!h->options->worker_memory)
		return;
	status = make(h, &h->err);
	if (status == EK_OK)
		h->group_kills = ekd_group_kills(h->group);
	if (h->group_told)
		return;
	h->group_told = true;
	if (status == EK_OK)
		ekd_log(h, 2, "event=worker-memory limit=%llu",
			(unsigned long long)h->options->worker_memory);
	else
		ekd_log(h, 2, "event=worker-memory limit=none reason=\"%s\"",
			h->err.text);
}

bool ekd_group_killed(const struct ekd_state *h)
{
	return h->group >= 0 && ekd_group_kills(h->group) > h->group_kills;
}
