/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_IO_SINK_H
#define EK_IO_SINK_H

/*
 * Where an image is written: append in large pieces, and overwrite places
 * that were written before (the superblock comes last). One thread at a time.
 */

#include <erofskit/status.h>
#include "base/bytes.h"

struct ek_sink;

struct ek_sink_ops {
	/* Write exactly @n bytes at @offset; gaps read as zeros. */
	ek_status (*write)(struct ek_sink *sink, uint64_t offset,
			   const void *from, size_t n, struct ek_err *err);
	/* Read back @n bytes that were written (digest, verification). */
	ek_status (*read)(struct ek_sink *sink, uint64_t offset, void *to,
			  size_t n, struct ek_err *err);
	/* Set the final size in bytes; flushes. */
	ek_status (*resize)(struct ek_sink *sink, uint64_t size,
			    struct ek_err *err);
	/* Hand on what is gathered; NULL: nothing ever is. */
	ek_status (*flush)(struct ek_sink *sink, struct ek_err *err);
	void (*free)(struct ek_sink *sink);
};

struct ek_sink {
	const struct ek_sink_ops *ops;
};

ek_status ek_sink_write(struct ek_sink *sink, uint64_t offset, const void *from,
			size_t n, struct ek_err *err);
ek_status ek_sink_read(struct ek_sink *sink, uint64_t offset, void *to,
		       size_t n, struct ek_err *err);
ek_status ek_sink_resize(struct ek_sink *sink, uint64_t size,
			 struct ek_err *err);
/* Everything written so far reaches the file (not yet the disk). */
ek_status ek_sink_flush(struct ek_sink *sink, struct ek_err *err);
/* NULL allowed. Gathered writes are lost: resize or flush before. */
void ek_sink_free(struct ek_sink *sink);

/*
 * A sink on the open descriptor @fd (borrowed; readable and writable, regular
 * file or block device), beginning at byte @offset of it. @name for errors.
 * Small writes are gathered: neighbouring ones reach the file together.
 *
 * What the file holds from @offset on is discarded: a regular file is cut, on
 * a device gaps are overwritten with zeros. A device smaller than a write or
 * size is EK_IO with ENOSPC. EK_INVALID for other types of file.
 */
ek_status ek_sink_from_fd(int fd, const char *name, uint64_t offset,
			  struct ek_sink **sink, struct ek_err *err);

/* A sink in memory with at most @limit bytes. */
ek_status ek_sink_in_memory(size_t limit, struct ek_sink **sink,
			    struct ek_err *err);

/* The bytes of a memory sink, valid until its next write. */
const uint8_t *ek_sink_memory(const struct ek_sink *sink, size_t *n);

#endif
