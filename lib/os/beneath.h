/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_OS_BENEATH_H
#define EK_OS_BENEATH_H

/*
 * Open a path that others chose (from an image, an archive) without ever
 * leaving a directory of ours.
 */

#include <erofskit/status.h>

#include <sys/types.h>

/*
 * Open @path relative to directory @root; *@fd is the caller's to close.
 * No symbolic link is followed, not in the last component either; @path may
 * neither be absolute nor hold "..": EK_INVALID. "." opens @root itself. @flags
 * and @mode as for openat(2); O_CLOEXEC is added.
 *
 * EK_NOTFOUND, EK_EXISTS, or EK_IO with errno: ELOOP for a symbolic link,
 * ENOTDIR for a file (without openat2 also a link) in the middle. Any thread.
 * Where openat2(2) is missing (Linux before 5.6, emulators) components are
 * opened one by one.
 */
ek_status ek_open_beneath(int root, const char *path, int flags, mode_t mode,
			  int *fd, struct ek_err *err);

/* The walk without openat2(2), for tests. Contract as above. */
ek_status ek_open_beneath_walk(int root, const char *path, int flags,
			       mode_t mode, int *fd, struct ek_err *err);

#endif
