/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BUILD_INTERNAL_H
#define EK_BUILD_INTERNAL_H

/*
 * One build, from a sealed tree to an image.
 *
 *   prepare   options, times, owners, sizes of inode heads, shared attributes
 *   data      jobs read and encode files on workers, which also append what
 *             came of them, in order and one at a time; the committer takes
 *             them in order and places inodes in the zone
 *   finish    directories, symlinks and special files are written into the
 *             zone, then the zone, then the head with the superblock
 *
 * The order of everything is that of tree->inodes. After prepare only the
 * committer (the calling thread) changes struct ek_build, and the appending
 * stage what is its own; jobs read what prepare has set.
 */

#include "build/build.h"
#include "build/chunkset.h"
#include "build/compress.h"
#include "build/options.h"
#include "build/pend.h"
#include "build/zone.h"

#include "base/buf.h"
#include "base/vec.h"
#include "codec/codec.h"
#include "format/cfgs.h"
#include "format/inode.h"
#include "format/sb.h"
#include "io/sink.h"
#include "os/pool.h"
#include "source/source.h"
#include "tree/tree.h"

#include <sys/stat.h>

/*
 * Large files are cut at multiples of a segment, whatever the number of
 * workers. Each segment ends a pcluster early, so that those to be encoded are
 * larger; they go through a window and take no more memory to read.
 */
#define EK_SEGMENT	 (4u << 20)
#define EK_CODED_SEGMENT (16u << 20)
/* What is only copied needs no large ones: they would be memory alone. */
#define EK_PLAIN_SEGMENT (1u << 20)
/* Small files share a job up to so many bytes and files. */
#define EK_BATCH_BYTES (1u << 20)
#define EK_BATCH_FILES 512u
/* A file is less than a block more than its blocks and tail (schedule.c). */
#define EK_TAILS_BYTES EK_BATCH_BYTES
/*
 * Without compression, zeros are left out of files beyond EK_SEGMENT in
 * whole chunks of this size. Not smaller: such files need Linux 5.15, which
 * has to be worth it.
 */
#define EK_HOLE_CHUNK	   (1u << 20)
#define EK_HOLE_CHUNK_BITS 20u
/* Chunks of one file: 64 TiB of address space, 256 MiB of array. */
#define EK_HOLE_CHUNKS_MAX (1u << 26)
/* Addresses are 32 bits, and all ones mean that there is none. */
#define EK_BLOCKS_MAX ((uint64_t)UINT32_MAX - 1)
/* Longest run of extents of one file: as many as blocks that can be told. */
#define EK_PIECES_MAX UINT32_MAX

/* Index bytes of one file: enough for 2 TiB of 4 KiB blocks. */
#define EK_RECORD_MAX                                                          \
	(SIZE_MAX / 4 < (1u << 30) ? SIZE_MAX / 4 : (size_t)1 << 30)

struct ek_hash;
struct ek_sha;
struct ek_zpiece;
struct ek_build;

/* inode->plan */
struct ek_plan {
	uint16_t max_blocks; /* of a pcluster; 0: not to be compressed */
	uint8_t codec;	     /* of b->codecs */
	uint32_t slot;	     /* NID: place in the zone in units of 32 bytes */
	uint32_t xsize;	     /* bytes of the attribute region */
	uint64_t size;	     /* directories: i_size */
	uint32_t blk; /* directories, symlinks: first whole block in zone;
			 sparse files: where their data begin */
	bool extended;
	bool tail;    /* the end of the data is inline */
	bool indexed; /* the data is on a device and stays there */
	bool sparse;  /* holes, perhaps with data between them (sparse.c) */
};

/* An attribute that is shared, and where. */
struct ek_shared {
	const struct ek_tree_xattr *xattr;
	uint32_t id; /* relative to the start of the shared area until placed */
};

struct ek_shares {
	struct ek_shared *at; /* by address of the attribute */
	size_t n;
	uint8_t *area; /* the entries, encoded */
	uint64_t area_size;
	uint64_t area_pos; /* in the zone */
	/* Long prefixes of names, which the options own. */
	const char *const *longs;
	uint32_t n_longs;
};

