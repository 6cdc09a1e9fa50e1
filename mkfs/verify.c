/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/verify.h"

#include "cli/options.h"

#include <erofskit/image.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ek_status write_text(void *arg, const void *bytes, size_t n,
			    struct ek_err *err)
{
	struct mkfs_verify *v = arg;
	const char *p = bytes;

	while (n) {
		ssize_t done = pwrite(v->fd, p, n, (off_t)v->written);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return ek_fail_sys(err, errno, "%s", v->name);
		p += done;
		n -= (size_t)done;
		v->written += (unsigned long long)done;
	}
	return EK_OK;
}

/* A file without a name in the directory of @image. */
static ek_status nameless(struct mkfs_verify *v, const char *image,
			  struct ek_err *err)
{
	const char *slash = strrchr(image, '/');
	char *path = NULL;

	if (asprintf(&path, "%.*s.erofskit.XXXXXX",
		     slash ? (int)(slash - image + 1) : 0, image) < 0)
		return ek_fail(err, EK_NOMEM, "no memory for a name");
	v->fd = mkostemp(path, O_CLOEXEC);
	if (v->fd < 0)
		ek_fail_sys(err, errno, "%s", path);
	else
		unlink(path);
	free(path);
	return v->fd < 0 ? err->status : EK_OK;
}

ek_status mkfs_verify_begin(struct mkfs_verify *v, const char *image,
			    const char *manifest_out, bool no_sync,
			    struct ek_err *err)
{
	const struct ek_outfile_options how = {.size = sizeof(how),
					       .no_sync = no_sync};
	ek_status status;

	memset(v, 0, sizeof(*v));
	v->fd = -1;
	v->name = manifest_out ? manifest_out : "the manifest of the source";
	if (manifest_out) {
		CLI_TRY(ek_outfile_open(manifest_out, &how, &v->out, err));
		v->fd = ek_outfile_fd(v->out);
	} else {
		CLI_TRY(nameless(v, image, err));
	}
	status = ek_manifest_writer_new(write_text, v, &v->sink, err);
	if (status != EK_OK)
		mkfs_verify_cancel(v);
	return status;
}

static ek_status first_difference(void *arg, const char *path,
				  enum ek_manifest_diff diff, const char *words,
				  struct ek_err *err)
{
	(void)diff;
	return ek_fail(err, EK_DIFFERS,
		       "%s: the image does not hold what was read from the "
		       "source: %s: %s",
		       (const char *)arg, path, words);
}

static ek_status compare(struct ek_manifest *expected, struct ek_image *image,
			 const char *name, unsigned workers,
			 const volatile int *cancel, struct ek_err *err)
{
	const struct ek_manifest_image_options mo = {
		.size = sizeof(mo),
		.workers = workers,
		.cancel = cancel,
	};
	struct ek_manifest_sink *sink = NULL;
	uint64_t differences = 0;
	ek_status status;

	CLI_TRY(ek_manifest_comparison_new(expected, first_difference,
					   (void *)(uintptr_t)name, &sink,
					   err));
	status = ek_manifest_of_image(image, &mo, sink, err);
	if (status == EK_OK)
		status = ek_manifest_comparison_finish(sink, &differences, err);
	ek_manifest_comparison_free(sink);
	return status;
}

/*
 * A descriptor of its own, and pages from the disk: what the page cache holds
 * is what we wrote, not what the disk has.
 */
static ek_status open_again(int fd, const char *image, int *fresh,
			    struct ek_err *err)
{
	char path[64];

	if (fsync(fd) < 0)
		return ek_fail_sys(err, errno, "%s", image);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*fresh = open(path, O_RDONLY | O_CLOEXEC);
	if (*fresh < 0)
		return ek_fail_sys(err, errno, "%s: cannot be read again",
				   image);
	return EK_OK;
}

ek_status mkfs_verify_compare(struct mkfs_verify *v, int fd, const char *image,
			      struct ek_source *const *devices,
			      size_t n_devices, unsigned workers,
			      const volatile int *cancel, struct ek_err *err)
{
	const struct ek_image_options io = {
		.size = sizeof(io), .devices = devices, .n_devices = n_devices};
	struct ek_source *src = NULL, *text = NULL;
	struct ek_manifest *expected = NULL;
	struct ek_image *opened = NULL;
	int fresh = -1;
	ek_status s;

	s = ek_manifest_writer_finish(v->sink, err);
	if (s == EK_OK)
		s = ek_source_from_fd(v->fd, v->name, 0, &text, err);
	if (s == EK_OK)
		s = ek_manifest_open(text, &expected, err);
	if (s == EK_OK)
		s = open_again(fd, image, &fresh, err);
	if (s == EK_OK)
		s = ek_source_from_fd(fresh, image, 0, &src, err);
	if (s == EK_OK)
		s = ek_image_open(src, &io, &opened, err);
	if (s == EK_OK)
		s = compare(expected, opened, image, workers, cancel, err);
	ek_image_free(opened);
	ek_manifest_free(expected);
	ek_source_free(src);
	ek_source_free(text);
	if (fresh >= 0)
		close(fresh);
	return s;
}

ek_status mkfs_verify_publish(struct mkfs_verify *v, struct ek_err *err)
{
	struct ek_outfile *out = v->out;

	if (!v->sink)
		return EK_OK;
	/* Again after compare: it is complete, and that is no error. */
	CLI_TRY(ek_manifest_writer_finish(v->sink, err));
	v->out = NULL;
	if (out)
		v->fd = -1;
	mkfs_verify_cancel(v);
	return out ? ek_outfile_commit(out, err) : EK_OK;
}

void mkfs_verify_cancel(struct mkfs_verify *v)
{
	if (v->sink)
		ek_manifest_writer_free(v->sink);
	v->sink = NULL;
	if (v->out)
		ek_outfile_abort(v->out);
	else if (v->fd > 0)
		close(v->fd);
	v->out = NULL;
	v->fd = -1;
}
