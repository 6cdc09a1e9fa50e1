/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_SOURCE_SOURCE_H
#define EK_SOURCE_SOURCE_H

/*
 * Where trees come from: a filled ek_tree plus a way to read the data of its
 * regular files. Files may be open and read by several threads at once, each
 * with its own ek_file.
 */

#include "tree/tree.h"

struct ek_file; /* an open regular file of a source */

struct ek_tree_source;
struct ek_place;

/*
 * What a thread keeps from one file to the next: the directory of the last.
 * Zeroed at first; one thread at a time.
 */
struct ek_near {
	const struct ek_tree_node *dir; /* NULL: nothing yet */
	int fd;				/* of it */
};

struct ek_tree_source_ops {
	/* Open the data of @inode (its ->data is ours). Names the path. */
	ek_status (*open)(struct ek_tree_source *src,
			  const struct ek_tree_inode *inode,
			  struct ek_file **file, struct ek_err *err);
	/*
	 * Read exactly @n bytes at @offset. Reading beyond the recorded size
	 * is the caller's bug; a file that became shorter is EK_CHANGED.
	 */
	ek_status (*read)(struct ek_file *file, uint64_t offset, void *to,
			  size_t n, struct ek_err *err);
	/*
	 * Close after all has been read. EK_CHANGED when the file's size or
	 * mtime or ctime is not what the walk saw. Frees @file always.
	 */
	ek_status (*close)(struct ek_file *file, struct ek_err *err);
	void (*free)(struct ek_tree_source *src);
	/*
	 * Where the data of @inode stands on the source's devices, in order of
	 * the file; the rest of the file is holes. *n EK_PLACE_NONE: the data
	 * stands on no device in a form that can be addressed, and is read by
	 * open(). *places live until the next call for this source: one thread
	 * at a time calls it, and no more of @inode is looked at than its data
	 * and size. NULL: this source has no devices.
	 */
	ek_status (*place)(struct ek_tree_source *src,
			   const struct ek_tree_inode *inode,
			   const struct ek_place **places, size_t *n,
			   struct ek_err *err);
	/*
	 * As open(), cheaper for a file in the same directory as the one that
	 * was opened last with @near. NULL: there is nothing to be gained.
	 */
	ek_status (*open_near)(struct ek_tree_source *src,
			       const struct ek_tree_inode *inode,
			       struct ek_near *near, struct ek_file **file,
			       struct ek_err *err);
};

#define EK_PLACE_NONE SIZE_MAX

/* A run of a file's bytes on a device. */
struct ek_place {
	uint64_t at;	 /* offset in the file */
	uint64_t length; /* bytes, > 0 */
	uint64_t offset; /* byte offset on the device */
	uint16_t device; /* 1 and up */
};

/* What holds data that an index points to. */
struct ek_place_device {
	uint64_t bytes; /* length of the device */
	char tag[65];	/* identity, NUL-terminated; "" for none */
};

struct ek_tree_source {
	const struct ek_tree_source_ops *ops;
	struct ek_tree *tree; /* owned; sealed */
	/* Devices in slot order, for place(); owned. */
	const struct ek_place_device *devices;
	uint16_t n_devices;
};

void ek_tree_source_free(struct ek_tree_source *src);

/* open_near() of a source that has it, else open(). */
ek_status ek_tree_source_open(struct ek_tree_source *src,
			      const struct ek_tree_inode *inode,
			      struct ek_near *near, struct ek_file **file,
			      struct ek_err *err);
/* Give back what @near keeps, which is then as at first. */
void ek_near_close(struct ek_near *near);

struct ek_file_id {
	uint64_t dev, ino;
};

struct ek_directory_options {
	/* Path prefixes relative to the root to leave out, "a/b". */
	const char *const *exclude_paths;
	size_t n_exclude_paths;
	/* POSIX extended expressions matched against the relative path. */
	const char *const *exclude_regexes;
	size_t n_exclude_regexes;
	int hard_dereference; /* each link becomes a file of its own */
	int no_xattrs;
	/* Left out wherever they are met (outputs inside the source). */
	const struct ek_file_id *skip;
	size_t n_skip;
	unsigned workers;
	/* Checked between directories; non-zero stops with EK_CANCELLED. */
	const volatile int *cancel;
};

/* The tree beneath directory @path, with every attribute. */
ek_status ek_source_directory(const char *path,
			      const struct ek_directory_options *options,
			      struct ek_tree_source **src, struct ek_err *err);

#endif
