/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/stream.h"

#include "cli/leaves.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE (1u << 20)

struct watched {
	struct ek_tar_input base;
	int fd;
	const char *name;
	const volatile int *cancel;
};

static ek_status watched_read(struct ek_tar_input *in, void *to, size_t n,
			      size_t *got, struct ek_err *err)
{
	struct watched *w = (struct watched *)in;
	ssize_t r;

	do {
		if (*w->cancel)
			return ek_fail(err, EK_CANCELLED, "cancelled");
		r = read(w->fd, to, n);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return ek_fail_sys(err, errno, "%s: cannot read", w->name);
	*got = (size_t)r;
	return EK_OK;
}

static void watched_free(struct ek_tar_input *in)
{
	free(in);
}

ek_status stream_input(int fd, const char *name, const volatile int *cancel,
		       struct ek_tar_input **in, struct ek_err *err)
{
	struct watched *w = calloc(1, sizeof(*w));

	if (!w)
		return ek_fail(err, EK_NOMEM, "no memory for an input");
	/* Fewer turns between writer and reader; not a pipe: no matter. */
	(void)fcntl(fd, F_SETPIPE_SZ, PIECE);
	w->base.read = watched_read;
	w->base.free = watched_free;
	w->fd = fd;
	w->name = name;
	w->cancel = cancel;
	*in = &w->base;
	return EK_OK;
}

ek_status stream_copy(struct ek_tar_input *in, int fd, const char *name,
		      struct ek_err *err)
{
	char *piece = malloc(PIECE);
	ek_status s = EK_OK;
	size_t got = 1;

	if (!piece)
		return ek_fail(err, EK_NOMEM, "no memory for a copy");
	while (s == EK_OK && got) {
		s = in->read(in, piece, PIECE, &got, err);
		if (s == EK_OK)
			s = cli_write_all(fd, name, piece, got, err);
	}
	free(piece);
	return s;
}
