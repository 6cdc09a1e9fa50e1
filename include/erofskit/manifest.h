/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_MANIFEST_H
#define EROFSKIT_MANIFEST_H

/**
 * @file manifest.h
 * The canonical manifest of a tree: one text that says of each path what it
 * is, down to a SHA-256 of its contents. Equal trees give equal bytes. The
 * form is described in docs/manifest.md.
 *
 * Everything that makes entries (a build, an image, a manifest file) gives
 * them to a sink; everything that uses them (a writer, a comparison) is one.
 * One thread at a time uses one object.
 */

#include <erofskit/image.h>
#include <erofskit/source.h>
#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of one line with its newline; longer is EK_LIMIT. */
#define EK_MANIFEST_LINE_MAX (16u << 20)
/** Attributes of one entry; more is EK_LIMIT. */
#define EK_MANIFEST_XATTRS_MAX 65536u

/** One attribute with its full name, e.g. "user.x", without NUL bytes. */
struct ek_manifest_xattr {
	const char *name;
	size_t name_len;
	const uint8_t *value;
	size_t value_len;
};

/**
 * One path. All views are borrowed: they hold during the call that is given
 * the entry.
 */
struct ek_manifest_entry {
	/** From the root: "/", "/a", "/a/b"; NUL-terminated. */
	const char *path;
	/**
	 * Non-NULL: a further name of the inode whose entry is at this path,
	 * which comes earlier; nothing below counts then.
	 */
	const char *link;
	uint32_t mode; /**< st_mode: type and permission bits */
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_nsec; /**< 0 to 999,999,999 */
	/** Regular files. */
	uint64_t size;
	uint8_t sha256[32];
	/** Symlinks: NUL-terminated. */
	const char *target;
	/** Character and block devices. */
	uint32_t rdev_major, rdev_minor;
	/** Sorted by the bytes of their names, none twice. */
	const struct ek_manifest_xattr *xattrs;
	size_t n_xattrs;
};

/**
 * Takes entries in the order of ek_manifest_order(). A user's own sink embeds
 * this as its first member.
 */
struct ek_manifest_sink {
	ek_status (*add)(struct ek_manifest_sink *sink,
			 const struct ek_manifest_entry *entry,
			 struct ek_err *err);
};

/**
 * The order of paths: by unsigned bytes, but '/' before every other byte, so
 * that a directory is followed by all that is in it. <0, 0, >0 as strcmp().
 */
int ek_manifest_order(const char *a, const char *b);

/** Takes the next @p n bytes of the text; a failure is passed on. */
typedef ek_status (*ek_manifest_write_fn)(void *arg, const void *bytes,
					  size_t n, struct ek_err *err);

/**
 * A sink that writes the text by @p write in large pieces. Its add fails with
 * EK_INVALID when entries are out of order or break the rules above.
 */
ek_status ek_manifest_writer_new(ek_manifest_write_fn write, void *arg,
				 struct ek_manifest_sink **sink,
				 struct ek_err *err);
/** Write what is left; the text is complete then. */
ek_status ek_manifest_writer_finish(struct ek_manifest_sink *writer,
				    struct ek_err *err);
/** NULL allowed; without finish the text is cut. */
void ek_manifest_writer_free(struct ek_manifest_sink *writer);

/** A manifest's text, read entry by entry. */
struct ek_manifest;

/**
 * Read the manifest in @p src (borrowed, must outlive it). EK_CORRUPT when
 * the header line is not ours, EK_UNSUPPORTED for another version. Errors
 * begin with the source's name and name the line.
 */
ek_status ek_manifest_open(struct ek_source *src, struct ek_manifest **m,
			   struct ek_err *err);
/** NULL allowed. */
void ek_manifest_free(struct ek_manifest *m);

/**
 * The next entry; its views hold until the next call. *more is false at the
 * end. EK_CORRUPT when the line is not in canonical form or order.
 */
ek_status ek_manifest_next(struct ek_manifest *m,
			   struct ek_manifest_entry *entry, bool *more,
			   struct ek_err *err);

/** Give all entries that are left to @p sink. */
ek_status ek_manifest_copy(struct ek_manifest *m, struct ek_manifest_sink *sink,
			   struct ek_err *err);

/** Set size to sizeof(struct ek_manifest_image_options), zero the rest. */
struct ek_manifest_image_options {
	size_t size;
	uint32_t workers; /**< 0: the CPUs that the process may use */
	/** Non-zero from another thread or a signal handler stops it. */
	const volatile int *cancel;
	/** Most bytes of file data to decode; 0: no limit. Else EK_LIMIT. */
	uint64_t max_bytes;
};

/**
 * Give the entries of the whole tree of @p image to @p sink, reading all
 * data. Several names of one inode are links of the first, in path order.
 * @p options may be NULL. EK_CORRUPT when the image breaks a rule on the way
 * (a directory reached twice, a name twice, data that does not decode), with
 * the path in the text.
 */
ek_status ek_manifest_of_image(struct ek_image *image,
			       const struct ek_manifest_image_options *options,
			       struct ek_manifest_sink *sink,
			       struct ek_err *err);

/** Kinds of differences. */
enum ek_manifest_diff {
	EK_DIFF_MISSING,    /**< expected, but not there */
	EK_DIFF_UNEXPECTED, /**< there, but not expected */
	EK_DIFF_CHANGED,    /**< both, but not equal */
};

/**
 * Told each difference, in path order. @p words is one line such as "size is
 * 5, expected 7", escaped as in the text; @p path is raw. Return another status
 * than EK_OK to stop with it. Views hold during the call.
 */
typedef ek_status (*ek_manifest_diff_fn)(void *arg, const char *path,
					 enum ek_manifest_diff diff,
					 const char *words, struct ek_err *err);

/**
 * A sink that compares what it is given with @p expected (borrowed, at its
 * beginning) and calls @p fn for each difference.
 */
ek_status ek_manifest_comparison_new(struct ek_manifest *expected,
				     ek_manifest_diff_fn fn, void *arg,
				     struct ek_manifest_sink **sink,
				     struct ek_err *err);
/**
 * After the last entry: tells what is missing at the end. *differences is the
 * number of calls of @p fn in all: 0 says that the trees are equal.
 */
ek_status ek_manifest_comparison_finish(struct ek_manifest_sink *comparison,
					uint64_t *differences,
					struct ek_err *err);
/** NULL allowed. */
void ek_manifest_comparison_free(struct ek_manifest_sink *comparison);

#ifdef __cplusplus
}
#endif

#endif
