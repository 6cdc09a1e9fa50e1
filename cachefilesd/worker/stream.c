/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A layer of which nothing trusted knows leaf digests is read once from its
 * first to its last byte; when its own digest is right, its leaves are what
 * this node found, and all of it is here. So is a layer that is compressed in
 * the registry: ranges of it are of no use.
 */

#include "cachefilesd/worker/priv.h"
#include "cli/leaves.h"

#include <erofskit/stream.h>
#include <erofskit/trust.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stream {
	int fd; /* a file without a name */
	uint64_t n, most;
	struct ek_leaf_maker *maker; /* NULL: none are made */
};

static ek_status stream_open(struct ekd_service *s, const char *digest,
			     struct stream *st, struct ek_err *err)
{
	st->fd = files_nameless(s, err);
	if (st->fd < 0)
		return EK_IO;
	ekd_log_event(s->o.log, EKD_LOG_INFO, "streaming", "blob", digest,
		      NULL);
	return EK_OK;
}

static ek_status take(void *arg, const uint8_t *bytes, size_t n,
		      struct ek_err *err)
{
	struct stream *st = arg;

	if (n > st->most - st->n)
		return ek_fail(err, EK_CORRUPT,
			       "it is longer than its manifest says");
	if (st->maker)
		EK_TRY(ek_leaf_maker_add(st->maker, bytes, n, err));
	EK_TRY(cli_write_all(st->fd, "a layer", bytes, n, err));
	st->n += n;
	return EK_OK;
}

/* All of the file into the blob: each leaf is compared once more. */
static ek_status fill(const struct stream *st, struct ekd_blob *blob,
		      struct ek_err *err)
{
	const struct ek_leaves *leaves = ekd_blob_leaves(blob);
	char *leaf = malloc(leaves->leaf_size);
	ek_status s = EK_OK;

	if (!leaf)
		return ek_fail(err, EK_NOMEM, "no memory for a leaf");
	for (uint32_t i = 0; s == EK_OK && i < leaves->n; i++) {
		uint32_t n = ek_leaf_length(leaves, i);
		off_t at = (off_t)i * leaves->leaf_size;

		if (pread(st->fd, leaf, n, at) != (ssize_t)n)
			s = ek_fail_sys(err, EIO, "cannot read a layer back");
		else
			s = ekd_blob_fill(blob, i, leaf, n, err);
	}
	free(leaf);
	return s;
}

static ek_status stream_to(struct ekd_service *s,
			   const struct ekd_reference *ref, const char *digest,
			   const char *name, struct stream *st,
			   struct ekd_blob **blob, struct ek_err *err)
{
	struct ek_leaves *leaves;
	ek_status status;

	EK_TRY(ek_leaf_maker_new(EK_LEAF_SIZE, &st->maker, err));
	EK_TRY(ekd_fetch_stream(s->fetch, ref, digest, take, st, err));
	if (st->n != st->most)
		return ek_fail(err, EK_CORRUPT,
			       "it is shorter than its manifest says");
	EK_TRY(ek_leaf_maker_finish(st->maker, &leaves, err));
	status = ekd_blob_open(s->store, name, leaves, NULL, blob, err);
	ek_leaves_free(leaves);
	if (status != EK_OK)
		return status;
	ekd_blob_pin(*blob); /* or its beginning could go for its end */
	status = fill(st, *blob, err);
	ekd_blob_unpin(*blob);
	if (status != EK_OK)
		ekd_blob_close(*blob);
	return status;
}

/* Whether the store has all of it, and it is what its name says. */
static bool is_here(struct ekd_service *s, const char *name, const char *digest,
		    struct ekd_blob **blob)
{
	uint8_t got[EK_DIGEST_SIZE], want[EK_DIGEST_SIZE];
	struct ek_source *src;
	bool good = false;

	if (ekd_blob_find(s->store, name, NULL, blob, NULL) != EK_OK)
		return false;
	ekd_blob_pin(*blob);
	if (ekd_blob_complete(*blob) &&
	    ek_digest_parse(digest, want, NULL) == EK_OK &&
	    ek_source_from_fd(ekd_blob_fd(*blob), name, 0, &src, NULL) ==
		    EK_OK) {
		good = ek_digest_source(src, NULL, got, NULL) == EK_OK &&
		       memcmp(got, want, sizeof(got)) == 0;
		ek_source_free(src);
	}
	ekd_blob_unpin(*blob);
	if (!good)
		ekd_blob_close(*blob);
	return good;
}

