/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EROFSKIT_SOURCE_H
#define EROFSKIT_SOURCE_H

/**
 * @file source.h
 * Random read access to a run of bytes: a file, memory, a part of another.
 */

#include <erofskit/status.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ek_source;

/** What a source does. Calls may come from several threads at once. */
struct ek_source_ops {
	/**
	 * Read exactly @p n bytes at @p offset; offset + n <= size is already
	 * checked.
	 */
	ek_status (*read)(struct ek_source *src, uint64_t offset, void *to,
			  size_t n, struct ek_err *err);
	/** Release everything, @p src too. */
	void (*free)(struct ek_source *src);
};

/** Base of each source; a user's own source embeds it as first member. */
struct ek_source {
	const struct ek_source_ops *ops;
	/** Bytes that can be read, fixed for the life of the source. */
	uint64_t size;
	/** What errors call it, as long as the source lives; NULL: nothing. */
	const char *name;
};

/**
 * Read exactly @p n bytes at byte @p offset into @p to. EK_CORRUPT when the
 * range is not inside the source (a truncated image), EK_IO when reading
 * fails, EK_CHANGED when a file became shorter. Any thread.
 */
ek_status ek_source_read(struct ek_source *src, uint64_t offset, void *to,
			 size_t n, struct ek_err *err);

/** Release @p src; NULL allowed. */
void ek_source_free(struct ek_source *src);

/**
 * Open the regular file or block device @p path for reading, from byte
 * @p offset on. Errors name the path. EK_INVALID for other file types.
 */
ek_status ek_source_open_file(const char *path, uint64_t offset,
			      struct ek_source **src, struct ek_err *err);

/**
 * As ek_source_open_file() for an open descriptor, which is borrowed and must
 * outlive the source. @p name is used in errors and copied.
 */
ek_status ek_source_from_fd(int fd, const char *name, uint64_t offset,
			    struct ek_source **src, struct ek_err *err);

/** @p n bytes at @p bytes, borrowed: they must outlive the source. */
ek_status ek_source_from_memory(const void *bytes, size_t n,
				struct ek_source **src, struct ek_err *err);

/**
 * The range [offset, offset + n) of @p base, which is borrowed. EK_INVALID
 * when the range is not inside @p base.
 */
ek_status ek_source_slice(struct ek_source *base, uint64_t offset, uint64_t n,
			  struct ek_source **src, struct ek_err *err);

#ifdef __cplusplus
}
#endif

#endif
