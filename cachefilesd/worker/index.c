/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A directory that erofs-tarfs convert made: image.json, the merged index, and
 * leaf digests of the layers' tars. Only what is needed of it is copied; data
 * come from a registry, or from the files that it names.
 *
 * The directory is root's own, named on root's command line: its roots are
 * trusted as that. One that came from elsewhere is pinned by the digest of its
 * image.json.
 */

#include "cachefilesd/worker/priv.h"

#include "cachefilesd/config/json.h"
#include "cachefilesd/fetch/sha.h"
#include "cli/leaves.h"

#include <erofskit/trust.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JSON_MAX  (8u << 20)
#define INDEX_MAX (UINT64_C(1) << 30)
#define COPY	  (1u << 20)

struct out {
	struct ekd_service *s;
	const struct ekd_mount_request *request;
	struct image *image;
	int dir; /* of the image */
	struct ekd_object root;
};

/* A path of image.json: absolute, or beneath the directory. */
static ek_status place(const struct out *out, const char *path,
		       char to[EKD_SOURCE_TEXT], struct ek_err *err)
{
	int n = *path == '/' ? snprintf(to, EKD_SOURCE_TEXT, "%s", path)
			     : snprintf(to, EKD_SOURCE_TEXT, "%s/%s",
					out->request->index, path);

	if (n >= EKD_SOURCE_TEXT)
		return ek_fail(err, EK_LIMIT, "image.json: a path is too long");
	return EK_OK;
}

static ek_status open_at(const struct out *out, const char *path, int *fd,
			 struct ek_err *err)
{
	char whole[EKD_SOURCE_TEXT];

	EK_TRY(place(out, path, whole, err));
	return ekd_holder_open_local(out->s->holder, whole, fd, err);
}

/* Copy @from to index.erofs of the image; @sha gets its digest. */
static ek_status copy(int from, int to, struct ekd_sha *sha, char *buffer,
		      struct ek_err *err)
{
	uint64_t all = 0;
	ssize_t n;

	while ((n = read(from, buffer, COPY)) > 0) {
		ekd_sha_add(sha, buffer, (size_t)n);
		EK_TRY(cli_write_all(to, "the index", buffer, (size_t)n, err));
		all += (uint64_t)n;
		if (all > INDEX_MAX)
			return ek_fail(err, EK_LIMIT,
				       "the index is larger than 1 GiB");
	}
	if (n < 0)
		return ek_fail_sys(err, errno, "cannot read the index");
	return fdatasync(to) < 0
		       ? ek_fail_sys(err, errno, "cannot sync the index")
		       : EK_OK;
}

