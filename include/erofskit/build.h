/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_BUILD_H
#define EROFSKIT_BUILD_H

/**
 * @file build.h
 * Make an EROFS image. Same tree, options and codec versions give the same
 * bytes, whatever the number of workers.
 */

#include <erofskit/manifest.h>
#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ek_uuid_mode {
	EK_UUID_CONTENT = 0, /**< version 8, from a digest over the image */
	EK_UUID_GIVEN,
	EK_UUID_CLEAR,	/**< all zero */
	EK_UUID_RANDOM, /**< version 4 */
};

enum ek_time_mode {
	/**
	 * Each inode's own. The build time is the newest, or another of them
	 * when that saves a block: inodes with it are smaller.
	 */
	EK_TIME_KEEP = 0,
	EK_TIME_ALL,	    /**< every inode and the superblock: fixed_time */
	EK_TIME_SUPERBLOCK, /**< superblock only: fixed_time */
	EK_TIME_CLAMP,	    /**< newer times become fixed_time; superblock */
};

enum ek_inode_form {
	EK_FORM_AUTO = 0,
	EK_FORM_COMPACT,
	EK_FORM_EXTENDED,
};

/** How chunk-based files say where their chunks are. */
enum ek_chunk_form {
	EK_CHUNK_AUTO = 0, /**< the smaller one that will do */
	EK_CHUNK_BLOCKMAP, /**< 4 bytes a chunk; in the image itself only */
	EK_CHUNK_INDEXES,  /**< 8 bytes a chunk */
};

/** An algorithm with its parameters. */
struct ek_build_codec {
	const char *name; /**< "lz4", "lz4hc", "lzma", "deflate", ... */
	/** EK_LEVEL_DEFAULT: the codec's; so are the three of lzma. */
	int32_t level, lc, lp, pb;
	uint32_t dict_size; /**< bytes; 0: what suits the pclusters */
};

/** How to compress the files whose path matches. */
struct ek_build_hint {
	const char *regex;     /**< extended; anywhere in the path */
	uint32_t max_pcluster; /**< bytes; 0: not at all */
	uint32_t codec;	       /**< of ek_build_options.codecs */
};

/** Set size to sizeof(struct ek_build_options), zero the rest: defaults. */
struct ek_build_options {
	size_t size;
	/** Bytes, power of two, 512 to 4096; 0: 4096. */
	uint32_t block_size;
	/** Name of an encoder (ek_build_codec()); NULL: no compression. */
	const char *codec;
	/** Level, or INT32_MIN (EK_LEVEL_DEFAULT) for the codec's default. */
	int32_t level;
	/**
	 * With n_codecs > 0 (8 at most): instead of codec and level; the
	 * first is for all files that no hint says another for.
	 */
	const struct ek_build_codec *codecs;
	uint32_t n_codecs;
	/** The first that matches a path from the root, "a/b", holds. */
	const struct ek_build_hint *hints;
	uint32_t n_hints;
	/** Longest extent in bytes, a multiple of block_size; 0: 4 MiB. */
	uint32_t max_extent;
	/** 8 bytes of index a block instead of 2 or 4. */
	bool full_indexes;
	/** Ends of compressed files go next to inodes; Linux 5.17. */
	bool tailpacking;
	/**
	 * 48-bit inodes and, but for LZ4, data cut every max_pcluster bytes (a
	 * power of two beneath it), encoded in one pass and laid end to end;
	 * without tailpacking. Linux 6.15.
	 */
	bool wide;
	/** No "." in directories, and 48-bit inodes; Linux 6.15. */
	bool dot_omitted;
	/**
	 * Data of files stored as they are begin at a multiple of so many
	 * blocks, unless they are shorter; 0: anywhere.
	 */
	uint32_t data_align;
	/**
	 * Linux that must mount and read the image: what is newer is
	 * EK_UNSUPPORTED. Major 0: any will do. See ek_kernel_version().
	 */
	uint8_t kernel_major, kernel_minor;
	/** Largest pcluster in bytes, multiple of block_size; 0: one block. */
	uint32_t max_pcluster;
	enum ek_uuid_mode uuid_mode;
	uint8_t uuid[16];
	/** At most 15 bytes; NULL: none. */
	const char *label;
	enum ek_time_mode time_mode;
	int64_t fixed_time;
	enum ek_inode_form inode_form;
	bool no_inline_data; /**< regular files only */
	bool no_checksum;
	bool ignore_mtime; /**< every mtime becomes the build time */
	/** Owners: force (when have_*), then add the offset. */
	bool force_uid, force_gid;
	uint32_t uid, gid;
	int64_t uid_offset, gid_offset;
	/**
	 * An attribute used by more inodes than this becomes shared; 0 shares
	 * all, negative drops all attributes. EK_XATTR_SHARE_DEFAULT: 2.
	 */
	int32_t xattr_share;
	/**
	 * Beginnings of names ("user.long.") that are stored once for all, 128
	 * at most; each begins with user., trusted. or security.; Linux 6.4.
	 */
	const char *const *xattr_prefixes;
	uint32_t n_xattr_prefixes;
	/** Inodes say which names they have not; Linux 6.6 looks there. */
	bool xattr_filter;
	/**
	 * An index: the data of files stays on the devices of a layer
	 * (layer.h), and the image points there. Blocks are then 512 bytes
	 * unless block_size says otherwise. What no block address reaches
	 * is copied.
	 */
	bool index;
	/**
	 * Non-zero: files larger than a block are cut in chunks of so many
	 * bytes; equal ones are stored once, those of zeros not at all. A
	 * power of two, not less than a block; more than 4 MiB works as 4 MiB.
	 * Neither with codec nor with index.
	 */
	uint64_t chunk_size;
	/** Chunks are not compared; those of zeros are left out still. */
	bool keep_equal_chunks;
	enum ek_chunk_form chunk_form;
	/**
	 * With chunk_size: chunks go to the file (or block device) blob_fd,
	 * from its start, which becomes device 1 of the image. Open for
	 * reading and writing, borrowed; its old contents are discarded.
	 * blob_name stands in errors.
	 */
	bool blob;
	int blob_fd;
	const char *blob_name;
	/** Files have their size but no data: they are holes. Not with index.
	 */
	bool no_data;
	/** Worker threads; 0: the CPUs that the process may use. */
	uint32_t workers;
	/** Non-zero from another thread or a signal handler stops it. */
	const volatile int *cancel;
	/** Called now and then from the building thread; may be NULL. */
	void (*progress)(void *arg, const char *path, uint64_t done_bytes,
			 uint64_t total_bytes);
	void *progress_arg;
	/**
	 * Non-NULL: gets every name of the tree when the image is written, with
	 * the SHA-256 of regular files as they were read. Costs one SHA-256
	 * over all data.
	 */
	struct ek_manifest_sink *manifest;
};

