/* SPDX-License-Identifier: Apache-2.0 */
#include "os/xattrat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Headers older than the calls do not have their numbers, which are the same
 * on all architectures but a few; -1 is no call anywhere.
 */
#if defined(SYS_listxattrat)
#define LIST SYS_listxattrat
#define GET  SYS_getxattrat
#elif defined(__alpha__) || defined(__mips__) || defined(__ia64__) ||          \
	(defined(__x86_64__) && defined(__ILP32__))
#define LIST (-1)
#define GET  (-1)
#else
#define LIST 465
#define GET  464
#endif

/* The kernel's struct xattr_args. */
struct args {
	uint64_t value __attribute__((aligned(8)));
	uint32_t size;
	uint32_t flags;
};

ssize_t ek_listxattrat(int dir, const char *name, char *list, size_t n)
{
	return syscall(LIST, dir, name, AT_SYMLINK_NOFOLLOW, list, n);
}

ssize_t ek_getxattrat(int dir, const char *name, const char *attr, void *value,
		      size_t n)
{
	struct args args = {
		.value = (uintptr_t)value,
		.size = (uint32_t)n,
	};

	return syscall(GET, dir, name, AT_SYMLINK_NOFOLLOW, attr, &args,
		       sizeof(args));
}

bool ek_xattrat_works(int dir)
{
	char value;

	/*
	 * ENOSYS before Linux 6.13, EPERM from old system call filters. Of the
	 * second call it does not matter what it says of the file.
	 */
	if (ek_listxattrat(dir, ".", NULL, 0) < 0 && errno != EOPNOTSUPP)
		return false;
	return ek_getxattrat(dir, ".", "user.", &value, 0) >= 0 ||
	       (errno != ENOSYS && errno != EPERM);
}
