/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/store/priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *const ekd_store_steps[] = {
	"store:created",       "store:leaves-written", "store:data-made",
	"store:map-made",      "store:meta-written",   "store:reserved",
	"store:written",       "store:present",	       "store:synced",
	"store:map-half",      "store:map-written",    "store:map-synced",
	"store:evict-cleared", "store:evict-mapped",   "store:punched",
	"store:unlinked",      "store:removed",	       NULL,
};

void ekd_step(struct ekd_store *s, enum ekd_step step)
{
	if (s->hooks.step)
		s->hooks.step(s->hooks.arg, ekd_store_steps[step]);
}

int64_t ekd_store_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

ek_status ekd_pread(int fd, const char *what, uint64_t offset, void *to,
		    size_t n, struct ek_err *err)
{
	uint8_t *p = to;

	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ek_fail_sys(err, errno, "%s: cannot read", what);
		if (got == 0)
			return ek_fail(err, EK_IO, "%s: cut short", what);
		p += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return EK_OK;
}

static ek_status write_all(int fd, const char *what, uint64_t offset,
			   const void *from, size_t n, struct ek_err *err)
{
	const uint8_t *p = from;

	while (n) {
		ssize_t put = pwrite(fd, p, n, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return ek_fail_sys(err, put ? errno : ENOSPC,
					   "%s: cannot write", what);
		p += put;
		offset += (uint64_t)put;
		n -= (size_t)put;
	}
	return EK_OK;
}

ek_status ekd_pwrite(struct ekd_store *s, int fd, const char *what,
		     uint64_t offset, const void *from, size_t n,
		     struct ek_err *err)
{
	EKD_TRY(write_all(fd, what, offset, from, n, err));
	if (s->hooks.wrote)
		s->hooks.wrote(s->hooks.arg, fd, offset, from, n);
	return EK_OK;
}

ek_status ekd_datasync(struct ekd_store *s, int fd, const char *what,
		       struct ek_err *err)
{
	if (fdatasync(fd) < 0)
		return ek_fail_sys(err, errno, "%s: cannot sync", what);
	if (s->hooks.synced)
		s->hooks.synced(s->hooks.arg, fd);
	return EK_OK;
}

static int punch(int fd, uint64_t offset, uint64_t n)
{
	int got;

	do
		got = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)offset, (off_t)n);
	while (got < 0 && errno == EINTR);
	return got < 0 ? errno : 0;
}

ek_status ekd_punch(struct ekd_store *s, int fd, uint64_t offset, uint64_t n,
		    struct ek_err *err)
{
	int sys = punch(fd, offset, n);

	if (sys)
		return ek_fail_sys(err, sys, "cannot free a part of the data");
	if (s->hooks.punched)
		s->hooks.punched(s->hooks.arg, fd, offset, n);
	return EK_OK;
}

static ek_status load_fd(int fd, const char *name, size_t max, uint8_t **bytes,
			 size_t *n, struct ek_err *err)
{
	struct stat st;
	ek_status status;
	uint8_t *p;

	if (fstat(fd, &st) < 0)
		return ek_fail_sys(err, errno, "%s", name);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		return ek_fail(err, EK_CORRUPT, "%s: not a file of the store",
			       name);
	p = malloc((size_t)st.st_size + 1);
	if (!p)
		return ek_fail(err, EK_NOMEM, "no memory for %s", name);
	status = ekd_pread(fd, name, 0, p, (size_t)st.st_size, err);
	if (status != EK_OK) {
		free(p);
		return status;
	}
	*bytes = p;
	*n = (size_t)st.st_size;
	return EK_OK;
}

ek_status ekd_load(int dir, const char *name, size_t max, uint8_t **bytes,
		   size_t *n, struct ek_err *err)
{
	int fd = openat(dir, name,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ek_status status;

	if (fd < 0 && errno == ELOOP)
		return ek_fail(err, EK_CORRUPT, "%s: a symbolic link", name);
	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", name);
	status = load_fd(fd, name, max, bytes, n, err);
	close(fd);
	return status;
}

ek_status ekd_put(int dir, const char *name, const void *bytes, size_t n,
		  struct ek_err *err)
{
	char tmp[32];
	ek_status status;
	int fd;

	snprintf(tmp, sizeof(tmp), "%s.new", name);
	if (unlinkat(dir, tmp, 0) < 0 && errno != ENOENT)
		return ek_fail_sys(err, errno, "%s", tmp);
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return ek_fail_sys(err, errno, "cannot make %s", tmp);
	status = write_all(fd, tmp, 0, bytes, n, err);
	close(fd);
	if (status == EK_OK && renameat(dir, tmp, dir, name) < 0)
		status = ek_fail_sys(err, errno, "cannot make %s", name);
	if (status != EK_OK)
		unlinkat(dir, tmp, 0);
	return status;
}

static bool dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void remove_files(int fd)
{
	DIR *d = fdopendir(fd);
	const struct dirent *e;

	if (!d) {
		close(fd);
		return;
	}
	while ((e = readdir(d)))
		if (!dots(e->d_name))
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

ek_status ekd_remove(struct ekd_store *s, int dir, const char *name,
		     const char *first, struct ek_err *err)
{
	int fd = openat(dir, name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		return EK_OK;
	if (fd < 0)
		return ek_fail_sys(err, errno, "cannot remove %s", name);
	if (unlinkat(fd, first, 0) < 0 && errno != ENOENT) {
		int sys = errno;

		close(fd);
		return ek_fail_sys(err, sys, "cannot remove %s", name);
	}
	ekd_step(s, EKD_STEP_UNLINKED);
	remove_files(fd);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0)
		return ek_fail_sys(err, errno, "cannot remove %s", name);
	ekd_step(s, EKD_STEP_REMOVED);
	return EK_OK;
}

static bool has_holes(int fd)
{
	static const uint8_t block[4096] = {1};
	off_t size = 4 << 20;
	struct stat st;

	return ftruncate(fd, size) == 0 &&
	       pwrite(fd, block, sizeof(block), 0) == (ssize_t)sizeof(block) &&
	       punch(fd, 0, sizeof(block)) == 0 && fstat(fd, &st) == 0 &&
	       (uint64_t)st.st_blocks * 512 < (uint64_t)size / 2;
}

ek_status ekd_probe_holes(int dir, struct ek_err *err)
{
	static const char name[] = ".probe";
	bool good;
	int fd;

	unlinkat(dir, name, 0);
	fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return ek_fail_sys(err, errno, "cannot write to the store");
	unlinkat(dir, name, 0);
	errno = 0;
	good = has_holes(fd);
	close(fd);
	if (!good && (errno == ENOSPC || errno == EDQUOT))
		return EK_OK; /* a full disk says nothing about holes */
	if (!good)
		return ek_fail(err, EK_INVALID,
			       "the store's file system cannot hold files with "
			       "holes");
	return EK_OK;
}