/* One file of a job. */
struct ek_job_file {
	struct ek_tree_inode *inode;
	bool coded;
	size_t at;	 /* in the job's out */
	uint32_t blocks; /* there */
	uint64_t blk;	 /* where they went */
	uint32_t pieces; /* of the job's */
	uint32_t n_pieces;
	uint32_t tail_len; /* inline */
	size_t sums;	   /* of the job's */
	size_t n_sums;	   /* 0: not in chunks */
	const uint8_t *tail;
	uint8_t sha256[32];
};

struct ek_build_job {
	struct ek_job job; /* first */
	struct ek_build *b;
	struct ek_build_job *below; /* on its stack */
	bool large;		    /* for segments; else for batches */
	size_t out_cap, cap_pieces; /* room in out and pieces */
	/* A batch: the files of tree->inodes[first .. end). */
	uint32_t first, end;
	/* A segment of the file tree->inodes[first]: len > 0. */
	uint64_t offset;
	uint32_t len;
	bool last;
	uint32_t zeros; /* segment: bit i: chunk i holds nothing but zeros */
	uint32_t holes; /* the same: it is left out */
	uint64_t bytes_in, codec_in;

	/* Results. */
	struct ek_job_file *files;
	uint32_t n_files;
	uint8_t *out, *tails;
	uint8_t *all; /* of a segment, as it was read; only with digests */
	size_t out_used, tails_used;
	ek_piece *pieces;
	size_t n_pieces;
	struct ek_chunk_sum *sums;
	uint32_t *blks; /* of each sum; ~0: zeros that are left out */
	size_t n_sums;
	uint8_t hash[16]; /* of out, for the UUID */
};

/* The large file that is being committed. */
struct ek_large {
	uint64_t start; /* first block */
	uint64_t blocks;
	bool coded;
	uint64_t lead; /* stored whole blocks before the first coded extent */
	struct {
		ek_piece *at;
		size_t n, cap;
	} pieces;
	struct {
		uint32_t *at;
		size_t n, cap;
	} chunks;   /* block numbers, ~0: hole */
	bool holes; /* among the chunks */
	struct ek_sha *sha;
};

struct ek_build {
	struct ek_build_options opt;
	struct ek_tree_source *src;
	struct ek_tree *tree;
	struct ek_sink *sink;
	struct ek_build_stats *stats;

	/* Set by prepare. */
	uint32_t bs;
	uint8_t blkszbits;
	uint32_t max_blocks; /* of any pcluster */
	unsigned workers;
	struct ek_codec_choice codecs[EK_CODECS_MAX];
	unsigned n_codecs;
	struct ek_encoder **encs; /* of each worker one for each codec */
	void *hints;		  /* regex_t of each hint */
	uint32_t n_hints;
	struct ek_plan *plans;
	struct ek_shares shares;
	uint8_t *head;	 /* all head blocks, encoded */
	struct ek_sb sb; /* epoch and block size early, the rest at the end */
	uint64_t head_blocks;
	uint8_t (*digests)[32]; /* by inode->index, with a manifest */

	/* Data. */
	struct ek_pool *pool;
	struct ek_build_job *jobs;
	unsigned n_jobs;
	struct ek_near *nears; /* one a worker */
	uint32_t segment;      /* bytes */
	uint32_t batched;      /* largest file that is not cut into them */
	struct ek_build_job *idle[2]; /* stacks: for batches, for segments */
	uint8_t **windows;	      /* one a worker: what is being read */
	size_t window;		      /* bytes */
	uint32_t placed;	      /* inodes of the tree that have a place */
	uint64_t total_bytes, done_bytes;
	int64_t last_progress; /* nanoseconds */
	struct ek_large large;
	struct ek_hash *hash;

	/* Of the appending stage, until all jobs are done. */
	uint64_t next_blk; /* where the next block goes */
	uint64_t blob_blk; /* the same on the blob */
	struct ek_chunkset *chunkset;
	bool file_coded, file_holes; /* of the large file so far */

