/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whose changes a writable layer holds. Its id comes from the target, where
 * another image may be mounted later: what was changed in one, deleted files
 * among it, must not show in the other. rw/ID/source names what lies below.
 */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE	 "source"
#define NOTE_NEW "source.new"

/* Where its bytes lie may change; blobs have their digests for names. */
static void tell_source(FILE *out, const struct ekd_source *source)
{
	if (source->place == EKD_PLACE_DOOR || source->place == EKD_PLACE_STORE)
		fprintf(out, " %s", source->name);
}

/* A line a layer: the names of its blobs. *text is the caller's to free. */
static ek_status describe(struct ekd_state *h,
			  const struct ekd_overlay *overlay, char **text,
			  size_t *n, struct ek_err *err)
{
	struct ekd_record *record = malloc(sizeof(*record));
	FILE *out = open_memstream(text, n);
	ek_status status = EK_OK;

	if (!record || !out)
		status = ek_fail(err, EK_NOMEM, "no memory for an overlay");
	for (uint32_t i = 0; i < overlay->n_lowers && status == EK_OK; i++) {
		const struct ekd_mount *mount = &record->mounted.mount;

		status = ekd_record_read(h, overlay->lowers[i], record, err);
		if (status != EK_OK || record->mounted.is_overlay)
			continue;
		fputs("layer", out);
		tell_source(out, &mount->primary);
		for (uint32_t k = 0; k < mount->n_devices; k++)
			tell_source(out, &mount->devices[k]);
		fputc('\n', out);
	}
	if (out && fclose(out) != 0 && status == EK_OK)
		status = ek_fail(err, EK_NOMEM, "no memory for an overlay");
	free(record);
	if (out && status != EK_OK)
		free(*text);
	return status;
}

static bool note_is(int fd, const char *text, size_t n)
{
	char *there = malloc(n + 1);
	bool same = there && pread(fd, there, n + 1, 0) == (ssize_t)n &&
		    memcmp(there, text, n) == 0;

	free(there);
	return same;
}

static ek_status write_note(int dir, const char *text, size_t n,
			    struct ek_err *err)
{
	int fd = openat(dir, NOTE_NEW,
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			0600);
	int sys = 0;

	if (fd < 0)
		return ek_fail_sys(err, errno, "rw/ID/" NOTE);
	errno = EIO; /* of a short write */
	if (write(fd, text, n) != (ssize_t)n || fsync(fd) != 0)
		sys = errno;
	close(fd);
	if (!sys && renameat(dir, NOTE_NEW, dir, NOTE) != 0)
		sys = errno;
	return sys ? ek_fail_sys(err, sys, "rw/ID/" NOTE) : EK_OK;
}

ek_status ekd_rw_claim(struct ekd_state *h, const struct ekd_overlay *overlay,
		       int dir, int upper, struct ek_err *err)
{
	char *text = NULL;
	ek_status status;
	size_t n = 0;
	int fd;

	EK_TRY(describe(h, overlay, &text, &n, err));
	fd = openat(dir, NOTE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && note_is(fd, text, n))
		status = EK_OK;
	else if (fd >= 0 && ekd_path_empty(upper, "upper", NULL) != EK_OK)
		status = ek_fail(err, EK_DIFFERS,
				 "%s/rw/%s holds changes of another image: "
				 "remove it, or mount elsewhere",
				 h->state, overlay->id);
	else
		status = write_note(dir, text, n, err);
	if (fd >= 0)
		close(fd);
	free(text);
	return status;
}
