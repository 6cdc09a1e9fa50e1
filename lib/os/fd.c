/* SPDX-License-Identifier: Apache-2.0 */
#include "os/fd.h"

#include "base/try.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux moves less than 2 GiB a call; a round piece keeps pages aligned. */
#define PIECE ((size_t)1 << 30)

_Static_assert(sizeof(off_t) == 8, "files above 2 GiB need a 64-bit off_t");

static ek_status check_range(const char *name, uint64_t offset, size_t n,
			     struct ek_err *err)
{
	if (offset > INT64_MAX || n > INT64_MAX - offset)
		return ek_fail(err, EK_INVALID,
			       "%s: position %" PRIu64 " is not a file's", name,
			       offset);
	return EK_OK;
}

ek_status ek_pread_all(int fd, const char *name, uint64_t offset, void *to,
		       size_t n, struct ek_err *err)
{
	char *p = to;

	EK_TRY(check_range(name, offset, n, err));
	while (n) {
		size_t want = n < PIECE ? n : PIECE;
		ssize_t got = pread(fd, p, want, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ek_fail_sys(err, errno,
					   "%s: cannot read at byte %" PRIu64,
					   name, offset);
		if (got == 0)
			return ek_fail(err, EK_CHANGED,
				       "%s: ends at byte %" PRIu64
				       ", it was longer before",
				       name, offset);
		p += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return EK_OK;
}

ek_status ek_pwrite_all(int fd, const char *name, uint64_t offset,
			const void *from, size_t n, struct ek_err *err)
{
	const char *p = from;

	EK_TRY(check_range(name, offset, n, err));
	while (n) {
		size_t want = n < PIECE ? n : PIECE;
		ssize_t put = pwrite(fd, p, want, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		/* A device's end shows itself as a write of nothing. */
		if (put <= 0)
			return ek_fail_sys(err, put ? errno : ENOSPC,
					   "%s: cannot write at byte %" PRIu64,
					   name, offset);
		p += put;
		n -= (size_t)put;
		offset += (uint64_t)put;
	}
	return EK_OK;
}

const char *ek_file_type_words(unsigned mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFBLK:
		return "a block device";
	case S_IFCHR:
		return "a character device";
	case S_IFIFO:
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	default:
		return "of an unknown type";
	}
}

ek_status ek_fd_size(int fd, const char *name, uint64_t *size, bool *is_block,
		     struct ek_err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return ek_fail_sys(err, errno, "%s", name);
	*is_block = S_ISBLK(st.st_mode);
	if (S_ISREG(st.st_mode)) {
		*size = (uint64_t)st.st_size;
		return EK_OK;
	}
	if (!*is_block)
		return ek_fail(err, EK_INVALID,
			       "%s: is %s, not a regular file or block device",
			       name, ek_file_type_words(st.st_mode));
	if (ioctl(fd, BLKGETSIZE64, size))
		return ek_fail_sys(err, errno, "%s: size of the device", name);
	return EK_OK;
}

void ek_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
