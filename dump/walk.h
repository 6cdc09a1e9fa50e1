/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DUMP_WALK_H
#define DUMP_WALK_H

/*
 * All names of an image, directory by directory, breadth first. Every inode
 * is seen, those with several names several times; a directory is entered
 * once, whatever a damaged image says, so a walk always ends.
 */

#include <erofskit/image.h>

struct walk;

/*
 * One name: @node is what it stands for, @first says that no name before it
 * did. The root comes first, with @entry NULL. Any status but EK_OK ends the
 * walk with it.
 */
typedef ek_status (*walk_fn)(void *arg, struct walk *w,
			     const struct ek_dirent *entry,
			     const struct ek_node *node, bool first,
			     struct ek_err *err);

ek_status walk_image(struct ek_image *image, walk_fn fn, void *arg,
		     struct ek_err *err);

/*
 * Path of the @entry that the callback was given: "/a/b", malloc'ed. NULL
 * without memory.
 */
char *walk_path(const struct walk *w, const struct ek_dirent *entry);

/*
 * A path of inode @nid, malloc'ed; *@path is NULL when no name stands for it.
 * Damage in other places than the one wanted is passed over.
 */
ek_status walk_find(struct ek_image *image, uint64_t nid, char **path,
		    struct ek_err *err);

#endif
