/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_OS_XATTRAT_H
#define EK_OS_XATTRAT_H

/*
 * Extended attributes of a name in an open directory (Linux 6.13). Without
 * these calls a path is needed, which costs a walk, and with /proc/self/fd
 * one through another file system. Any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Whether the kernel has them and lets us: tried on the directory @dir. */
bool ek_xattrat_works(int dir);

/*
 * As llistxattr(2) and lgetxattr(2): -1 with errno; a link at the end is not
 * followed. When ek_xattrat_works() is false: ENOSYS, or EPERM of a system call
 * filter.
 */
ssize_t ek_listxattrat(int dir, const char *name, char *list, size_t n);
ssize_t ek_getxattrat(int dir, const char *name, const char *attr, void *value,
		      size_t n);

#endif
