/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/program.h"

#include "base/try.h"
#include "cachefilesd/opts.h"
#include "cli/message.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME	  "erofs-cachefilesd-worker"
#define INSTALLED EKD_LIBEXEC "/" NAME

/* Where it is in a build tree. EK_LIMIT: no path is as long. */
static ek_status beside(char path[PATH_MAX], struct ek_err *err)
{
	const size_t room = PATH_MAX - sizeof(NAME);
	ssize_t n = readlink("/proc/self/exe", path, room);
	char *slash;

	if (n < 0)
		return ek_fail_sys(err, errno, "/proc/self/exe");
	path[n] = 0;
	slash = strrchr(path, '/');
	if (!slash || (size_t)n == room)
		return ek_fail(err, EK_LIMIT,
			       "this program's path is too long");
	memcpy(slash + 1, NAME, sizeof(NAME));
	return EK_OK;
}

static ek_status check(int fd, const char *path, struct ek_err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return ek_fail_sys(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
		return ek_fail(err, EK_INVALID, "%s: not a program", path);
	return EK_OK;
}

ek_status ekd_worker_program(int *fd, struct ek_err *err)
{
	char path[PATH_MAX];
	const char *at = path;
	ek_status s;

	EK_TRY(beside(path, err));
	*fd = open(path, O_PATH | O_CLOEXEC);
	if (*fd < 0 && errno == ENOENT) {
		at = INSTALLED;
		*fd = open(at, O_PATH | O_CLOEXEC);
	}
	if (*fd < 0 && errno == ENOENT)
		return ek_fail(err, EK_NOTFOUND,
			       "the worker's program is neither at " INSTALLED
			       " nor at %s",
			       path);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "%s", at);
	s = check(*fd, at, err);
	if (s != EK_OK) {
		close(*fd);
		*fd = -1;
	}
	return s;
}

int ekd_worker_exec(char **argv)
{
	extern char **environ;
	struct ek_err err;
	int fd;

	if (ekd_worker_program(&fd, &err) == EK_OK) {
		fexecve(fd, argv, environ);
		ek_fail_sys(&err, errno, NAME);
		close(fd);
	}
	cli_error("%s", err.text);
	return EKD_FAILED;
}