#define EK_LEVEL_DEFAULT       INT32_MIN
#define EK_XATTR_SHARE_DEFAULT 2

/** What a build did. */
struct ek_build_stats {
	uint64_t files; /**< inodes of each type */
	uint64_t directories, symlinks, others;
	uint64_t inodes;      /**< all of them */
	uint64_t bytes_in;    /**< sum of sizes of regular files */
	uint64_t bytes_out;   /**< size of the image */
	uint64_t blocks;      /**< image size in blocks */
	uint64_t meta_blocks; /**< of them metadata */
	uint64_t deduplicated_bytes;
	uint64_t codec_bytes_in;
	/** Index: files, and their bytes, that had to be copied. */
	uint64_t copied_files, copied_bytes;
	/** Bytes that went to the blob. */
	uint64_t blob_bytes;
	uint16_t devices; /**< that the image needs besides itself */
	uint8_t uuid[16];
	int64_t build_time;
	uint32_t block_size;
	/** Oldest kernel that mounts it, e.g. "5.4"; static text. */
	const char *oldest_kernel;
	/** Nanoseconds: walk, data (read, encode, write), metadata. */
	uint64_t ns_walk, ns_data, ns_meta;
};

struct ek_tree_source;
struct ek_sink;

/** Build from directory @p path: options of the walk. */
struct ek_walk_options {
	size_t size;
	const char *const *exclude_paths;
	size_t n_exclude_paths;
	const char *const *exclude_regexes;
	size_t n_exclude_regexes;
	bool hard_dereference;
	/** Open files, at most 8, that are left out when they are met. */
	const int *skip_fds;
	size_t n_skip_fds;
};

/**
 * Build an image of directory @p dir into the open descriptor @p fd (readable
 * and writable; regular file or block device), named @p name in errors. A file
 * with @p fd's identity inside the tree is left out. On failure the contents of
 * @p fd are undefined: write to a temporary file (outfile.h).
 */
ek_status ek_build_directory(const char *dir,
			     const struct ek_walk_options *walk,
			     const struct ek_build_options *options, int fd,
			     const char *name, struct ek_build_stats *stats,
			     struct ek_err *err);

/** Check options alone; EK_INVALID names the wrong one. */
ek_status ek_build_check_options(const struct ek_build_options *options,
				 struct ek_err *err);

/**
 * The Linux that @p name stands for: "5.4" and later, "any" (5.4, the first
 * with EROFS), or a distribution, such as "debian-12". EK_INVALID.
 */
ek_status ek_kernel_version(const char *name, uint8_t *major, uint8_t *minor,
			    struct ek_err *err);

/**
 * Versions of the encoders of this build, e.g. "lz4 1.9.4"; @p i from 0 on,
 * NULL at the end. @p name gets the name that `codec` takes.
 */
const char *ek_build_codec(size_t i, const char **name);

#ifdef __cplusplus
}
#endif

#endif