/* The index into the image's directory, checked; *fd is open on the copy. */
static ek_status take_index(struct out *out, const char *path,
			    const char *digest, int *fd, struct ek_err *err)
{
	char *buffer = malloc(COPY), got[72];
	struct ekd_sha *sha = NULL;
	ek_status s = EK_OK;
	int from = -1;

	*fd = openat(out->dir, INDEX_NAME,
		     O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		s = ek_fail_sys(err, errno, "cannot make " INDEX_NAME);
	if (s == EK_OK && !buffer)
		s = ek_fail(err, EK_NOMEM, "no memory for a copy");
	if (s == EK_OK)
		s = open_at(out, path, &from, err);
	if (s == EK_OK)
		s = ekd_sha_new(&sha, err);
	if (s == EK_OK) {
		s = copy(from, *fd, sha, buffer, err);
		if (s == EK_OK) {
			s = ekd_sha_end(sha, got, err);
			sha = NULL;
		}
	}
	ekd_sha_free(sha);
	if (s == EK_OK && digest && strcmp(digest, got) != 0)
		s = ek_fail(err, EK_DIFFERS,
			    "%s is not the index that image.json names", path);
	if (from >= 0)
		close(from);
	free(buffer);
	return s;
}

/* Leaf digests of device @i, whose blob is @b. */
static ek_status take_leaves(struct out *out, struct ekd_object *device,
			     uint32_t i, struct ekd_record_blob *b,
			     struct ek_err *err)
{
	const char *path = NULL, *root = NULL;
	struct ek_leaves *leaves;
	struct ekd_object at;
	char *bytes;
	ek_status s;
	size_t n;
	int fd;

	EK_TRY(ekd_object_member(device, "leaves", &at, err));
	EK_TRY(ekd_get_text(&at, "path", &path, err));
	EK_TRY(ekd_get_text(&at, "root", &root, err));
	if (!path || !root)
		return ek_fail(err, EK_INVALID,
			       "layer %u has no leaf digests: convert it with "
			       "--leaf-digests",
			       i);
	EK_TRY(ek_digest_parse(root, b->root, err));
	ekd_blob_rooted(b);
	EK_TRY(open_at(out, path, &fd, err));
	s = files_read(fd, path, (size_t)EK_LEAVES_MAX * 32 + EK_LEAF_HEADER,
		       &bytes, &n, err);
	close(fd);
	if (s != EK_OK)
		return s;
	s = ek_leaves_decode((uint8_t *)bytes, n, b->root, &leaves, err);
	free(bytes);
	if (s != EK_OK)
		return ek_err_prefix(err, "%s", path);
	if (leaves->blob_size != b->size)
		s = ek_fail(err, EK_DIFFERS, "%s: of a blob of another size",
			    path);
	if (s == EK_OK)
		s = files_put_leaves(out->dir, i, leaves, err);
	ek_leaves_free(leaves);
	return s;
}

/* Where device @i is fetched from. */
static ek_status take_origin(struct out *out, struct ekd_object *device,
			     uint32_t i, const char *path,
			     struct ekd_record_blob *b, struct ek_err *err)
{
	const char *digest = NULL, *compression = "none";
	struct ekd_object at;

	if (!out->request->from) {
		b->kind = EKD_FROM_LOCAL;
		return place(out, path, b->from, err);
	}
	b->kind = EKD_FROM_REGISTRY;
	text_put(b->from, sizeof(b->from), out->image->record.from);
	EK_TRY(ekd_object_member(device, "fetch", &at, err));
	EK_TRY(ekd_get_text(&at, "digest", &digest, err));
	EK_TRY(ekd_get_text(&at, "compression", &compression, err));
	b->packed = strcmp(compression, "none") != 0;
	if (b->packed && !digest)
		return ek_fail(err, EK_CORRUPT, "layer %u: no fetch.digest", i);
	if (!b->packed && digest && strcmp(digest, b->digest) != 0)
		return ek_fail(err, EK_DIFFERS,
			       "layer %u is another blob in the registry", i);
	return EK_OK;
}

/* All of a layer that is compressed in the registry. */
static ek_status take_packed(struct out *out, struct ekd_object *device,
			     uint32_t i, const struct ekd_record_blob *b,
			     struct ek_err *err)
{
	struct image *image = out->image;
	const char *digest = NULL;
	struct ek_leaves *leaves;
	struct ekd_reference ref;
	struct ekd_object at;
	uint64_t bytes = 0;
	ek_status s;

	EK_TRY(ekd_object_member(device, "fetch", &at, err));
	EK_TRY(ekd_get_text(&at, "digest", &digest, err));
	EK_TRY(ekd_get_number(&at, "bytes", 1, INT64_MAX, &bytes, err));
	EK_TRY(ekd_reference_parse(b->from, &ref, err));
	EK_TRY(files_get_leaves(out->dir, i, b->root, &leaves, err));
	s = unpack_blob(out->s, &ref, digest, bytes, b, leaves,
			&image->kept[image->n_kept], err);
	ek_leaves_free(leaves);
	image->n_kept += s == EK_OK;
	return s;
}

static ek_status take_device(struct out *out, uint32_t i,
			     struct ekd_object *device, struct ek_err *err)
{
	struct ekd_record_blob *b = &out->image->record.blobs[i];
	const char *path = NULL, *digest = NULL;
	uint64_t offset = 0, bytes = 0;

	EK_TRY(ekd_get_text(device, "path", &path, err));
	EK_TRY(ekd_get_text(device, "blob", &digest, err));
	EK_TRY(ekd_get_number(device, "offset", 0, INT64_MAX, &offset, err));
	EK_TRY(ekd_get_number(device, "bytes", 0, INT64_MAX, &bytes, err));
	EK_TRY(ekd_get_number(device, "tar_bytes", 0, INT64_MAX, &b->size,
			      err));
	if (!path || !digest)
		return ek_fail(err, EK_INVALID,
			       "nobody has read layer %u: convert it with "
			       "--leaf-digests",
			       i);
	if (offset || bytes != b->size)
		return ek_fail(
			err, EK_UNSUPPORTED,
			"layer %u lies inside an archive: convert an OCI "
			"layout's directory instead",
			i);
	EK_TRY(ekd_blob_name_of(digest, b->name, err));
	snprintf(b->digest, sizeof(b->digest), "sha256:%s", b->name + 7);
	EK_TRY(take_origin(out, device, i, path, b, err));
	EK_TRY(take_leaves(out, device, i, b, err));
	return b->packed ? take_packed(out, device, i, b, err) : EK_OK;
}

/* The kernel takes only as many devices as the index has slots for. */
static ek_status check_index(struct out *out, int fd, struct ek_err *err)
{
	struct ekd_record *r = &out->image->record;
	uint64_t sizes[EKD_DEVICES];
	struct ek_source *src;
	ek_status s;

	for (uint32_t i = 0; i < r->n_blobs; i++)
		sizes[i] = r->blobs[i].size;
	EK_TRY(ek_source_from_fd(fd, "the index", 0, &src, err));
	s = check_metadata(src, sizes, r->n_blobs, "the index", err);
	ek_source_free(src);
	return s;
}

static ek_status take_devices(struct out *out, struct ek_err *err)
{
	struct ekd_record *r = &out->image->record;
	struct ekd_object at;
	uint64_t version = 0;
	size_t n;

	EK_TRY(ekd_get_number(&out->root, "version", 0, UINT32_MAX, &version,
			      err));
	if (version != 1)
		return ek_fail(err, EK_UNSUPPORTED, "version %llu is not known",
			       (unsigned long long)version);
	EK_TRY(ekd_object_element(&out->root, "devices", SIZE_MAX, &n, &at,
				  err));
	if (n < 1 || n > EKD_DEVICES)
		return ek_fail(err, EK_LIMIT, "%zu devices", n);
	EK_TRY(ekd_record_make(r, (uint32_t)n, 1, err));
	r->parts[0].n_devices = (uint32_t)n;
	for (uint32_t i = 0; i < n; i++) {
		r->parts[0].devices[i] = i;
		EK_TRY(ekd_object_element(&out->root, "devices", i, &n, &at,
					  err));
		EK_TRY(take_device(out, i, &at, err));
	}
	return EK_OK;
}

static ek_status take_all(struct out *out, struct ek_err *err)
{
	const char *path = NULL, *digest = NULL;
	struct ekd_object merged;
	ek_status s;
	int fd;

	EK_TRY(take_devices(out, err));
	EK_TRY(ekd_object_member(&out->root, "merged", &merged, err));
	EK_TRY(ekd_get_text(&merged, "path", &path, err));
	EK_TRY(ekd_get_text(&merged, "digest", &digest, err));
	if (!path)
		return ek_fail(err, EK_CORRUPT, "no merged.path");
	if (out->request->index_digest && !digest)
		return ek_fail(err, EK_INVALID,
			       "it names no digest of its index, so "
			       "--index-digest cannot pin it");
	s = take_index(out, path, digest, &fd, err);
	if (s == EK_OK)
		s = check_index(out, fd, err);
	if (fd >= 0)
		close(fd);
	return s;
}

static ek_status check_pin(const char *want, const char *bytes, size_t n,
			   struct ek_err *err)
{
	char name[EKD_DOOR_NAME + 1], got[72];

	if (!want)
		return EK_OK;
	EK_TRY(ekd_blob_name_of(want, name, err));
	EK_TRY(ekd_sha_of(bytes, n, got, err));
	if (strcmp(got + 7, name + 7) == 0)
		return EK_OK;
	return ek_fail(err, EK_DIFFERS,
		       "its digest is %s, which is not the one that was pinned",
		       got);
}

ek_status prepare_index(struct ekd_service *s,
			const struct ekd_mount_request *request,
			struct image *image, int dir, struct ek_err *err)
{
	struct out out = {s, request, image, dir, {0}};
	struct ekd_json json = {0};
	char *bytes = NULL;
	ek_status status;
	size_t n;
	int fd;

	EK_TRY(open_at(&out, "image.json", &fd, err));
	status = files_read(fd, "image.json", JSON_MAX, &bytes, &n, err);
	close(fd);
	if (status != EK_OK)
		return status;
	status = check_pin(request->index_digest, bytes, n, err);
	if (status == EK_OK)
		status = ekd_json_read(bytes, n, JSON_MAX, &json, err);
	if (status == EK_OK)
		status = ekd_object_root(&json, &out.root, err);
	if (status == EK_OK)
		status = take_all(&out, err);
	ekd_json_free(&json);
	free(bytes);
	return status == EK_OK
		       ? status
		       : ek_err_prefix(err, "%s/image.json", request->index);
}
