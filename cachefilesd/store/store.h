/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_STORE_H
#define EKD_STORE_H

/*
 * Blobs that are partly here. A blob is an immutable run of bytes named by its
 * digest; its leaves come in any order, each verified before it is written.
 * Knows ranges of opaque blobs; nothing of EROFS, registries or kernels.
 *
 * On disk, beneath one directory that one process holds locked:
 *	version			"erofskit store 1\n"
 *	blobs/NAME/data		sparse, as long as the blob
 *	blobs/NAME/map		presence of leaves, bound to the data file
 *	blobs/NAME/leaves	leaf digests (leaf.h), verified against the root
 *	blobs/NAME/meta		recipe text of the owner, root, sizes
 *	blobs/NAME/lent		there: a kernel may read the data file itself
 *
 * In memory a bit means: fetched, verified, written. On disk a bit is written
 * only after its data was synced, so that a power cut costs a fetch and never
 * a wrong byte. A map that does not fit its data file is dropped, not trusted:
 * what the file holds is then compared with the digests before it counts.
 *
 * Any thread may use a store and its blobs.
 *
 * States of a store: open (all calls), closed. States of a blob: open (all
 * calls), pinned (no eviction), closed (its data stay in the store).
 */

#include <erofskit/leaf.h>
#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ekd_store;
struct ekd_blob;

/* Most bytes of a recipe. */
#define EKD_RECIPE_MAX (64u << 10)

/*
 * For tests: told of each step and of what reaches the files, on the thread
 * that does it, after it was done. They may not use the store. Any member may
 * be NULL.
 */
struct ekd_store_hooks {
	void *arg;
	/* A kill point, one of ekd_store_steps. */
	void (*step)(void *arg, const char *name);
	void (*wrote)(void *arg, int fd, uint64_t offset, const void *bytes,
		      size_t n);
	void (*punched)(void *arg, int fd, uint64_t offset, uint64_t n);
	void (*synced)(void *arg, int fd);
};

/* Names of all steps, "store:...", closed by NULL. */
extern const char *const ekd_store_steps[];

struct ekd_store_options {
	uint64_t quota; /* bytes of data on disk; 0: no limit */
	/* Checkpoint after so many bytes or milliseconds; 0: 64 MiB, 2 s. */
	uint64_t checkpoint_bytes;
	uint32_t checkpoint_ms;
	const struct ekd_store_hooks *hooks; /* copied; NULL: none */
};

/*
 * Open or make the store in directory @path (its parent exists). EK_EXISTS:
 * another process has it; EK_UNSUPPORTED: of another version; EK_INVALID: the
 * directory holds something else, or its file system cannot hold sparse files.
 */
ek_status ekd_store_open(const char *path,
			 const struct ekd_store_options *options,
			 struct ekd_store **store, struct ek_err *err);
/* NULL allowed. Every blob must be closed before, which checkpoints it. */
void ekd_store_close(struct ekd_store *store);

/*
 * Open blob @name (1 to 128 of [a-zA-Z0-9._-], not beginning with '.'; usually
 * "sha256-HEX"), making it when it is new. @leaves are its digests, whose root
 * the caller trusts; copied. @recipe is text of the caller's, kept (at most
 * EKD_RECIPE_MAX bytes; NULL: what is kept stays). An existing blob with
 * another root is discarded and made anew; EK_DIFFERS when somebody has that
 * one open. Several openers of one name share one object.
 */
ek_status ekd_blob_open(struct ekd_store *store, const char *name,
			const struct ek_leaves *leaves, const char *recipe,
			struct ekd_blob **blob, struct ek_err *err);

/*
 * As ekd_blob_open() for a blob that the store has, with the digests that it
 * keeps. @root (32 bytes; NULL: the one that it was made with) must be theirs:
 * EK_DIFFERS. EK_NOTFOUND: no such blob, or its files are damaged.
 */
ek_status ekd_blob_find(struct ekd_store *store, const char *name,
			const uint8_t *root, struct ekd_blob **blob,
			struct ek_err *err);

/* NULL allowed. Unpin before. The last closer waits for a checkpoint. */
void ekd_blob_close(struct ekd_blob *blob);

