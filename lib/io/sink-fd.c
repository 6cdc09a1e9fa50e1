/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sink.h"

#include "base/try.h"
#include "os/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Large enough that system calls cost nothing beside the copy. */
#define GATHER ((size_t)1 << 20)
/* Writes from this size on gain nothing from being copied first. */
#define DIRECT (GATHER / 4)

/*
 * Positions are those of the sink; @start is added for the file. The gathered
 * bytes are [at, at + n) and are not in the file yet; @end is the end of all
 * that was written, gathered bytes too.
 */
struct fd_sink {
	struct ek_sink base;
	int fd;
	bool is_block;
	uint64_t start;
	uint64_t end;
	uint64_t room; /* bytes of a device after start; else INT64_MAX */
	uint64_t at;
	size_t n;
	uint8_t *gathered;
	char name[];
};

static ek_status check_room(const struct fd_sink *s, uint64_t end,
			    struct ek_err *err)
{
	if (end > s->room)
		return ek_fail_sys(err, s->is_block ? ENOSPC : EFBIG,
				   "%s: cannot write up to byte %" PRIu64,
				   s->name, end);
	return EK_OK;
}

static ek_status fd_flush(struct ek_sink *sink, struct ek_err *err)
{
	struct fd_sink *s = (struct fd_sink *)sink;
	size_t n = s->n;

	s->n = 0;
	return ek_pwrite_all(s->fd, s->name, s->start + s->at, s->gathered, n,
			     err);
}

/* A gap in a file is a hole; what a device held there must go. */
static ek_status clear_gap(struct fd_sink *s, uint64_t to, struct ek_err *err)
{
	uint64_t at = s->end;

	if (!s->is_block || to <= at)
		return EK_OK;
	EK_TRY(fd_flush(&s->base, err));
	memset(s->gathered, 0, GATHER);
	while (at < to) {
		size_t n = (size_t)ek_min(to - at, GATHER);

		EK_TRY(ek_pwrite_all(s->fd, s->name, s->start + at, s->gathered,
				     n, err));
		at += n;
	}
	s->end = to;
	return EK_OK;
}

static ek_status fd_write(struct ek_sink *sink, uint64_t offset,
			  const void *from, size_t n, struct ek_err *err)
{
	struct fd_sink *s = (struct fd_sink *)sink;
	uint64_t end = offset + n;

	EK_TRY(check_room(s, end, err));
	EK_TRY(clear_gap(s, offset, err));
	/* Begins in or right after the gathered bytes, and fits: add it. */
	if (s->n && offset >= s->at && offset <= s->at + s->n &&
	    n <= GATHER - (size_t)(offset - s->at)) {
		size_t in = (size_t)(offset - s->at);

		memcpy(s->gathered + in, from, n);
		s->n = (size_t)ek_max(s->n, in + n);
		s->end = ek_max(s->end, end);
		return EK_OK;
	}
	EK_TRY(fd_flush(sink, err));
	if (n >= DIRECT) {
		EK_TRY(ek_pwrite_all(s->fd, s->name, s->start + offset, from, n,
				     err));
	} else {
		memcpy(s->gathered, from, n);
		s->at = offset;
		s->n = n;
	}
	s->end = ek_max(s->end, end);
	return EK_OK;
}

static ek_status fd_read(struct ek_sink *sink, uint64_t offset, void *to,
			 size_t n, struct ek_err *err)
{
	struct fd_sink *s = (struct fd_sink *)sink;

	if (offset + n > s->end)
		return ek_fail(err, EK_INVALID,
			       "%s: %zu bytes at %" PRIu64
			       " were never written",
			       s->name, n, offset);
	if (s->n && offset < s->at + s->n && s->at < offset + n)
		EK_TRY(fd_flush(sink, err));
	return ek_pread_all(s->fd, s->name, s->start + offset, to, n, err);
}

static ek_status fd_resize(struct ek_sink *sink, uint64_t size,
			   struct ek_err *err)
{
	struct fd_sink *s = (struct fd_sink *)sink;

	EK_TRY(check_room(s, size, err));
	EK_TRY(fd_flush(sink, err));
	EK_TRY(clear_gap(s, size, err));
	if (!s->is_block && ftruncate(s->fd, (off_t)(s->start + size)))
		return ek_fail_sys(err, errno,
				   "%s: cannot set its size to %" PRIu64,
				   s->name, s->start + size);
	s->end = size;
	return EK_OK;
}

static void fd_free(struct ek_sink *sink)
{
	struct fd_sink *s = (struct fd_sink *)sink;

	free(s->gathered);
	free(s);
}

static const struct ek_sink_ops fd_ops = {
	.write = fd_write,
	.read = fd_read,
	.resize = fd_resize,
	.flush = fd_flush,
	.free = fd_free,
};

/* Where the sink may write: all of a file, what is left of a device. */
static ek_status find_room(struct fd_sink *s, struct ek_err *err)
{
	uint64_t size;

	EK_TRY(ek_fd_size(s->fd, s->name, &size, &s->is_block, err));
	if (s->start > INT64_MAX)
		return ek_fail_sys(err, EFBIG, "%s", s->name);
	s->room = INT64_MAX - s->start;
	if (s->is_block)
		s->room = size > s->start ? size - s->start : 0;
	else if (size > s->start && ftruncate(s->fd, (off_t)s->start))
		return ek_fail_sys(err, errno, "%s: cannot cut it", s->name);
	return EK_OK;
}

ek_status ek_sink_from_fd(int fd, const char *name, uint64_t offset,
			  struct ek_sink **sink, struct ek_err *err)
{
	size_t n = strlen(name) + 1;
	struct fd_sink *s = calloc(1, sizeof(*s) + n);
	ek_status status;

	*sink = NULL;
	if (!s)
		return ek_fail(err, EK_NOMEM, "no memory for a sink");
	s->base.ops = &fd_ops;
	s->fd = fd;
	s->start = offset;
	memcpy(s->name, name, n);
	s->gathered = malloc(GATHER);
	status = s->gathered ? find_room(s, err)
			     : ek_fail(err, EK_NOMEM, "no memory for a sink");
	if (status != EK_OK) {
		fd_free(&s->base);
		return status;
	}
	*sink = &s->base;
	return EK_OK;
}
