/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_MOUNT_H
#define TARFS_MOUNT_H

/* Ways to mount the image of a record at a directory. */

#include "tarfs/record.h"

#define EROFS_MAGIC 0xE0F5E1E2u

/* One mount at a directory, from /proc/self/mountinfo. */
struct mounted {
	char *type, *source, *options; /* options: of the superblock */
};

/* The mounts at @dir (absolute), the lowest first. */
ek_status mounted_at(const char *dir, struct mounted **list, size_t *n,
		     struct ek_err *err);
void mounted_free(struct mounted *list, size_t n);

/*
 * Mount @source with the @n devices @devices, read-only, at @dir, and check
 * that it is what got mounted.
 */
ek_status mount_erofs(const char *source, const char *const *devices, size_t n,
		      const char *dir, struct ek_err *err);

/* The same through loop devices of our own, which end with the mount. */
ek_status mount_by_loop(const struct record *r, const char *dir,
			struct ek_err *err);

#endif
