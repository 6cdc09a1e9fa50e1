/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_STORE_PRIV_H
#define EKD_STORE_PRIV_H

/*
 * What the files of the store share.
 *
 * Locks, in the order in which they are taken:
 *	work		one pass over all blobs at a time: checkpoint, gc, or
 *			a slice of comparing what is not yet believed
 *	evict		one eviction, or gc, at a time
 *	blob->map_lock	what is on disk about a blob; held over eviction,
 *			so that a pinned blob loses nothing any more
 *	store->lock	list of blobs, counters, the keeper's state; never held
 *			over I/O
 *	blob->wait_lock	for those who wait for a busy leaf
 * The state of a leaf is one atomic word, read without a lock.
 */

#include "cachefilesd/store/layout.h"
#include "cachefilesd/store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define EKD_TRY(expr)                                                          \
	do {                                                                   \
		ek_status ekd_try_status = (expr);                             \
		if (ekd_try_status != EK_OK)                                   \
			return ekd_try_status;                                 \
	} while (0)

#define EKD_BUG_ON(cond)                                                       \
	do {                                                                   \
		if (cond)                                                      \
			abort();                                               \
	} while (0)

static inline uint32_t ekd_get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static inline uint64_t ekd_get_le64(const uint8_t *p)
{
	return ekd_get_le32(p) | (uint64_t)ekd_get_le32(p + 4) << 32;
}

static inline void ekd_put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static inline void ekd_put_le64(uint8_t *p, uint64_t v)
{
	ekd_put_le32(p, (uint32_t)v);
	ekd_put_le32(p + 4, (uint32_t)(v >> 32));
}

/* Kill points, in the order of ekd_store_steps. */
enum ekd_step {
	EKD_STEP_CREATED,	/* a blob's directory was made */
	EKD_STEP_LEAVES,	/* its digests written */
	EKD_STEP_DATA,		/* its data file made */
	EKD_STEP_MAP,		/* its map made */
	EKD_STEP_META,		/* its meta file in place: it exists */
	EKD_STEP_RESERVED,	/* room for a leaf reserved */
	EKD_STEP_WRITTEN,	/* leaf written */
	EKD_STEP_PRESENT,	/* leaf told to be here */
	EKD_STEP_SYNCED,	/* data synced for a checkpoint */
	EKD_STEP_MAP_HALF,	/* bits of a slot written, not its header */
	EKD_STEP_MAP_WRITTEN,	/* slot written, not synced */
	EKD_STEP_MAP_SYNCED,	/* slot synced */
	EKD_STEP_EVICT_CLEARED, /* leaves to evict gone from memory */
	EKD_STEP_EVICT_MAPPED,	/* and from the map */
	EKD_STEP_PUNCHED,	/* and from the data file */
	EKD_STEP_UNLINKED,	/* meta file of a blob removed: it is gone */
	EKD_STEP_REMOVED,	/* and all its files */
};

/* State of a leaf: flags, above them its epoch. */
enum {
	EKD_PRESENT = 1, /* fetched, verified, written */
	EKD_BUSY = 2,	 /* one thread writes, verifies or evicts it */
	EKD_SUSPECT = 4, /* has data that nobody compared yet */
	EKD_FLAGS = 7,
	EKD_EPOCH = 8, /* added whenever a present leaf goes */
};

/* One blob of the store, in use or not. Guarded by store->lock. */
struct ekd_entry {
	struct ekd_entry *next;
	struct ekd_blob *blob; /* NULL: nobody has it open */
	uint64_t size, bytes;  /* as of when it was closed or found */
	int64_t used_s;	       /* when it was last in use, for eviction */
	bool busy;	       /* being opened, closed or removed */
	char name[129];
};

struct ekd_store {
	int dir, blobs; /* directories */
	struct ekd_store_options options;
	struct ekd_store_hooks hooks;
	pthread_mutex_t work, evict, lock;
	pthread_cond_t entries;	    /* an entry is no more busy */
	pthread_cond_t keeper_wake; /* monotonic clock */
	pthread_t keeper;
	bool keeper_runs;
	/* Guarded by lock. */
	struct ekd_entry *list;
	struct ekd_store_stats stats; /* .bytes: all of the list */
	bool stop, dirty, suspects;
	uint64_t dirty_bytes;
	int64_t dirty_since_ms;
	_Atomic uint32_t tick; /* one a fill: the clock of LRU */
};

struct ekd_blob {
	struct ekd_store *store;
	struct ekd_entry *entry;
	struct ek_leaves *leaves;
	char *recipe;
	int fd, map_fd;
	unsigned users, holds;	 /* store->lock; holds: passes over all blobs */
	_Atomic uint32_t *words; /* state of each leaf */
	_Atomic uint32_t *used;	 /* tick of its last use */
	_Atomic uint8_t *claimed; /* bits of a map that was not believed */
	_Atomic uint32_t present, suspects, pins, sync_failures;
	_Atomic bool dirty; /* the map is behind */
	_Atomic bool lent;  /* see ekd_blob_lend() */
	uint32_t cursor;    /* of the keeper alone */
	pthread_mutex_t wait_lock;
	pthread_cond_t settled;
	/* Guarded by map_lock. */
	pthread_mutex_t map_lock;
	struct ekd_map map; /* as on disk */
	uint8_t *disk;	    /* bits as on disk */
};

static inline uint64_t ekd_leaf_start(const struct ekd_blob *b, uint32_t i)
{
	return (uint64_t)i * b->leaves->leaf_size;
}

