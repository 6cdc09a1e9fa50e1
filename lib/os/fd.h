/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_OS_FD_H
#define EK_OS_FD_H

/*
 * Complete reads and writes at a position, and what a descriptor is. Any
 * thread; the file offset of the descriptor is neither used nor changed.
 * @name is the file's name in errors.
 */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Read exactly @n bytes at @offset. EK_CHANGED when the file ends before: the
 * caller has looked at its size, so somebody cut it. EK_IO else.
 */
ek_status ek_pread_all(int fd, const char *name, uint64_t offset, void *to,
		       size_t n, struct ek_err *err);

/* Write exactly @n bytes at @offset; EK_IO with errno (ENOSPC and the like). */
ek_status ek_pwrite_all(int fd, const char *name, uint64_t offset,
			const void *from, size_t n, struct ek_err *err);

/*
 * Size in bytes of a regular file or block device and which of them it is.
 * EK_INVALID for other types, in words that say what @name is.
 */
ek_status ek_fd_size(int fd, const char *name, uint64_t *size, bool *is_block,
		     struct ek_err *err);

/* "a pipe", "a directory", ... for the type bits of @mode; never NULL. */
const char *ek_file_type_words(unsigned mode);

/* For EK_CLEANUP: closes *fd unless it is negative. */
void ek_cleanup_close(int *fd);

#define EK_AUTO_CLOSE __attribute__((cleanup(ek_cleanup_close)))

#endif
