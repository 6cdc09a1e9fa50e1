/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/verify.h"

#include <erofskit/image.h>
#include <erofskit/outfile.h>

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
		v->written += (uint64_t)done;
	}
	return EK_OK;
}

ek_status mkfs_verify_begin(struct mkfs_verify *v, const struct mkfs_options *o,
			    const struct outputs *out, struct ek_err *err)
{
	memset(v, 0, sizeof(*v));
	v->spool = -1;
	if (!o->manifest && !o->verify)
		return EK_OK;
	v->name = o->manifest ? o->manifest : "the manifest of the source";
	if (o->manifest) {
		v->fd = ek_outfile_fd(out->file[OUT_MANIFEST]);
	} else {
		CLI_TRY(outputs_spool(out, o, &v->spool, err));
		v->fd = v->spool;
	}
	return ek_manifest_writer_new(write_text, v, &v->sink, err);
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
			 const struct mkfs_options *o, struct ek_err *err)
{
	const struct ek_manifest_image_options mo = {
		.size = sizeof(mo),
		.workers = o->build.workers,
		.cancel = o->build.cancel,
	};
	struct ek_manifest_sink *sink = NULL;
	uint64_t differences = 0;
	ek_status status;

	CLI_TRY(ek_manifest_comparison_new(expected, first_difference,
					   (void *)(uintptr_t)o->image, &sink,
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

/* The chunks of --blobdev, opened again as the image is. */
static ek_status open_blob(const struct mkfs_options *o,
			   const struct outputs *out, int *fresh,
			   struct ek_source **blob, struct ek_err *err)
{
	if (!o->blob)
		return EK_OK;
	CLI_TRY(open_again(ek_outfile_fd(out->file[OUT_BLOB]), o->blob, fresh,
			   err));
	return ek_source_from_fd(*fresh, o->blob, 0, blob, err);
}

static ek_status compare_image(struct ek_manifest *expected,
			       const struct mkfs_options *o,
			       const struct outputs *out, struct ek_err *err)
{
	struct ek_source *src = NULL, *blob = NULL;
	struct ek_image_options io = {.size = sizeof(io), .devices = &blob};
	struct ek_image *image = NULL;
	int fresh = -1, fresh_blob = -1;
	ek_status s;

	s = open_again(ek_outfile_fd(out->file[OUT_IMAGE]), o->image, &fresh,
		       err);
	if (s == EK_OK)
		s = ek_source_from_fd(fresh, o->image, 0, &src, err);
	if (s == EK_OK)
		s = open_blob(o, out, &fresh_blob, &blob, err);
	io.n_devices = blob != NULL;
	if (s == EK_OK)
		s = ek_image_open(src, &io, &image, err);
	if (s == EK_OK)
		s = compare(expected, image, o, err);
	ek_image_free(image);
	ek_source_free(blob);
	ek_source_free(src);
	if (fresh >= 0)
		close(fresh);
	if (fresh_blob >= 0)
		close(fresh_blob);
	return s;
}

ek_status mkfs_verify_finish(struct mkfs_verify *v,
			     const struct mkfs_options *o,
			     const struct outputs *out, struct ek_err *err)
{
	struct ek_source *text = NULL;
	struct ek_manifest *expected = NULL;
	ek_status s;

	if (!v->sink)
		return EK_OK;
	CLI_TRY(ek_manifest_writer_finish(v->sink, err));
	if (!o->verify)
		return EK_OK;
	s = ek_source_from_fd(v->fd, v->name, 0, &text, err);
	if (s == EK_OK)
		s = ek_manifest_open(text, &expected, err);
	if (s == EK_OK)
		s = compare_image(expected, o, out, err);
	ek_manifest_free(expected);
	ek_source_free(text);
	return s;
}

void mkfs_verify_end(struct mkfs_verify *v)
{
	ek_manifest_writer_free(v->sink);
	v->sink = NULL;
	if (v->spool >= 0)
		close(v->spool);
	v->spool = -1;
}
