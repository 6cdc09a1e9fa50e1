/* SPDX-License-Identifier: Apache-2.0 */
#include "source/directory.h"

#include "base/try.h"
#include "os/xattrat.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Longest path for one call: the kernel takes PATH_MAX with the NUL. */
#define PIECE_MAX (PATH_MAX - 1)

static int open2(int at, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)flags,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, at, path, &how, sizeof(how));
}

static bool probe_openat2(int fd)
{
	/* ENOSYS before Linux 5.6, EPERM from old system call filters. */
	int probe = open2(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (probe >= 0)
		close(probe);
	return probe >= 0;
}

static bool probe_proc(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/.", fd);
	return access(path, F_OK) == 0;
}

ek_status ek_root_open(struct ek_root *root, const char *path,
		       struct ek_err *err)
{
	size_t n = strlen(path);

	*root = (struct ek_root){.fd = -1};
	root->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root->fd < 0)
		return ek_fail_sys(err, errno, "%s: cannot open the source",
				   path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	root->path = strndup(path, n);
	if (!root->path) {
		ek_root_close(root);
		return ek_fail(err, EK_NOMEM, "no memory for the source");
	}
	root->has_openat2 = probe_openat2(root->fd);
	root->has_proc = probe_proc(root->fd);
	root->has_xattrat = ek_xattrat_works(root->fd);
	return EK_OK;
}

void ek_root_close(struct ek_root *root)
{
	if (root->fd >= 0)
		close(root->fd);
	free(root->path);
	*root = (struct ek_root){.fd = -1};
}

/*
 * Length of the first piece of @path that one call can resolve: all of it, up
 * to a slash within PIECE_MAX, or one name where the kernel cannot be told to
 * follow no links in between.
 */
static size_t piece_length(const struct ek_root *root, const char *path,
			   size_t len)
{
	const char *slash;

	if (!root->has_openat2) {
		slash = memchr(path, '/', len);
		return slash ? (size_t)(slash - path) : len;
	}
	if (len <= PIECE_MAX)
		return len;
	slash = memrchr(path, '/', PIECE_MAX);
	return slash ? (size_t)(slash - path) : len;
}

static int open_piece(const struct ek_root *root, int at, const char *path,
		      size_t len, int flags)
{
	char piece[PATH_MAX];

	if (len > PIECE_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(piece, path, len);
	piece[len] = 0;
	if (root->has_openat2)
		return open2(at, piece, flags | O_CLOEXEC);
	return openat(at, piece, flags | O_CLOEXEC | O_NOFOLLOW);
}

int ek_root_at(const struct ek_root *root, const char *path, int flags)
{
	size_t len = strlen(path);
	int at = root->fd;

	if (len == 0)
		return openat(root->fd, ".", flags | O_CLOEXEC);
	for (;;) {
		size_t n = piece_length(root, path, len);
		bool last = n == len;
		int fd = open_piece(root, at, path, n,
				    last ? flags : O_PATH | O_DIRECTORY);

		if (at != root->fd) {
			int sys = errno;

			close(at);
			errno = sys;
		}
		if (last || fd < 0)
			return fd;
		at = fd;
		path += n + 1;
		len -= n + 1;
	}
}

ek_status ek_root_fail(const struct ek_root *root, const char *dir,
		       const char *name, int sys, const char *words,
		       struct ek_err *err)
{
	const char *top = strcmp(root->path, "/") ? root->path : "";

	return ek_fail_sys(err, sys, "%s%s%s%s%s: %s", top, *dir ? "/" : "",
			   dir, *name ? "/" : "", name, words);
}
