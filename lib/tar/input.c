/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/tar.h>

#include "base/bytes.h"
#include "base/try.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct source_input {
	struct ek_tar_input base;
	struct ek_source *src;
	uint64_t at;
};

static ek_status source_read(struct ek_tar_input *in, void *to, size_t n,
			     size_t *got, struct ek_err *err)
{
	struct source_input *s = (struct source_input *)in;

	*got = (size_t)ek_min(n, s->src->size - s->at);
	if (!*got)
		return EK_OK;
	EK_TRY(ek_source_read(s->src, s->at, to, *got, err));
	s->at += *got;
	return EK_OK;
}

static ek_status source_skip(struct ek_tar_input *in, uint64_t n,
			     struct ek_err *err)
{
	struct source_input *s = (struct source_input *)in;

	if (n > s->src->size - s->at)
		return ek_fail(err, EK_CORRUPT, "the archive is cut");
	s->at += n;
	return EK_OK;
}

static void plain_free(struct ek_tar_input *in)
{
	free(in);
}

ek_status ek_tar_input_from_source(struct ek_source *src,
				   struct ek_tar_input **in, struct ek_err *err)
{
	struct source_input *s = calloc(1, sizeof(*s));

	if (!s)
		return ek_fail(err, EK_NOMEM, "no memory for a tar input");
	s->base.read = source_read;
	s->base.skip = source_skip;
	s->base.free = plain_free;
	s->src = src;
	*in = &s->base;
	return EK_OK;
}

struct fd_input {
	struct ek_tar_input base;
	int fd;
	char name[256];
};

static ek_status fd_read(struct ek_tar_input *in, void *to, size_t n,
			 size_t *got, struct ek_err *err)
{
	struct fd_input *f = (struct fd_input *)in;
	ssize_t r;

	do {
		r = read(f->fd, to, n);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return ek_fail_sys(err, errno, "%s: cannot read", f->name);
	*got = (size_t)r;
	return EK_OK;
}

ek_status ek_tar_input_from_fd(int fd, const char *name,
			       struct ek_tar_input **in, struct ek_err *err)
{
	struct fd_input *f = calloc(1, sizeof(*f));

	if (!f)
		return ek_fail(err, EK_NOMEM, "no memory for a tar input");
	f->base.read = fd_read;
	f->base.free = plain_free;
	f->fd = fd;
	strncpy(f->name, name, sizeof(f->name) - 1);
	*in = &f->base;
	return EK_OK;
}

void ek_tar_input_free(struct ek_tar_input *in)
{
	if (in)
		in->free(in);
}
