/* SPDX-License-Identifier: Apache-2.0 */
#include "os/beneath.h"

#include "base/try.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel asks to try again when something was renamed meanwhile. */
#define MAX_TRIES 1000

static ek_status check_path(const char *path, struct ek_err *err)
{
	const char *p = path;

	if (!*p || *p == '/')
		return ek_fail(err, EK_INVALID, "\"%s\": not a relative path",
			       path);
	while (*p) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return ek_fail(err, EK_INVALID,
				       "%s: \"..\" is not allowed", path);
		p += n;
		p += *p == '/';
	}
	return EK_OK;
}

/* O_NOFOLLOW with O_PATH opens a link instead of refusing it: look. */
static ek_status refuse_link(int fd, const char *path, struct ek_err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return ek_fail_sys(err, errno, "%s", path);
	if (S_ISLNK(st.st_mode))
		return ek_fail_sys(err, ELOOP, "%s", path);
	return EK_OK;
}

static ek_status open_last(int dir, const char *name, const char *path,
			   int flags, mode_t mode, int *fdp, struct ek_err *err)
{
	int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
	ek_status status;

	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", path);
	status = flags & O_PATH ? refuse_link(fd, path, err) : EK_OK;
	if (status != EK_OK) {
		close(fd);
		return status;
	}
	*fdp = fd;
	return EK_OK;
}

ek_status ek_open_beneath_walk(int root, const char *path, int flags,
			       mode_t mode, int *fd, struct ek_err *err)
{
	EK_AUTO_CLOSE int held = -1;
	const char *p = path;
	int dir = root;

	*fd = -1;
	EK_TRY(check_path(path, err));
	for (;;) {
		size_t n = strcspn(p, "/");
		char name[NAME_MAX + 1];
		int next;

		if (n > NAME_MAX)
			return ek_fail_sys(err, ENAMETOOLONG, "%s", path);
		memcpy(name, p, n);
		name[n] = 0;
		p += n;
		if (!p[strspn(p, "/")]) {
			/* A slash at the end asks for a directory. */
			if (*p)
				flags |= O_DIRECTORY;
			return open_last(dir, name, path, flags, mode, fd, err);
		}
		p += strspn(p, "/");
		next = openat(dir, name,
			      O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return ek_fail_sys(err, errno, "%s", path);
		ek_cleanup_close(&held);
		dir = held = next;
	}
}

ek_status ek_open_beneath(int root, const char *path, int flags, mode_t mode,
			  int *fdp, struct ek_err *err)
{
	/* O_NOFOLLOW with O_PATH would give a link at the end, not refuse it */
	unsigned bits = (unsigned)(flags & ~O_NOFOLLOW) | O_CLOEXEC;
	struct open_how how = {
		.flags = bits,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};

	*fdp = -1;
	EK_TRY(check_path(path, err));
	/* openat2() wants no mode where none is used. */
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
		how.mode = mode;
	for (int i = 0; i < MAX_TRIES; i++) {
		long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

		if (fd >= 0) {
			*fdp = (int)fd;
			return EK_OK;
		}
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	/* EPERM: some sandboxes refuse calls that they do not know. */
	if (errno == ENOSYS || errno == EPERM)
		return ek_open_beneath_walk(root, path, flags, mode, fdp, err);
	return ek_fail_sys(err, errno, "%s", path);
}