	/* Chunks. */
	struct ek_sha **shas;  /* one a worker */
	struct ek_sink *blob;  /* NULL: they go into the image */
	uint64_t index_chunks; /* that point to devices of the source */
	uint64_t zeros_left;   /* of holes that may still be read or written */
	uint64_t sparse_chunks;

	/* Metadata. */
	struct ek_zone zone;
	struct ek_pend *pend;
	struct ek_buf record; /* one inode, reused */
	struct ek_zpiece *zpieces;
	size_t cap_zpieces;
	uint64_t zone_blk; /* first block of the zone, when it is known */
	uint32_t uses;	   /* EK_USE_* */
	struct ek_cfgs cfgs;
};

/* Whether the data of @inode are to be compressed. */
static inline bool ek_plan_codes(const struct ek_tree_inode *inode)
{
	return ((const struct ek_plan *)inode->plan)->max_blocks > 0;
}

/* compat.c */
ek_status ek_compat_image(const struct ek_build *b, struct ek_err *err);
/* Whether the image may need this version. */
bool ek_compat_has(const struct ek_build *b, uint8_t major, uint8_t minor);

/* codecs.c */
/* Bytes of a unit (compress.h) of @inode; 0: it has pclusters. */
size_t ek_codecs_unit(const struct ek_build *b,
		      const struct ek_tree_inode *inode);
ek_status ek_codecs_load(struct ek_build *b, struct ek_err *err);
ek_status ek_codecs_open(struct ek_build *b, struct ek_err *err);
void ek_codecs_close(struct ek_build *b);
/* How to compress @inode. */
ek_status ek_codecs_plan(const struct ek_build *b,
			 const struct ek_tree_inode *inode,
			 struct ek_plan *plan, struct ek_err *err);
/* Some file uses @codec, with pclusters of @most blocks. */
void ek_codecs_announce(struct ek_build *b, unsigned int codec, uint32_t most);

