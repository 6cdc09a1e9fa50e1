/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_EXTRACT_PLACE_H
#define EK_EXTRACT_PLACE_H

/*
 * Making names in a directory tree that an enemy may have prepared: no call
 * follows a symbolic link or leaves the root. Each call is one thread's own.
 */

#include <erofskit/image.h>

/*
 * Open the directory @path (relative, "" for @root itself, of any length)
 * beneath @root. The caller closes *@fd.
 */
ek_status ek_place_open_dir(int root, const char *path, int *fd,
			    struct ek_err *err);

/*
 * Make directory @name in @dir, or accept the one that is there (*@made is
 * false). With @overwrite another kind of file is replaced; else it is
 * EK_EXISTS.
 */
ek_status ek_place_mkdir(int dir, const char *name, bool overwrite, bool *made,
			 struct ek_err *err);

/* Make the new regular file @name, open for writing. */
ek_status ek_place_create(int dir, const char *name, uint32_t mode,
			  bool overwrite, int *fd, struct ek_err *err);

/*
 * Make the symlink, device, fifo or socket @node and open it with O_PATH.
 * @target: of symlinks.
 */
ek_status ek_place_special(int dir, const char *name, bool overwrite,
			   const struct ek_node *node, const char *target,
			   int *fd, struct ek_err *err);

/* Make @name in @dir another name of @old in @olddir. */
ek_status ek_place_link(int olddir, const char *old, int dir, const char *name,
			bool overwrite, struct ek_err *err);

#endif