/* A kernel may read the data file: no hole may be made in it. */
static inline bool ekd_stays(const struct ekd_blob *b)
{
	return atomic_load(&b->pins) || atomic_load(&b->lent);
}

/* files.c: the system calls, told to the hooks. @what names the file. */
ek_status ekd_pread(int fd, const char *what, uint64_t offset, void *to,
		    size_t n, struct ek_err *err);
ek_status ekd_pwrite(struct ekd_store *s, int fd, const char *what,
		     uint64_t offset, const void *from, size_t n,
		     struct ek_err *err);
ek_status ekd_datasync(struct ekd_store *s, int fd, const char *what,
		       struct ek_err *err);
ek_status ekd_punch(struct ekd_store *s, int fd, uint64_t offset, uint64_t n,
		    struct ek_err *err);
/* All of a regular file of at most @max bytes; free(*bytes). */
ek_status ekd_load(int dir, const char *name, size_t max, uint8_t **bytes,
		   size_t *n, struct ek_err *err);
/* Make or replace a file at once, by way of NAME.new. */
ek_status ekd_put(int dir, const char *name, const void *bytes, size_t n,
		  struct ek_err *err);
/* Remove directory @name of @dir with the files in it, @first before others. */
ek_status ekd_remove(struct ekd_store *s, int dir, const char *name,
		     const char *first, struct ek_err *err);
/* EK_INVALID when files in @dir cannot have holes. */
ek_status ekd_probe_holes(int dir, struct ek_err *err);
void ekd_step(struct ekd_store *s, enum ekd_step step);
int64_t ekd_store_now_ms(void);

/* list.c */
/*
 * The entry of @name, claimed (busy, no blob), or with *open and one more user
 * of it. NULL: none, and not to be made; or no memory, when it was.
 */
struct ekd_entry *ekd_entry_claim(struct ekd_store *s, const char *name,
				  bool make, struct ekd_blob **open);
/* An end to being busy. @gone: the entry is freed. */
void ekd_entry_release(struct ekd_store *s, struct ekd_entry *e, bool gone);
/* Claim the entry that was unused for longest; NULL: all are in use. */
struct ekd_entry *ekd_entry_oldest(struct ekd_store *s);
/* Remove the files of a claimed entry and release it. */
ek_status ekd_entry_remove(struct ekd_store *s, struct ekd_entry *e,
			   uint64_t *bytes, struct ek_err *err);
ek_status ekd_list_load(struct ekd_store *s, struct ek_err *err);
/* Hold all open blobs; each to be released, then free(*blobs). */
ek_status ekd_hold_all(struct ekd_store *s, struct ekd_blob ***blobs, size_t *n,
		       struct ek_err *err);

/* blob.c */
void ekd_blob_unhold(struct ekd_blob *b);

/* load.c: the files of a blob. */
/* Note on the disk that it was lent. */
ek_status ekd_files_lent(struct ekd_blob *b, struct ek_err *err);
ek_status ekd_files_open(struct ekd_blob *b, const struct ek_leaves *leaves,
			 const uint8_t *root, const char *recipe,
			 struct ek_err *err);

/* map-write.c; map_lock is held. */
ek_status ekd_map_write(struct ekd_blob *b, struct ek_err *err);
ek_status ekd_map_stamp(struct ekd_blob *b, struct ek_err *err);

/* leaf.c */
/* Wait until leaf @i is not busy and compare it if it is suspect; its word. */
uint32_t ekd_leaf_settle(struct ekd_blob *b, uint32_t i);
/* Forget that a map had leaf @i; whether one had. */
bool ekd_leaf_unclaim(struct ekd_blob *b, uint32_t i);
/* Free the room of @n leaves, if that works. */
void ekd_leaf_punch(struct ekd_blob *b, uint32_t first, uint32_t n);
/* End being busy with state @word. */
void ekd_leaf_release(struct ekd_blob *b, uint32_t i, uint32_t word);
/* The blob's map is behind by @bytes. */
void ekd_blob_dirty(struct ekd_blob *b, uint64_t bytes);
void ekd_account(struct ekd_store *s, uint64_t more, uint64_t less);

/* evict.c */
bool ekd_is_full(ek_status status, const struct ek_err *err);
/* Free about @bytes. EK_IO with ENOSPC when nothing can go. */
ek_status ekd_make_room(struct ekd_store *s, uint64_t bytes,
			struct ek_err *err);
/* Count @bytes as in use, with room made by the quota. */
ek_status ekd_reserve(struct ekd_store *s, uint64_t bytes, struct ek_err *err);
/*
 * Let @n leaves go, of a blob that need not stay or with @forced. Those that
 * are busy or gone are passed over. *freed bytes.
 */
ek_status ekd_drop(struct ekd_blob *b, const uint32_t *leaves, size_t n,
		   bool forced, uint64_t *freed, struct ek_err *err);

/*
 * Let all go that the map on disk has not, compared or not; out of the data
 * file too, for what the cache shows of it may not be what the disk has.
 * map_lock is held.
 */
void ekd_forget_unsynced(struct ekd_blob *b);

/* checkpoint.c */
ek_status ekd_blob_checkpoint(struct ekd_blob *b, struct ek_err *err);
ek_status ekd_keeper_start(struct ekd_store *s, struct ek_err *err);
void ekd_keeper_stop(struct ekd_store *s);

#endif
