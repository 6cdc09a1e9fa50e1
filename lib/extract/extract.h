/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_EXTRACT_EXTRACT_H
#define EK_EXTRACT_EXTRACT_H

/*
 * One extraction. The calling thread walks the directories, breadth first,
 * makes them and everything without data, and hands regular files in batches
 * to the pool. Links come when all files are there; then the directories get
 * their attributes, deepest first, since making a name changes the times of
 * its directory and permissions may forbid it.
 *
 *	walk (files in parallel) -> links -> attributes of directories
 */

#include <erofskit/extract.h>
#include "base/arena.h"
#include "base/idmap.h"
#include "base/vec.h"
#include "extract/attr.h"
#include "extract/data.h"
#include "extract/listing.h"
#include "os/pool.h"

#include <stdatomic.h>

#define EX_NAME_MAX    255
#define EX_DIRS_MAX    ((size_t)UINT32_MAX - 1)
#define EX_BATCH_FILES 64
#define EX_BATCH_NAMES (8 * (EX_NAME_MAX + 1))
#define EX_BATCH_BYTES ((uint64_t)1 << 20)
#define EX_NO_PARENT   UINT32_MAX

/* Directories held open for files that wait: processes may have 1024 open. */
#define EX_OPEN_DIRS_MAX 256u

/*
 * Descriptors that there may be in all, with those of files and others.
 * fsck/beside.c, which sees no header of lib/, has the number too.
 */
#define EX_DESCRIPTORS 400

struct ex_dir {
	uint64_t nid;
	uint32_t parent;  /* index in dirs; EX_NO_PARENT: the root */
	const char *name; /* in the arena; "" for a root without name */
	bool failed;	  /* was not made */
	bool no_acls;	  /* is known to have none, and gives none on */
};

/* The first name of an inode with several. */
struct ex_first {
	uint32_t dir;
	const char *name;
};

struct ex_link {
	uint32_t first; /* index in firsts */
	uint32_t dir;
	const char *name;
};

/* An open directory that several files use; counted by the walker alone. */
struct ex_dirfd {
	int fd;
	uint32_t dir; /* index in dirs */
	unsigned users;
	bool ours;    /* only we can change how new files begin */
	bool no_acls; /* new files get none from it */
};

struct ex_file {
	struct ek_node node;
	struct ex_dirfd *dirfd;
	const char *name;   /* in the batch */
	struct ek_err *err; /* NULL: restored */
	unsigned skipped;   /* EK_ATTR_SKIPPED_* */
};

/*
 * Files that one worker restores one after another. Small directories share a
 * batch; a large one takes several, which may wait for each other's names.
 */
struct ex_batch {
	struct ek_job job; /* first */
	struct ex *ex;
	unsigned n;
	uint64_t bytes;
	size_t names_len;
	struct ex_file files[EX_BATCH_FILES];
	char names[EX_BATCH_NAMES];
};

struct ex {
	struct ek_image *image;
	const struct ek_extract_options *options;
	struct ek_attr_policy policy;
	struct ek_extract_result *result;
	int root;
	struct ek_arena *arena;
	EK_VEC(struct ex_dir) dirs;
	EK_VEC(struct ex_first) firsts;
	EK_VEC(struct ex_link) links;
	struct ek_idmap seen_dirs;  /* nid -> index in dirs */
	struct ek_idmap seen_files; /* nid -> index in firsts */
	uint64_t names_left;
	struct ek_pool *pool;
	struct ek_data_buf *bufs; /* one a worker */
	unsigned workers;
	struct ex_batch *batch;	  /* being filled, or NULL */
	struct ex_batch *batches; /* all of them, in one piece */
	struct ex_batch **spare;  /* those in no use, the last one first */
	unsigned n_spare;
	unsigned open_dirs;
	atomic_uint_least64_t written;
	atomic_int stop; /* jobs end soon */
	atomic_int over; /* max_bytes was crossed */
	ek_status first_failure;
	struct ek_err first_err;
};

/* Count and tell a failure; EK_OK unless all must stop because of it. */
ek_status ex_problem(struct ex *ex, uint32_t dir, const char *name,
		     const struct ek_err *why, struct ek_err *err);
/* Whether @status ends everything, not one file alone. Any thread. */
bool ex_fatal(struct ex *ex, ek_status status);
/* Tell of something left out. */
void ex_note(struct ex *ex, uint32_t dir, const char *name, const char *words);
/* Tell what ek_attr_apply() left out. */
void ex_note_skipped(struct ex *ex, uint32_t dir, const char *name,
		     unsigned skipped);

/*
 * Path of @name in directory @dir; @name NULL: of the directory itself. With
 * @shown for people: it has a leading '/' and lacks the root's own name; else
 * relative to the open root. malloc'ed; NULL without memory.
 */
char *ex_path(const struct ex *ex, uint32_t dir, const char *name, bool shown);

/* Open directory @dir beneath the root. */
ek_status ex_open_dir(const struct ex *ex, uint32_t dir, int *fd,
		      struct ek_err *err);

/* files.c: regular files, in batches. */
ek_status ex_files_start(struct ex *ex, struct ek_err *err);
ek_status ex_files_add(struct ex *ex, struct ex_dirfd *dirfd, const char *name,
		       const struct ek_node *node, struct ek_err *err);
/* Wait until few enough directories are open for one more. */
ek_status ex_files_close_dirs(struct ex *ex, struct ek_err *err);
/* Wait for all. */
ek_status ex_files_drain(struct ex *ex, struct ek_err *err);
void ex_files_end(struct ex *ex);
void ex_dirfd_put(struct ex *ex, struct ex_dirfd *dirfd);

/* dirs.c: attributes of all directories; nothing else may be in work. */
ek_status ex_finish_dirs(struct ex *ex, struct ek_err *err);

#endif