uint64_t ekd_blob_size(const struct ekd_blob *blob);
const struct ek_leaves *ekd_blob_leaves(const struct ekd_blob *blob);
const char *ekd_blob_name(const struct ekd_blob *blob);
/* Text that its maker gave; never NULL, lives as long as the blob is open. */
const char *ekd_blob_recipe(const struct ekd_blob *blob);
/* The data file, for a mount once the blob is complete. Borrowed. */
int ekd_blob_fd(const struct ekd_blob *blob);
bool ekd_blob_complete(const struct ekd_blob *blob);
/*
 * Leaves that are here. After a crash those whose bytes were not compared with
 * their digests yet do not count; this is done on first use and meanwhile in
 * the background.
 */
uint32_t ekd_blob_present(const struct ekd_blob *blob);

/*
 * The first run of missing leaves in leaves [first, end): *from and *to, or
 * *from == *to == end when none is missing.
 */
void ekd_blob_missing(struct ekd_blob *blob, uint32_t first, uint32_t end,
		      uint32_t *from, uint32_t *to);

/*
 * Whether leaf @i is here, as far as one can say at once: without waiting for
 * who writes, evicts or compares it, and without comparing it.
 */
bool ekd_blob_here(const struct ekd_blob *blob, uint32_t i);
/* Whether it certainly is not: nobody writes it, nor is it to be compared. */
bool ekd_blob_absent(const struct ekd_blob *blob, uint32_t i);

/*
 * Verify leaf @i and write it. EK_DIFFERS: not its bytes, nothing is written.
 * EK_IO with ENOSPC in err->sys: no room, nor could room be made. Filling a
 * leaf that is here is no error. @bytes must not change meanwhile.
 */
ek_status ekd_blob_fill(struct ekd_blob *blob, uint32_t i, const void *bytes,
			size_t n, struct ek_err *err);

/*
 * Read @n bytes at @offset (inside the blob). EK_NOTFOUND when a leaf of the
 * range is not here, or was evicted while it was read: fetch and try again.
 * Otherwise the bytes are verified ones.
 */
ek_status ekd_blob_read(struct ekd_blob *blob, uint64_t offset, void *to,
			size_t n, struct ek_err *err);

/* Pinned: no leaf of it may be evicted. Counted. */
void ekd_blob_pin(struct ekd_blob *blob);
/*
 * Pin it for a kernel that reads the data file itself, if all of it is here
 * and its data could be synced. EK_NOTFOUND: it is not whole, or no more.
 * Nothing is pinned after a failure. Waits for the disk.
 *
 * Nobody can tell when a kernel has done with a file: from now on no hole is
 * made in this one, whoever unpins or opens the blob. It goes as a whole, when
 * nobody has it open: who reads the file then keeps it.
 */
ek_status ekd_blob_lend(struct ekd_blob *blob, struct ek_err *err);
void ekd_blob_unpin(struct ekd_blob *blob);

/* Sync data, then maps. Also done by itself in the background. */
ek_status ekd_store_checkpoint(struct ekd_store *store, struct ek_err *err);

struct ekd_store_stats {
	uint64_t blobs, complete_blobs;
	uint64_t bytes; /* of leaves that are here */
	uint64_t quota;
	uint64_t fills, fill_bytes, refused_fills;
	uint64_t evicted_leaves, checkpoints, recovered_leaves, dropped_leaves;
};
void ekd_store_stats(struct ekd_store *store, struct ekd_store_stats *stats);

/* One blob, open or not, for ekd_store_list(). */
struct ekd_store_item {
	const char *name; /* lives during the call */
	uint64_t size;	  /* of the blob */
	uint64_t bytes;	  /* of it that are here */
	bool open, complete;
};
/* Tell of each blob; @tell may not use the store. */
void ekd_store_list(struct ekd_store *store,
		    void (*tell)(void *arg, const struct ekd_store_item *item),
		    void *arg);

/* Remove blobs that nobody has open. *removed and *bytes count. */
ek_status ekd_store_gc(struct ekd_store *store, uint64_t *removed,
		       uint64_t *bytes, struct ek_err *err);

/*
 * Read every present leaf of every blob and compare with its digest; a wrong
 * one is dropped and told. *wrong counts. @tell (NULL allowed) may not use the
 * store. Blobs whose own files are damaged are removed.
 */
ek_status ekd_store_verify(struct ekd_store *store,
			   void (*tell)(void *arg, const char *blob,
					uint32_t leaf),
			   void *arg, uint64_t *wrong, struct ek_err *err);

#endif