ek_status stream_blob(struct ekd_service *s, const struct ekd_reference *ref,
		      const char *digest, uint64_t size, struct ekd_blob **blob,
		      struct ek_err *err)
{
	struct stream st = {.fd = -1, .most = size};
	char name[EKD_DOOR_NAME + 1];
	ek_status status;

	EK_TRY(ekd_blob_name_of(digest, name, err));
	if (is_here(s, name, digest, blob))
		return EK_OK;
	EK_TRY(stream_open(s, digest, &st, err));
	status = stream_to(s, ref, digest, name, &st, blob, err);
	ek_leaf_maker_free(st.maker);
	close(st.fd);
	return status == EK_OK ? status : ek_err_prefix(err, "%s", digest);
}

/* Exactly @n bytes. */
static ek_status read_all(struct ek_tar_input *in, char *to, size_t n,
			  struct ek_err *err)
{
	size_t got;

	for (; n; to += got, n -= got) {
		EK_TRY(in->read(in, to, n, &got, err));
		if (!got)
			return ek_fail(err, EK_DIFFERS,
				       "what is in it is too short");
	}
	return EK_OK;
}

static ek_status unpack_to(struct ek_tar_input *in, struct ekd_blob *blob,
			   char *leaf, struct ek_err *err)
{
	const struct ek_leaves *leaves = ekd_blob_leaves(blob);
	size_t got;

	for (uint32_t i = 0; i < leaves->n; i++) {
		uint32_t n = ek_leaf_length(leaves, i);

		EK_TRY(read_all(in, leaf, n, err));
		EK_TRY(ekd_blob_fill(blob, i, leaf, n, err));
	}
	EK_TRY(in->read(in, leaf, 1, &got, err));
	return got ? ek_fail(err, EK_DIFFERS, "what is in it is too long")
		   : EK_OK;
}

static ek_status unpack(const struct stream *st, const char *name,
			struct ekd_blob *blob, struct ek_err *err)
{
	char *leaf = malloc(ekd_blob_leaves(blob)->leaf_size);
	struct ek_tar_input *in = NULL, *plain;
	enum ek_stream_kind kind;
	ek_status s = EK_OK;

	if (!leaf)
		return ek_fail(err, EK_NOMEM, "no memory for a leaf");
	if (lseek(st->fd, 0, SEEK_SET) < 0)
		s = ek_fail_sys(err, errno, "cannot read a layer back");
	if (s == EK_OK)
		s = ek_tar_input_from_fd(st->fd, name, &in, err);
	if (s == EK_OK)
		s = ek_stream_auto(in, name, &plain, &kind, err);
	if (s == EK_OK) {
		in = plain;
		s = unpack_to(in, blob, leaf, err);
	}
	ek_tar_input_free(in);
	free(leaf);
	return s;
}

/* Into the open, pinned blob. */
static ek_status fetch_packed(struct ekd_service *s,
			      const struct ekd_reference *ref,
			      const char *digest, uint64_t size,
			      struct ekd_blob *blob, struct ek_err *err)
{
	struct stream st = {.fd = -1, .most = size};
	ek_status status;

	EK_TRY(stream_open(s, digest, &st, err));
	status = ekd_fetch_stream(s->fetch, ref, digest, take, &st, err);
	if (status == EK_OK)
		status = unpack(&st, digest, blob, err);
	close(st.fd);
	return status == EK_OK ? status : ek_err_prefix(err, "%s", digest);
}

ek_status unpack_blob(struct ekd_service *s, const struct ekd_reference *ref,
		      const char *digest, uint64_t size,
		      const struct ekd_record_blob *r,
		      const struct ek_leaves *leaves, struct ekd_blob **blob,
		      struct ek_err *err)
{
	ek_status status = EK_OK;

	EK_TRY(ekd_blob_open(s->store, r->name, leaves, NULL, blob, err));
	ekd_blob_pin(*blob);
	if (!ekd_blob_complete(*blob))
		status = fetch_packed(s, ref, digest, size, *blob, err);
	if (status == EK_OK)
		return EK_OK;
	ekd_blob_unpin(*blob);
	ekd_blob_close(*blob);
	return status;
}
