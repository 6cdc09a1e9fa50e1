/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_TAR_H
#define EROFSKIT_TAR_H

/**
 * @file tar.h
 * Read tar archives member by member, with the exact place of each header and
 * of each byte of data. Understood: V7, ustar, GNU (long names and links, old
 * sparse members), PAX (global and local records, sparse 0.0, 0.1 and 1.0,
 * extended attributes in both spellings, ACLs), base-256 numbers, concatenated
 * archives, archives without end blocks.
 *
 * Every limit below is there because an archive comes from a stranger.
 * One thread at a time uses one ek_tar.
 */

#include <erofskit/source.h>
#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of extended headers that one member may have. */
#define EK_TAR_HEADERS_MAX (16u << 20)
/** Bytes of a path or link target. */
#define EK_TAR_PATH_MAX (64u << 10)
/** Segments of one sparse member. */
#define EK_TAR_SEGMENTS_MAX (1u << 20)
/** Attributes of one member. */
#define EK_TAR_XATTRS_MAX 4096u

/**
 * Sequential bytes that an archive is read from. A user's own input embeds
 * this as its first member.
 */
struct ek_tar_input {
	/** Read up to @p n > 0 bytes; *got 0 is the end. */
	ek_status (*read)(struct ek_tar_input *in, void *to, size_t n,
			  size_t *got, struct ek_err *err);
	/**
	 * Pass over @p n bytes. EK_CORRUPT when the input is known to be
	 * shorter. NULL: the reader reads and drops.
	 */
	ek_status (*skip)(struct ek_tar_input *in, uint64_t n,
			  struct ek_err *err);
	void (*free)(struct ek_tar_input *in);
};

/** An input over @p src (borrowed), which skips without reading. */
ek_status ek_tar_input_from_source(struct ek_source *src,
				   struct ek_tar_input **in,
				   struct ek_err *err);
/** An input over descriptor @p fd (borrowed): a pipe, FIFO, socket, file. */
ek_status ek_tar_input_from_fd(int fd, const char *name,
			       struct ek_tar_input **in, struct ek_err *err);
void ek_tar_input_free(struct ek_tar_input *in);

enum ek_tar_type {
	EK_TAR_FILE,
	EK_TAR_HARDLINK,
	EK_TAR_SYMLINK,
	EK_TAR_CHAR_DEVICE,
	EK_TAR_BLOCK_DEVICE,
	EK_TAR_DIRECTORY,
	EK_TAR_FIFO,
	/** GNU volume label: path is the label. */
	EK_TAR_LABEL,
	/** Any other letter: skipped by most users; see typeflag. */
	EK_TAR_OTHER,
};

/** Stored bytes of a sparse member: @p length bytes for file offset @p at. */
struct ek_tar_segment {
	uint64_t at;	 /**< offset in the file */
	uint64_t length; /**< bytes, may be 0 */
	uint64_t stored; /**< offset in the archive */
};

struct ek_tar_xattr {
	const char *name; /**< full name, NUL-terminated */
	const uint8_t *value;
	size_t value_len;
};

/** One member. All views live until the next call on the ek_tar. */
struct ek_tar_entry {
	enum ek_tar_type type;
	char typeflag;
	/** As recorded: not cleaned of "./", "..", slashes. No NUL inside. */
	const char *path;
	const char *link; /**< target of links, "" otherwise */
	uint32_t mode;	  /**< permission bits, 07777 at most */
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t rdev_major, rdev_minor;
	/** Size of the file (sparse: with its holes); 0 unless EK_TAR_FILE. */
	uint64_t size;
	uint64_t header_offset; /**< of the first header block of the member */
	uint64_t data_offset;	/**< of the stored bytes (after a sparse map) */
	uint64_t stored_size;	/**< bytes stored, without padding */
	bool sparse;
	const struct ek_tar_segment *segments; /**< when sparse */
	size_t n_segments;
	const struct ek_tar_xattr *xattrs;
	size_t n_xattrs;
	/** Records that were understood but could not be kept (ACL names). */
	unsigned dropped;
};

struct ek_tar_options {
	size_t size; /**< sizeof(struct ek_tar_options) */
	/** Members have headers only; the data of files is left out. */
	bool headers_only;
};

struct ek_tar;

/**
 * Begin an archive on @p in (borrowed). @p name stands in errors. @p options
 * may be NULL. Reads nothing yet.
 */
ek_status ek_tar_open(struct ek_tar_input *in, const char *name,
		      const struct ek_tar_options *options, struct ek_tar **tar,
		      struct ek_err *err);
void ek_tar_free(struct ek_tar *tar);

/**
 * The next member, or *entry = NULL after the last. Unread data of the one
 * before is passed over. EK_CORRUPT: cut, broken checksum, bad number, empty
 * file; EK_LIMIT: a limit above. After a failure the archive is at its end.
 */
ek_status ek_tar_next(struct ek_tar *tar, const struct ek_tar_entry **entry,
		      struct ek_err *err);

/**
 * Read up to @p n stored bytes of the current member; *got is less than n only
 * at their end (0: all read). EK_CORRUPT when the archive ends before.
 */
ek_status ek_tar_read(struct ek_tar *tar, void *to, size_t n, size_t *got,
		      struct ek_err *err);

/** Bytes of the archive consumed so far. */
uint64_t ek_tar_offset(const struct ek_tar *tar);

/** Non-zero bytes stood after the end blocks and were not read as members. */
bool ek_tar_trailing(const struct ek_tar *tar);

#ifdef __cplusplus
}
#endif

#endif
