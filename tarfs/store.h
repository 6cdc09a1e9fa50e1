/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_STORE_H
#define TARFS_STORE_H

/*
 * The directory that convert makes. Files are written under temporary names
 * and get their own all together in the end, in the order in which they were
 * begun; the last one, which tells of the others, says that all is there. A
 * lock on the directory makes a second convert wait.
 *
 *   open --file--> open --commit--> published --close
 *   open --close: everything is undone
 */

#include <erofskit/outfile.h>

#include <stdint.h>

struct store_file {
	struct ek_outfile *out; /* NULL: given up or published */
	char *name;		/* relative to the store */
	char *rename;		/* the name it gets instead, or NULL */
};

struct store {
	char *path;	  /* absolute */
	const char *mark; /* file whose presence means complete */
	int dir;
	bool made;    /* by us: removed on failure */
	bool replace; /* there was a complete one */
	bool published;
	bool no_sync;
	struct store_file *files;
	size_t n;
};

/*
 * Open or make @path. @mark is the file that is published last. EK_EXISTS when
 * it is there and @force is not set.
 */
ek_status store_open(struct store *s, const char *path, const char *mark,
		     bool force, bool no_sync, struct ek_err *err);

/* Begin the file @name ("dir/x"): its descriptor, and its number in files. */
ek_status store_file(struct store *s, const char *name, int *fd, size_t *number,
		     struct ek_err *err);
/* Let file @number have another name in the end. */
ek_status store_rename(struct store *s, size_t number, const char *name,
		       struct ek_err *err);
/* Give file @number up. */
void store_drop(struct store *s, size_t number);

/* Write the @n bytes of a small file. */
ek_status store_put(struct store *s, const char *name, const void *bytes,
		    size_t n, struct ek_err *err);

/* Publish all. Files of an older image that this one has not are removed. */
ek_status store_commit(struct store *s, struct ek_err *err);

/* Release; undo everything unless it is published. */
void store_close(struct store *s);

/* "PATH/NAME", malloc'ed. */
ek_status store_path(const struct store *s, const char *name, char **path,
		     struct ek_err *err);

#endif
