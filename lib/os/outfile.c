/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/outfile.h>

#include "base/bytes.h"
#include "base/try.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* As the kernel's own limit on links in one walk. */
#define MAX_LINKS 40
/* Collisions of 30 random bits: more than a few mean a broken system. */
#define MAX_NAMES 100
/* Others that put a file there between two looks at it, one after the other. */
#define MAX_CHANGES 16

struct ek_outfile {
	char *path; /* as the user gave it, for errors */
	int fd;
	int dir;		 /* directory of the target; -1: in place */
	char name[NAME_MAX + 1]; /* of the target within dir */
	char temp[NAME_MAX + 1]; /* of the temporary file within dir */
	bool no_sync, must_be_new;
	bool had_old;
	struct stat old; /* the target before, when had_old */
};

/* Follow links at the end of @path by hand: rename() would replace the link. */
static ek_status follow(const char *shown, char *path, struct ek_err *err)
{
	char target[PATH_MAX], joined[PATH_MAX];
	struct stat st;

	for (int i = 0; i <= MAX_LINKS; i++) {
		const char *slash = strrchr(path, '/');
		int dir_len = slash ? (int)(slash + 1 - path) : 0;
		ssize_t n;
		int len;

		if (lstat(path, &st) || !S_ISLNK(st.st_mode))
			return EK_OK;
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			return ek_fail_sys(err, errno, "%s", shown);
		target[n] = 0;
		if (target[0] == '/')
			dir_len = 0;
		len = snprintf(joined, sizeof(joined), "%.*s%s", dir_len, path,
			       target);
		if (len < 0 || (size_t)len >= sizeof(joined))
			return ek_fail_sys(err, ENAMETOOLONG, "%s", shown);
		memcpy(path, joined, (size_t)len + 1);
	}
	return ek_fail_sys(err, ELOOP, "%s", shown);
}

/* Split @path into its open directory and the name of the target. */
static ek_status open_dir(struct ek_outfile *out, char *path,
			  struct ek_err *err)
{
	char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	const char *dir = !slash ? "." : slash == path ? "/" : path;
	size_t n = strlen(name);

	if (n == 0 || !strcmp(name, ".") || !strcmp(name, ".."))
		return ek_fail(err, EK_INVALID, "%s: names a directory",
			       out->path);
	if (n > NAME_MAX)
		return ek_fail_sys(err, ENAMETOOLONG, "%s", out->path);
	memcpy(out->name, name, n + 1);
	if (slash)
		*slash = 0;
	out->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Without the right to list it, a directory can still be written. */
	if (out->dir < 0 && errno == EACCES)
		out->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (out->dir < 0)
		return ek_fail_sys(err, errno, "%s: its directory", out->path);
	return EK_OK;
}

static ek_status random_name(struct ek_outfile *out, struct ek_err *err)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	uint8_t bytes[6];
	/* A dot in front, a dot and six digits behind. */
	int keep = NAME_MAX - 8;
	size_t n;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return ek_fail_sys(err, errno, "%s: random name", out->path);
	n = (size_t)snprintf(out->temp, sizeof(out->temp), ".%.*s.", keep,
			     out->name);
	for (size_t i = 0; i < sizeof(bytes); i++)
		out->temp[n + i] = digits[bytes[i] & 31];
	out->temp[n + sizeof(bytes)] = 0;
	return EK_OK;
}

static ek_status open_temp(struct ek_outfile *out, struct ek_err *err)
{
	int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	/*
	 * A new file takes its final permissions from the umask or a default
	 * ACL at once; one that replaces another stays private until commit.
	 */
	mode_t mode = out->had_old ? 0600 : 0666;

	for (int i = 0; i < MAX_NAMES; i++) {
		EK_TRY(random_name(out, err));
		out->fd = openat(out->dir, out->temp, flags, mode);
		if (out->fd >= 0)
			return EK_OK;
		if (errno != EEXIST)
			break;
	}
	out->temp[0] = 0;
	return ek_fail_sys(err, errno, "%s: cannot make a file beside it",
			   out->path);
}