/* Fail with the path of @inode before the words. */
ek_status ek_build_fail(const struct ek_tree_inode *inode, struct ek_err *err,
			ek_status status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static inline struct ek_plan *ek_plan_of(const struct ek_tree_inode *inode)
{
	return inode->plan;
}

/* Whether @inode is a file whose data has to be read. */
static inline bool ek_build_has_data(const struct ek_tree_inode *inode)
{
	return S_ISREG(inode->mode) && inode->size > 0 &&
	       !ek_plan_of(inode)->indexed && !ek_plan_of(inode)->sparse;
}

/* Bytes of core and attributes. */
static inline uint32_t ek_plan_head(const struct ek_plan *plan)
{
	return (plan->extended ? EK_INODE_EXTENDED : EK_INODE_COMPACT) +
	       plan->xsize;
}

/* epoch.c: sets the time of the superblock. */
ek_status ek_build_epoch(struct ek_build *b, struct ek_err *err);
bool ek_time_newer(int64_t a, uint32_t a_nsec, int64_t b, uint32_t b_nsec);

/* plan.c */
struct ek_build_attr {
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t uid, gid;
};
/* Times and owners as the image has them; owners were checked by prepare. */
void ek_build_attr(const struct ek_build *b, const struct ek_tree_inode *inode,
		   struct ek_build_attr *attr);
ek_status ek_build_plan(struct ek_build *b, struct ek_err *err);
/* Whether a tail of @len bytes may be inline behind the head of @inode. */
bool ek_build_tail_ok(const struct ek_build *b,
		      const struct ek_tree_inode *inode, uint64_t len);

/* xattr.c */
ek_status ek_shares_make(struct ek_build *b, struct ek_err *err);
void ek_shares_free(struct ek_shares *shares);
/*
 * Take the long prefixes over; *@size gets the bytes of their table, which is
 * written @to, unless that is NULL, of @room bytes.
 */
ek_status ek_xattr_longs(struct ek_build *b, uint8_t *to, size_t room,
			 uint64_t *size, struct ek_err *err);
ek_status ek_build_xattr_size(const struct ek_build *b,
			      const struct ek_tree_inode *inode, uint32_t *size,
			      struct ek_err *err);
ek_status ek_build_xattr_append(const struct ek_build *b,
				const struct ek_tree_inode *inode,
				struct ek_buf *buf, struct ek_err *err);

/* job.c: run by the pool. */
ek_status ek_build_job_run(struct ek_job *job, unsigned worker,
			   struct ek_err *err);

/* jobs.c */
ek_status ek_jobs_make(struct ek_build *b, struct ek_err *err);
void ek_jobs_free(struct ek_build *b);
/* A job for the file of @size bytes, or a batch that begins with it. */
bool ek_jobs_idle(struct ek_build *b, uint64_t size);
struct ek_build_job *ek_jobs_get(struct ek_build *b, uint64_t size);
void ek_jobs_put(struct ek_build *b, struct ek_build_job *job);

/* append.c: the second part of a job, in order. */
ek_status ek_build_job_append(struct ek_job *job, struct ek_err *err);
/* Append to the image; after all jobs, the calling thread may. */
ek_status ek_build_append(struct ek_build *b, const void *from, size_t n,
			  struct ek_err *err);

/* schedule.c: all data, in order. */
ek_status ek_build_data(struct ek_build *b, struct ek_err *err);

/* commit.c */
ek_status ek_commit_job(struct ek_build *b, struct ek_build_job *job,
			struct ek_err *err);
/* Place what has no job of its own, up to tree->inodes[end). */
ek_status ek_commit_until(struct ek_build *b, uint32_t end, struct ek_err *err);

/* inode.c: the record of @inode with all of its parts. */
void ek_build_inode_fill(const struct ek_build *b,
			 const struct ek_tree_inode *inode,
			 struct ek_inode *in);
/* Put core and attributes in b->record, which is emptied first. */
ek_status ek_build_inode_head(struct ek_build *b,
			      const struct ek_tree_inode *inode,
			      const struct ek_inode *in, struct ek_err *err);
/* Hand b->record on to get a place, with the next group. */
ek_status ek_build_inode_place(struct ek_build *b, struct ek_tree_inode *inode,
			       bool cross, struct ek_err *err);
/* Place a file with these data; the layout follows from them. */
ek_status ek_build_flat(struct ek_build *b, struct ek_tree_inode *inode,
			uint64_t start, const uint8_t *tail, uint32_t tail_len,
			struct ek_err *err);

/* chunks.c */
/* Sums that a job may need. */
size_t ek_chunks_room(const struct ek_build *b);
/*
 * On a worker: sum up the chunks of the @size bytes of @f at @at, if they are
 * to be in chunks. All but a file's end is a multiple of the largest chunk.
 */
ek_status ek_chunks_sum(struct ek_build_job *job, struct ek_job_file *f,
			const uint8_t *at, size_t size, unsigned worker,
			struct ek_err *err);
/* Append of the chunks of @f what is new; job->blks says where each is. */
ek_status ek_chunks_take(struct ek_build *b, struct ek_build_job *job,
			 const struct ek_job_file *f, struct ek_err *err);
/* Place @inode with its @n chunks, which are at @blks. */
ek_status ek_chunks_place(struct ek_build *b, struct ek_tree_inode *inode,
			  const uint32_t *blks, size_t n, struct ek_err *err);
/*
 * Place @inode with @n chunks of 1 << @bits bytes at these blocks (UINT32_MAX:
 * a hole); fewer, larger ones when they say the same.
 */
ek_status ek_build_chunked(struct ek_build *b, struct ek_tree_inode *inode,
			   const uint32_t *blocks, size_t n, unsigned bits,
			   struct ek_err *err);
/* Where the next chunk goes, and putting whole blocks there. */
uint64_t ek_chunks_next(const struct ek_build *b);
ek_status ek_chunks_append(struct ek_build *b, const uint8_t *from, size_t n,
			   struct ek_err *err);
/*
 * Begin the record of @inode with an array for chunks of 1 << @bits bytes,
 * which is at map->pos in b->record.
 */
struct ek_chunk_map;
ek_status ek_chunks_record(struct ek_build *b, struct ek_tree_inode *inode,
			   unsigned bits, struct ek_chunk_map *map,
			   struct ek_err *err);

/* sparse.c: files that are mostly holes, as their source knows. */
void ek_sparse_init(struct ek_build *b);
/*
 * Whether @inode is one: its data is not read by jobs. EK_LIMIT when holes cost
 * more than a build pays for all of them.
 */
ek_status ek_sparse_plan(struct ek_build *b, struct ek_tree_inode *inode,
			 bool *sparse, struct ek_err *err);
/* Copy the data that there is of all of them, before jobs append theirs. */
ek_status ek_sparse_copy(struct ek_build *b, struct ek_err *err);
/* Place @inode with what was copied. */
ek_status ek_sparse_place(struct ek_build *b, struct ek_tree_inode *inode,
			  struct ek_err *err);

/* index.c */
/* Take the devices of the source, or the blob, into the superblock. */
ek_status ek_index_devices(struct ek_build *b, struct ek_err *err);
/* Whether the data of @inode can stay where it is. */
ek_status ek_index_plan(struct ek_build *b, struct ek_tree_inode *inode,
			bool *indexed, struct ek_err *err);
/* Place @inode with chunks that point to the devices. */
ek_status ek_index_place(struct ek_build *b, struct ek_tree_inode *inode,
			 struct ek_err *err);
/* Write the device table into b->head. */
ek_status ek_index_table(struct ek_build *b, struct ek_err *err);

/*
 * zindex.c: @lead stored whole blocks, then @pieces. With @tail_len > 0 the
 * bytes of the last piece are @tail and go next to the inode.
 */
struct ek_coded {
	uint64_t start, blocks; /* of the data */
	/*
	 * Bytes after the start, with units (compress.h); a whole segment of a
	 * file begins a block.
	 */
	uint32_t shift;
	uint64_t lead;
	const ek_piece *pieces;
	size_t n;
	const uint8_t *tail;
	uint32_t tail_len;
};
ek_status ek_build_coded(struct ek_build *b, struct ek_tree_inode *inode,
			 const struct ek_coded *c, struct ek_err *err);

/* dirdata.c */
uint64_t ek_dir_size(const struct ek_build *b, const struct ek_tree_node *node);
/* Hand out the blocks of a directory in order; the last may be short. */
typedef ek_status (*ek_dir_block_fn)(void *arg, const uint8_t *block, size_t n,
				     struct ek_err *err);
ek_status ek_dir_blocks(const struct ek_build *b,
			const struct ek_tree_node *node, ek_dir_block_fn fn,
			void *arg, struct ek_err *err);

/* special.c: inodes that are not files. */
ek_status ek_special_place(struct ek_build *b, struct ek_tree_inode *inode,
			   struct ek_err *err);
ek_status ek_special_write(struct ek_build *b, struct ek_tree_inode *inode,
			   struct ek_err *err);

/* super.c: zone and head. */
ek_status ek_build_finish(struct ek_build *b, struct ek_err *err);

/* hash.c */
ek_status ek_hash_new(struct ek_hash **hash, struct ek_err *err);
void ek_hash_free(struct ek_hash *hash);
void ek_hash_add(struct ek_hash *hash, const void *from, size_t n);
/* 16 bytes, independent of the host's byte order. */
void ek_hash_get(const struct ek_hash *hash, uint8_t to[16]);
void ek_hash_once(const void *from, size_t n, uint8_t to[16]);
ek_status ek_sha_new(struct ek_sha **sha, struct ek_err *err);
void ek_sha_free(struct ek_sha *sha);
ek_status ek_sha_add(struct ek_sha *sha, const void *from, size_t n,
		     struct ek_err *err);
/* The digest so far; @sha is then at the start again. */
ek_status ek_sha_get(struct ek_sha *sha, uint8_t to[32], struct ek_err *err);
ek_status ek_sha_once(const void *from, size_t n, uint8_t to[32],
		      struct ek_err *err);

/* manifest.c */
ek_status ek_build_manifest(struct ek_build *b, struct ek_err *err);

int64_t ek_build_now(void);

/* For errors. */
static inline const char *ek_build_blob_name(const struct ek_build *b)
{
	return b->opt.blob_name ? b->opt.blob_name : "the blob";
}

#endif
