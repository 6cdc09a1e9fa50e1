/* SPDX-License-Identifier: Apache-2.0 */
#include "extract/place.h"
#include "base/try.h"
#include "os/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A piece of a path for one system call; PATH_MAX counts its NUL. */
#define PIECE_MAX 4000

ek_status ek_place_open_dir(int root, const char *path, int *fd,
			    struct ek_err *err)
{
	char piece[PIECE_MAX + 1];
	int at = root, next;

	do {
		size_t n = strlen(path);
		ek_status status;

		if (n > PIECE_MAX) {
			/* Names have at most 255 bytes: there is a slash. */
			for (n = PIECE_MAX; n && path[n] != '/'; n--)
				;
		}
		memcpy(piece, n ? path : ".", n ? n : 1);
		piece[n ? n : 1] = '\0';
		status = ek_open_beneath(at, piece, O_RDONLY | O_DIRECTORY, 0,
					 &next, err);
		if (at != root)
			close(at);
		EK_TRY(status);
		at = next;
		path += n;
		while (*path == '/')
			path++;
	} while (*path);
	*fd = at;
	return EK_OK;
}

/*
 * After a call failed with EEXIST: take away what is there, so that it can be
 * tried again. Directories are never taken away.
 */
static ek_status make_room(int dir, const char *name, bool overwrite,
			   struct ek_err *err)
{
	if (!overwrite)
		return ek_fail(err, EK_EXISTS, "exists already");
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return EK_OK;
	if (errno == EISDIR || errno == EPERM) {
		struct stat st;

		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode))
			return ek_fail(err, EK_EXISTS,
				       "a directory is in the way");
		errno = EPERM;
	}
	return ek_fail_sys(err, errno, "cannot replace");
}

ek_status ek_place_mkdir(int dir, const char *name, bool overwrite, bool *made,
			 struct ek_err *err)
{
	struct stat st;

	*made = true;
	if (mkdirat(dir, name, 0700) == 0)
		return EK_OK;
	if (errno != EEXIST)
		return ek_fail_sys(err, errno, "cannot make the directory");
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode)) {
		*made = false;
		return EK_OK;
	}
	EK_TRY(make_room(dir, name, overwrite, err));
	if (mkdirat(dir, name, 0700) != 0)
		return ek_fail_sys(err, errno, "cannot make the directory");
	return EK_OK;
}

ek_status ek_place_create(int dir, const char *name, uint32_t mode,
			  bool overwrite, int *fd, struct ek_err *err)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	*fd = openat(dir, name, flags, (mode_t)mode);
	if (*fd < 0 && errno == EEXIST) {
		EK_TRY(make_room(dir, name, overwrite, err));
		*fd = openat(dir, name, flags, (mode_t)mode);
	}
	if (*fd < 0)
		return ek_fail_sys(err, errno, "cannot make the file");
	return EK_OK;
}

static int make_special(int dir, const char *name, const struct ek_node *node,
			const char *target)
{
	if (S_ISLNK(node->mode))
		return symlinkat(target, dir, name);
	return mknodat(dir, name, (node->mode & S_IFMT) | 0600,
		       makedev(node->rdev_major, node->rdev_minor));
}

ek_status ek_place_special(int dir, const char *name, bool overwrite,
			   const struct ek_node *node, const char *target,
			   int *fd, struct ek_err *err)
{
	struct stat st;

	if (make_special(dir, name, node, target) != 0) {
		if (errno != EEXIST)
			return ek_fail_sys(err, errno, "cannot make it");
		EK_TRY(make_room(dir, name, overwrite, err));
		if (make_special(dir, name, node, target) != 0)
			return ek_fail_sys(err, errno, "cannot make it");
	}
	*fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "cannot open what was made");
	/* Someone else may write to the directory: attributes are for ours. */
	if (fstat(*fd, &st) == 0 &&
	    (st.st_mode & S_IFMT) == (node->mode & S_IFMT))
		return EK_OK;
	close(*fd);
	return ek_fail(err, EK_CHANGED, "was replaced by another file");
}

ek_status ek_place_link(int olddir, const char *old, int dir, const char *name,
			bool overwrite, struct ek_err *err)
{
	if (linkat(olddir, old, dir, name, 0) == 0)
		return EK_OK;
	if (errno == EEXIST) {
		EK_TRY(make_room(dir, name, overwrite, err));
		if (linkat(olddir, old, dir, name, 0) == 0)
			return EK_OK;
	}
	return ek_fail_sys(err, errno, "cannot link");
}