static ek_status open_device(struct ek_outfile *out, struct ek_err *err)
{
	struct stat st;

	if (out->must_be_new)
		return ek_fail(err, EK_EXISTS, "%s: exists", out->path);
	/* O_EXCL on a block device: nobody has it mounted or claimed. */
	out->fd = open(out->path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (out->fd < 0)
		return ek_fail_sys(err, errno, "%s", out->path);
	if (fstat(out->fd, &st) || !S_ISBLK(st.st_mode))
		return ek_fail(err, EK_CHANGED, "%s: was a block device",
			       out->path);
	return EK_OK;
}

/* What is at the target now; refuses what cannot be replaced. */
static ek_status look_at_target(struct ek_outfile *out,
				const struct stat *followed, bool exists,
				struct ek_err *err)
{
	if (fstatat(out->dir, out->name, &out->old, AT_SYMLINK_NOFOLLOW)) {
		if (errno != ENOENT)
			return ek_fail_sys(err, errno, "%s", out->path);
		if (exists)
			return ek_fail(err, EK_INVALID,
				       "%s: its file has no name any more",
				       out->path);
		return EK_OK;
	}
	out->had_old = true;
	if (!exists || followed->st_ino != out->old.st_ino ||
	    followed->st_dev != out->old.st_dev)
		return ek_fail(err, EK_CHANGED, "%s: changed while opening",
			       out->path);
	if (out->must_be_new)
		return ek_fail(err, EK_EXISTS, "%s: exists", out->path);
	if (faccessat(out->dir, out->name, W_OK, AT_EACCESS))
		return ek_fail_sys(err, errno, "%s", out->path);
	return EK_OK;
}

static ek_status open_once(struct ek_outfile *out, struct ek_err *err)
{
	char path[PATH_MAX];
	size_t n = strlen(out->path);
	struct stat st;
	bool exists = stat(out->path, &st) == 0;

	if (!exists && errno != ENOENT)
		return ek_fail_sys(err, errno, "%s", out->path);
	if (exists && S_ISBLK(st.st_mode))
		return open_device(out, err);
	if (exists && !S_ISREG(st.st_mode))
		return ek_fail(err, EK_INVALID,
			       "%s: is %s, not a regular file or block device",
			       out->path, ek_file_type_words(st.st_mode));
	if (n >= sizeof(path))
		return ek_fail_sys(err, ENAMETOOLONG, "%s", out->path);
	memcpy(path, out->path, n + 1);
	EK_TRY(follow(out->path, path, err));
	EK_TRY(open_dir(out, path, err));
	EK_TRY(look_at_target(out, &st, exists, err));
	return open_temp(out, err);
}

/* Who writes the same file at the same time may be done just now. */
static ek_status open_target(struct ek_outfile *out, struct ek_err *err)
{
	ek_status status = open_once(out, err);

	for (int i = 0; status == EK_CHANGED && i < MAX_CHANGES; i++) {
		ek_cleanup_close(&out->fd);
		ek_cleanup_close(&out->dir);
		out->had_old = false;
		status = open_once(out, err);
	}
	return status;
}

ek_status ek_outfile_open(const char *path,
			  const struct ek_outfile_options *options,
			  struct ek_outfile **outp, struct ek_err *err)
{
	struct ek_outfile *out;
	ek_status status;

	*outp = NULL;
	if (!path || !*path)
		return ek_fail(err, EK_INVALID, "the output has no name");
	if (options && options->size != sizeof(*options))
		return ek_fail(err, EK_INVALID, "wrong size of the options");
	out = calloc(1, sizeof(*out));
	if (!out)
		return ek_fail(err, EK_NOMEM, "no memory for an output file");
	out->fd = out->dir = -1;
	out->no_sync = options && options->no_sync;
	out->must_be_new = options && options->must_be_new;
	out->path = strdup(path);
	status = out->path ? open_target(out, err)
			   : ek_fail(err, EK_NOMEM, "no memory for a path");
	if (status != EK_OK) {
		ek_outfile_abort(out);
		return status;
	}
	*outp = out;
	return EK_OK;
}

int ek_outfile_fd(const struct ek_outfile *out)
{
	return out->fd;
}

bool ek_outfile_in_place(const struct ek_outfile *out)
{
	return out->dir < 0;
}

void ek_outfile_remove(const struct ek_outfile *out)
{
	int saved = errno;

	if (out->dir >= 0 && out->temp[0])
		unlinkat(out->dir, out->temp, 0);
	errno = saved;
}

void ek_outfile_abort(struct ek_outfile *out)
{
	int saved = errno;

	if (!out)
		return;
	ek_outfile_remove(out);
	ek_cleanup_close(&out->fd);
	ek_cleanup_close(&out->dir);
	free(out->path);
	free(out);
	errno = saved;
}

/* The old target's owner where we may, and its permissions. */
static ek_status take_over(struct ek_outfile *out, struct ek_err *err)
{
	mode_t mode = out->old.st_mode & 0777;
	struct stat st;

	if (!out->had_old)
		return EK_OK;
	if (fstat(out->fd, &st))
		return ek_fail_sys(err, errno, "%s", out->path);
	if ((st.st_uid != out->old.st_uid || st.st_gid != out->old.st_gid) &&
	    fchown(out->fd, out->old.st_uid, out->old.st_gid) &&
	    errno != EPERM && errno != EINVAL)
		return ek_fail_sys(err, errno, "%s: owner", out->path);
	if (fchmod(out->fd, mode))
		return ek_fail_sys(err, errno, "%s: permissions", out->path);
	return EK_OK;
}

static ek_status sync_fd(const struct ek_outfile *out, int fd, const char *what,
			 struct ek_err *err)
{
	if (out->no_sync || fsync(fd) == 0)
		return EK_OK;
	/* A directory opened without the right to read it, or one that
	 * its file system cannot sync. */
	if (fd == out->dir && (errno == EBADF || errno == EINVAL))
		return EK_OK;
	return ek_fail_sys(err, errno, "%s: %s", out->path, what);
}

/* Some file systems tell a failed write only when the file is closed. */
static ek_status close_fd(struct ek_outfile *out, struct ek_err *err)
{
	int fd = out->fd;

	out->fd = -1;
	if (close(fd) && errno != EINTR)
		return ek_fail_sys(err, errno, "%s: closing", out->path);
	return EK_OK;
}

static ek_status put_in_place(struct ek_outfile *out, struct ek_err *err)
{
	/* link() fails where rename() would replace. */
	if (out->must_be_new) {
		if (linkat(out->dir, out->temp, out->dir, out->name, 0))
			return ek_fail_sys(err, errno, "%s", out->path);
		ek_outfile_remove(out);
	} else if (renameat(out->dir, out->temp, out->dir, out->name)) {
		return ek_fail_sys(err, errno, "%s", out->path);
	}
	out->temp[0] = 0;
	return EK_OK;
}

static ek_status publish(struct ek_outfile *out, struct ek_err *err)
{
	if (out->dir >= 0)
		EK_TRY(take_over(out, err));
	EK_TRY(sync_fd(out, out->fd, "flushing to disk", err));
	EK_TRY(close_fd(out, err));
	if (out->dir < 0)
		return EK_OK;
	EK_TRY(put_in_place(out, err));
	return sync_fd(out, out->dir, "flushing its directory", err);
}

ek_status ek_outfile_commit(struct ek_outfile *out, struct ek_err *err)
{
	ek_status status = publish(out, err);

	ek_outfile_abort(out);
	return status;
}
