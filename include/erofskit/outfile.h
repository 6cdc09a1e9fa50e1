/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_OUTFILE_H
#define EROFSKIT_OUTFILE_H

/**
 * @file outfile.h
 * Write a file so that its name shows either the old contents or the complete
 * new ones: a temporary file beside the target, then rename. A block device
 * is written in place.
 *
 *   state      | made by                  | calls allowed
 *   -----------|--------------------------|---------------------------------
 *   open       | ek_outfile_open()        | fd, in_place, remove, commit, abort
 *   gone       | commit or abort          | none: the object is freed
 *
 * One thread at a time, but for ek_outfile_remove().
 */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ek_outfile;

/** Set size to sizeof(struct ek_outfile_options), zero the rest. */
struct ek_outfile_options {
	size_t size;
	/** Do not wait for the disk: a crash may lose old and new contents. */
	bool no_sync;
	/** EK_EXISTS when the target exists, at opening or at commit. */
	bool must_be_new;
};

/**
 * Begin to write @p path. Symbolic links are followed: the file that they
 * name is replaced, not the link. The temporary file is `.NAME.XXXXXX` in the
 * target's directory, empty, open for reading and writing. An existing block
 * device is opened exclusively instead (EK_IO with EBUSY when it is mounted).
 * @p options may be NULL.
 *
 * EK_INVALID: an empty path, or a pipe, socket, character device or directory.
 * EK_NOTFOUND, EK_IO: the directory cannot be opened or written, an existing
 * target may not be written. The text names @p path.
 */
ek_status ek_outfile_open(const char *path,
			  const struct ek_outfile_options *options,
			  struct ek_outfile **out, struct ek_err *err);

/** The open descriptor, readable and writable, owned by @p out. */
int ek_outfile_fd(const struct ek_outfile *out);

/** Whether the target is a block device, written in place. */
bool ek_outfile_in_place(const struct ek_outfile *out);

/**
 * Publish: permissions (an old target's; else 0666 less the umask), fsync,
 * rename over the target, fsync of the directory. @p out is freed whatever
 * happens. On failure before the rename the target is as it was and the
 * temporary file is gone; a failing fsync of the directory is EK_IO with the
 * new contents in place, but perhaps not after a crash.
 */
ek_status ek_outfile_commit(struct ek_outfile *out, struct ek_err *err);

/**
 * Give up: remove the temporary file and free @p out; NULL allowed. errno is
 * kept. A block device keeps what was written.
 */
void ek_outfile_abort(struct ek_outfile *out);

/**
 * Remove the temporary file and nothing else. Safe in a signal handler and
 * from another thread while @p out is open; the program should then end, as a
 * later commit fails.
 */
void ek_outfile_remove(const struct ek_outfile *out);

#ifdef __cplusplus
}
#endif

#endif
