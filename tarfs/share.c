/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/share.h"

#include "cli/leaves.h"
#include "tarfs/leaves.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ek_status share_path(const struct tarfs_options *o, const char *kind,
		     const struct image_layer *l, const char *end, char **path,
		     struct ek_err *err)
{
	char *dir = realpath(o->share, NULL);
	ek_status s = EK_OK;

	*path = NULL;
	if (!dir)
		return ek_fail_sys(err, errno, "%s", o->share);
	if (asprintf(path, "%s/%s/sha256-%.64s%s", dir, kind, l->diff_id + 7,
		     end) < 0) {
		*path = NULL;
		s = ek_fail(err, EK_NOMEM, "no memory for a path");
	}
	free(dir);
	return s;
}

static ek_status make(const char *dir, const char *name, struct ek_err *err)
{
	char *path;
	ek_status s = EK_OK;

	if (asprintf(&path, "%s%s", dir, name) < 0)
		return ek_fail(err, EK_NOMEM, "no memory for a path");
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		s = ek_fail_sys(err, errno, "%s: cannot make it", path);
	free(path);
	return s;
}

/* A later convert into OUT would remove what other images have there. */
static ek_status not_in_out(const struct tarfs_options *o, const char *out,
			    struct ek_err *err)
{
	char *dir = realpath(o->share, NULL);
	bool same = dir && strcmp(dir, out) == 0;

	free(dir);
	return same ? ek_fail(err, EK_INVALID,
			      "%s: OUT cannot be the directory of --share too",
			      o->share)
		    : EK_OK;
}

ek_status share_open(const struct tarfs_options *o, const char *out,
		     struct ek_err *err)
{
	CLI_TRY(make(o->share, "", err));
	CLI_TRY(not_in_out(o, out, err));
	CLI_TRY(make(o->share, "/blobs", err));
	CLI_TRY(make(o->share, "/leaves", err));
	return make(o->share, "/indexes", err);
}

/* The tar of @path with the length that its table says. */
static ek_status take(struct image_layer *l, char *path, struct ek_err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size != l->leaves->blob_size) {
		close(fd);
		return ek_fail(err, EK_CHANGED,
			       "%s: not as long as its leaf digests say", path);
	}
	l->shared_fd = fd;
	l->path = path;
	l->data = (struct range){.fd = fd,
				 .path = path,
				 .bytes = (uint64_t)st.st_size,
				 .file_bytes = (uint64_t)st.st_size};
	l->plain = true;
	return EK_OK;
}

ek_status share_find(const struct tarfs_options *o, struct image_layer *l,
		     bool *found, struct ek_err *err)
{
	char *path = NULL, *table;
	ek_status s;

	CLI_TRY(share_path(o, "leaves", l, "", &table, err));
	*found = access(table, F_OK) == 0;
	s = EK_OK;
	if (*found)
		s = leaves_load(table, LEAVES_FILE_MAX, NULL, &l->leaves, err);
	free(table);
	if (s != EK_OK || !*found)
		return s;
	CLI_TRY(share_path(o, "blobs", l, ".tar", &path, err));
	s = take(l, path, err);
	if (s != EK_OK)
		free(path);
	return s;
}

ek_status share_begin(const struct tarfs_options *o, struct image_layer *l,
		      struct ek_err *err)
{
	CLI_TRY(share_path(o, "blobs", l, ".tar", &l->path, err));
	/* Whatever --no-sync says: others take it for whole without reading. */
	CLI_TRY(ek_outfile_open(l->path, NULL, &l->sharing, err));
	l->data = (struct range){.fd = ek_outfile_fd(l->sharing),
				 .path = l->path};
	return EK_OK;
}

static ek_status put_table(const struct image_layer *l, const char *path,
			   struct ek_err *err)
{
	struct ek_outfile *out;

	CLI_TRY(ek_outfile_open(path, NULL, &out, err));
	if (cli_leaves_write(l->leaves, ek_outfile_fd(out), path, err) !=
	    EK_OK) {
		ek_outfile_abort(out);
		return err->status;
	}
	return ek_outfile_commit(out, err);
}

ek_status share_commit(const struct tarfs_options *o, struct image_layer *l,
		       struct ek_err *err)
{
	struct ek_outfile *out = l->sharing;
	char *table;
	ek_status s;

	/* Its descriptor goes with it; the tar is read later. */
	l->shared_fd = fcntl(l->data.fd, F_DUPFD_CLOEXEC, 3);
	if (l->shared_fd < 0)
		return ek_fail_sys(err, errno, "%s", l->path);
	l->data.fd = l->shared_fd;
	l->sharing = NULL;
	CLI_TRY(ek_outfile_commit(out, err));
	CLI_TRY(share_path(o, "leaves", l, "", &table, err));
	s = put_table(l, table, err);
	free(table);
	return s;
}
