/* SPDX-License-Identifier: Apache-2.0 */

/* Paths that a worker names, walked as root: no symbolic link on the way. */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CONFIGFS_MAGIC 0x62656570 /* not in linux/magic.h */

#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int open_component(int dir, const char *name, bool make)
{
	int fd = openat(dir, name, DIR_FLAGS);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd;
	if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST)
		return -1;
	return openat(dir, name, DIR_FLAGS);
}

ek_status ekd_path_walk(int dir, const char *rel, bool make, int *fd,
			struct ek_err *err)
{
	int at = openat(dir, ".", DIR_FLAGS);
	char name[256];

	if (at < 0)
		return ek_fail_sys(err, errno, "a directory");
	while (*rel == '/')
		rel++;
	while (*rel) {
		size_t n = strcspn(rel, "/");
		int next;

		if (n >= sizeof(name)) {
			close(at);
			return ek_fail(err, EK_INVALID, "%.40s...: too long",
				       rel);
		}
		memcpy(name, rel, n);
		name[n] = 0;
		if (strcmp(name, "..") == 0) {
			close(at);
			return ek_fail(err, EK_INVALID, "a path with ..");
		}
		next = open_component(at, name, make);
		if (next < 0) {
			int sys = errno;

			close(at);
			return ek_fail_sys(
				err, sys,
				sys == ELOOP || sys == ENOTDIR
					? "%s: not a directory, or a "
					  "symbolic link"
					: "%s",
				name);
		}
		close(at);
		at = next;
		rel += n;
		while (*rel == '/')
			rel++;
	}
	*fd = at;
	return EK_OK;
}

/* What is left of @path beneath @root; NULL: it is not. */
static const char *strip_root(const char *root, const char *path)
{
	size_t n = strlen(root);

	while (n > 0 && root[n - 1] == '/')
		n--;
	if (strncmp(root, path, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return path + n;
}

ek_status ekd_path_beneath(const char *const *roots, const char *path, int *fd,
			   struct ek_err *err)
{
	for (int i = 0; roots[i]; i++) {
		const char *rel = strip_root(roots[i], path);
		ek_status status;
		int root;

		if (!rel)
			continue;
		root = open(roots[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return ek_fail_sys(err, errno, "%s", roots[i]);
		status = ekd_path_walk(root, rel, false, fd, err);
		close(root);
		if (status != EK_OK)
			ek_err_prefix(err, "%s", path);
		return status;
	}
	return ek_fail(err, EK_INVALID,
		       "%s: beneath none of the configured directories", path);
}

ek_status ekd_path_empty(int fd, const char *name, struct ek_err *err)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	bool found = false;

	if (!dir) {
		int sys = errno;

		if (copy >= 0)
			close(copy);
		return ek_fail_sys(err, sys, "%s", name);
	}
	errno = 0;
	while (!found && (entry = readdir(dir)) != NULL)
		found = strcmp(entry->d_name, ".") != 0 &&
			strcmp(entry->d_name, "..") != 0;
	found = found || errno; /* what cannot be listed may hold something */
	closedir(dir);
	return found ? ek_fail(err, EK_EXISTS,
			       "%s: only an empty directory is mounted on",
			       name)
		     : EK_OK;
}

ek_status ekd_path_on_disk(int fd, const char *name, struct ek_err *err)
{
	static const unsigned long windows[] = {
		PROC_SUPER_MAGIC,    SYSFS_MAGIC,      DEBUGFS_MAGIC,
		TRACEFS_MAGIC,	     SECURITYFS_MAGIC, SELINUX_MAGIC,
		CGROUP_SUPER_MAGIC,  BPF_FS_MAGIC,     CONFIGFS_MAGIC,
		CGROUP2_SUPER_MAGIC, EFIVARFS_MAGIC,   PSTOREFS_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return ek_fail_sys(err, errno, "%s", name);
	for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
		if ((unsigned long)fs.f_type == windows[i])
			return ek_fail(err, EK_INVALID,
				       "%s: not a file of a disk", name);
	return EK_OK;
}

ek_status ekd_path_file(int dir, const char *name, int *fd, struct ek_err *err)
{
	struct stat st;
	int got;

	/* O_NONBLOCK: a fifo must not hold us. */
	got = openat(dir, name,
		     O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (got < 0)
		return ek_fail_sys(err, errno, "%s", name);
	if (fstat(got, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(got);
		return ek_fail(err, EK_INVALID, "%s: not a regular file", name);
	}
	*fd = got;
	return EK_OK;
}

/* Directory @first of @dir, then @file in it. */
static ek_status open_in(int dir, const char *first, const char *file, int *fd,
			 struct ek_err *err)
{
	ek_status status;
	int sub;

	EK_TRY(ekd_path_walk(dir, first, false, &sub, err));
	status = ekd_path_file(sub, file, fd, err);
	close(sub);
	return status;
}

ek_status ekd_path_source(struct ekd_state *h, const struct ekd_source *source,
			  int *fd, struct ek_err *err)
{
	char first[EKD_FILE];
	const char *slash;
	ek_status status;

	switch (source->place) {
	case EKD_PLACE_DOOR:
		status = open_in(h->run_fd, "door", source->name, fd, err);
		break;
	case EKD_PLACE_STORE:
		snprintf(first, sizeof(first), "blobs/%.*s", EKD_DOOR_NAME,
			 source->name);
		status = open_in(h->store_fd, first, "data", fd, err);
		break;
	case EKD_PLACE_STATE:
		slash = strchr(source->name, '/');
		memcpy(first, source->name, (size_t)(slash - source->name));
		first[slash - source->name] = 0;
		status = open_in(h->images_fd, first, slash + 1, fd, err);
		break;
	default:
		return ek_fail(err, EK_INVALID, "no such place");
	}
	if (status != EK_OK)
		ek_err_prefix(err, "source");
	return status;
}

ek_status ekd_path_real(int fd, char to[EKD_PATH], struct ek_err *err)
{
	char link[40];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, to, EKD_PATH);
	if (n < 0)
		return ek_fail_sys(err, errno, "%s", link);
	if (n >= EKD_PATH)
		return ek_fail(err, EK_LIMIT, "a path over %d bytes", EKD_PATH);
	to[n] = 0;
	return EK_OK;
}
