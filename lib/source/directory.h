/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_SOURCE_DIRECTORY_H
#define EK_SOURCE_DIRECTORY_H

/*
 * What the files of the directory source share.
 *
 *   walk.c      queue of directories, results into the tree
 *   scan.c      one directory: names, attributes, link targets (any thread)
 *   directory.c opening, reading and closing of files
 *   locate.c    from a path beneath the root to a descriptor
 *   filter.c    what is left out
 *   links.c     (device, inode number) -> inode of the tree
 */

#include "source/source.h"

#include "base/buf.h"
#include "base/vec.h"
#include "os/pool.h"

#include <regex.h>
#include <sys/types.h>

/* locate.c */

struct ek_root {
	int fd;
	char *path; /* as given, without trailing slashes; for errors */
	bool has_openat2;
	bool has_proc;	  /* /proc/self/fd can be used */
	bool has_xattrat; /* os/xattrat.h can be used */
};

ek_status ek_root_open(struct ek_root *root, const char *path,
		       struct ek_err *err);
void ek_root_close(struct ek_root *root);

/*
 * Open @path, relative to the root ("" is the root itself), as long as it may
 * be, through no symbolic link. The descriptor, or -1 with errno.
 */
int ek_root_at(const struct ek_root *root, const char *path, int flags);

/*
 * Fail with errno @sys for @name in directory @dir (both relative; each may be
 * ""), "ROOT/DIR/NAME: words: reason".
 */
ek_status ek_root_fail(const struct ek_root *root, const char *dir,
		       const char *name, int sys, const char *words,
		       struct ek_err *err);

/* filter.c */

struct ek_filter {
	char **paths;
	size_t n_paths;
	regex_t *regexes;
	size_t n_regexes;
};

ek_status ek_filter_init(struct ek_filter *filter,
			 const struct ek_directory_options *options,
			 struct ek_err *err);
void ek_filter_free(struct ek_filter *filter);
/* Whether @path, relative to the root, is left out. Any thread. */
bool ek_filter_drops(const struct ek_filter *filter, const char *path);
bool ek_filter_empty(const struct ek_filter *filter);

/* links.c */

struct ek_links {
	struct ek_link {
		uint64_t dev, ino;
		struct ek_tree_inode *inode; /* NULL: free slot */
	} * slots;
	size_t n, cap;
};

/* The slot of (dev, ino), ->inode NULL and to be filled when it is new. */
ek_status ek_links_find(struct ek_links *links, uint64_t dev, uint64_t ino,
			struct ek_link **link, struct ek_err *err);
void ek_links_free(struct ek_links *links);

/* scan.c */

/* One name as scanned; offsets are into the blob of the scan. */
struct ek_scan_entry {
	uint64_t dev, ino, size;
	int64_t mtime, ctime;
	uint32_t mtime_nsec, ctime_nsec;
	uint32_t mode, nlink, uid, gid, rdev_major, rdev_minor;
	size_t name, target, xattrs;
	uint32_t n_xattrs;
	uint16_t name_len;
};

struct ek_scan_xattr {
	size_t name, value;
	uint32_t value_len;
};

/* Buffers of one worker. */
struct ek_scan_room {
	uint64_t dents[4096]; /* aligned for directory entries */
	char list[65536];     /* as much as the kernel ever gives */
	char value[65536];
	char path[64 + EK_TREE_NAME_MAX]; /* "/proc/self/fd/N/NAME" */
};

struct ek_scanner {
	const struct ek_root *root;
	const struct ek_filter *filter;
	const volatile int *cancel;
	bool xattrs;
	struct ek_scan_room **rooms; /* one a worker */
};

struct ek_scan {
	struct ek_scan *next; /* of the same job */
	const struct ek_scanner *scanner;
	struct ek_tree_node *node;
	char *path; /* relative, "" for the root */
	struct ek_buf blob;
	EK_VEC(struct ek_scan_entry) entries;
	EK_VEC(struct ek_scan_xattr) xattrs;
};

/* Some directories: small ones are not worth a job of their own. */
struct ek_scan_job {
	struct ek_job job; /* first */
	struct ek_scan *scans;
};

/* For ek_job.run of a struct ek_scan_job. */
ek_status ek_scan_run(struct ek_job *job, unsigned worker, struct ek_err *err);

struct ek_scan *ek_scan_new(const struct ek_scanner *scanner,
			    struct ek_tree_node *node, struct ek_err *err);
void ek_scan_free(struct ek_scan *scan);

/* The root itself, as only entry, named ".". */
ek_status ek_scan_root(struct ek_scan *scan, struct ek_err *err);

/* walk.c */

/* What the walk saw and an open file is compared with; inode->data. */
struct ek_dir_data {
	int64_t ctime;
	uint32_t ctime_nsec;
};

/* Fill and seal @tree. */
ek_status ek_walk(const struct ek_root *root,
		  const struct ek_directory_options *options,
		  struct ek_tree *tree, struct ek_err *err);

#endif
