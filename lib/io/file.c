/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/source.h>

#include "base/bytes.h"
#include "base/try.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file {
	struct ek_source base;
	int fd;
	bool owned;
	uint64_t offset; /* of our byte 0 in the file */
	char name[];
};

static ek_status file_read(struct ek_source *src, uint64_t offset, void *to,
			   size_t n, struct ek_err *err)
{
	const struct file *f = (struct file *)src;

	return ek_pread_all(f->fd, f->name, f->offset + offset, to, n, err);
}

static void file_free(struct ek_source *src)
{
	struct file *f = (struct file *)src;

	if (f->owned)
		close(f->fd);
	free(f);
}

static const struct ek_source_ops file_ops = {file_read, file_free};

ek_status ek_source_from_fd(int fd, const char *name, uint64_t offset,
			    struct ek_source **src, struct ek_err *err)
{
	size_t n = strlen(name) + 1;
	struct file *f;
	uint64_t size;
	bool is_block;

	*src = NULL;
	EK_TRY(ek_fd_size(fd, name, &size, &is_block, err));
	if (offset > size)
		return ek_fail(err, EK_INVALID,
			       "%s: offset %" PRIu64
			       " is beyond its end at %" PRIu64,
			       name, offset, size);
	f = calloc(1, sizeof(*f) + n);
	if (!f)
		return ek_fail(err, EK_NOMEM, "no memory for a source");
	memcpy(f->name, name, n);
	f->base.ops = &file_ops;
	f->base.size = size - offset;
	f->base.name = f->name;
	f->fd = fd;
	f->offset = offset;
	*src = &f->base;
	return EK_OK;
}

ek_status ek_source_open_file(const char *path, uint64_t offset,
			      struct ek_source **src, struct ek_err *err)
{
	/* Not to wait for the writer of a pipe that is refused anyway. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ek_status status;

	*src = NULL;
	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", path);
	status = ek_source_from_fd(fd, path, offset, src, err);
	if (status != EK_OK) {
		close(fd);
		return status;
	}
	((struct file *)*src)->owned = true;
	return EK_OK;
}
