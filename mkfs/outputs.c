/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/outputs.h"

#include <erofskit/outfile.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a signal handler may touch: outputs that are not being published. */
static struct ek_outfile *volatile open_files[OUTPUTS];

void outputs_remove(void)
{
	for (int i = 0; i < OUTPUTS; i++)
		if (open_files[i])
			ek_outfile_remove(open_files[i]);
}

static void names_of(const struct mkfs_options *o, const char *name[OUTPUTS])
{
	name[OUT_RAW] = o->raw;
	name[OUT_BLOB] = o->blob;
	name[OUT_BLOB_LEAVES] = o->blob_leaves.path;
	name[OUT_LEAVES] = o->leaves.path;
	name[OUT_MANIFEST] = o->manifest;
	name[OUT_IMAGE] = o->image;
}

/* The absolute path that @name has or will have; NULL: cannot be told. */
static char *resolve(const char *name)
{
	char *path = realpath(name, NULL), *dir = NULL, *real;
	const char *slash = strrchr(name, '/');

	if (path)
		return path;
	if (slash == name)
		return strdup(name);
	dir = slash ? strndup(name, (size_t)(slash - name)) : strdup(".");
	real = dir ? realpath(dir, NULL) : NULL;
	if (real &&
	    asprintf(&path, "%s/%s", real, slash ? slash + 1 : name) < 0)
		path = NULL;
	free(real);
	free(dir);
	return path;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;
	char *p, *q;
	bool same;

	if (stat(a, &x) == 0 && stat(b, &y) == 0)
		return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
	p = resolve(a);
	q = resolve(b);
	same = p && q && strcmp(p, q) == 0;
	free(p);
	free(q);
	return same;
}

/* An output that is a source would be replaced while it is needed. */
static ek_status check_apart(const struct mkfs_options *o, const char **name,
			     int i, struct ek_err *err)
{
	for (int j = 0; j < i; j++)
		if (name[j] && same_file(name[j], name[i]))
			return ek_fail(err, EK_INVALID,
				       "%s: two outputs cannot be one file",
				       name[i]);
	for (size_t k = 0; k < o->n_sources; k++)
		if (same_file(o->sources[k], name[i]))
			return ek_fail(err, EK_INVALID,
				       "%s: is a source and cannot be an "
				       "output",
				       name[i]);
	for (size_t k = 0; k < o->n_devices; k++)
		if (same_file(o->devices[k], name[i]))
			return ek_fail(err, EK_INVALID,
				       "%s: is a device of a source and cannot "
				       "be an output",
				       name[i]);
	return EK_OK;
}

/*
 * An old output inside the source is no part of the tree, or a second run with
 * the same arguments would give another image.
 */
static ek_status leave_out(struct mkfs_options *o, const char *name,
			   struct ek_err *err)
{
	char *path = resolve(name);
	char *source = o->n_sources ? realpath(o->sources[0], NULL) : NULL;
	ek_status s = EK_OK;

	if (path && source) {
		size_t n = strcmp(source, "/") ? strlen(source) : 0;

		if (strncmp(path, source, n) == 0 && path[n] == '/')
			s = mkfs_exclude(o, path + n + 1, err);
	}
	free(path);
	free(source);
	return s;
}

static ek_status open_all(struct outputs *out, struct mkfs_options *o,
			  struct ek_err *err)
{
	const struct ek_outfile_options how = {
		.size = sizeof(how),
		.no_sync = o->no_sync,
	};
	const char *name[OUTPUTS];

	names_of(o, name);
	o->walk.skip_fds = out->fds;
	o->walk.n_skip_fds = 0;
	for (int i = 0; i < OUTPUTS; i++) {
		if (!name[i])
			continue;
		CLI_TRY(check_apart(o, name, i, err));
		CLI_TRY(leave_out(o, name[i], err));
		CLI_TRY(ek_outfile_open(name[i], &how, &out->file[i], err));
		open_files[i] = out->file[i];
		out->fds[o->walk.n_skip_fds++] = ek_outfile_fd(out->file[i]);
	}
	return EK_OK;
}

ek_status outputs_open(struct outputs *out, struct mkfs_options *o,
		       struct ek_err *err)
{
	ek_status s;

	memset(out, 0, sizeof(*out));
	s = open_all(out, o, err);
	if (s != EK_OK)
		outputs_abort(out);
	return s;
}

void outputs_abort(struct outputs *out)
{
	for (int i = 0; i < OUTPUTS; i++) {
		open_files[i] = NULL;
		ek_outfile_abort(out->file[i]);
		out->file[i] = NULL;
	}
}

ek_status outputs_commit(struct outputs *out, struct ek_err *err)
{
	for (int i = 0; i < OUTPUTS; i++) {
		struct ek_outfile *file = out->file[i];
		ek_status s;

		if (!file)
			continue;
		open_files[i] = NULL;
		out->file[i] = NULL;
		s = ek_outfile_commit(file, err);
		if (s != EK_OK) {
			outputs_abort(out);
			return s;
		}
	}
	return EK_OK;
}

/* Not every file system has files without a name. */
static int unnamed(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *path;

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR &&
			errno != ENOENT && errno != EINVAL))
		return fd;
	if (asprintf(&path, "%s/.erofs.XXXXXX", dir) < 0)
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	free(path);
	return fd;
}

ek_status outputs_spool(const struct outputs *out, const struct mkfs_options *o,
			int *fd, struct ek_err *err)
{
	char *path = NULL, *slash;
	const char *dir = ".";

	/* Beside a device is /dev, which is in memory. */
	if (!ek_outfile_in_place(out->file[OUT_IMAGE]))
		path = resolve(o->image);
	slash = path ? strrchr(path, '/') : NULL;
	if (slash) {
		*slash = 0;
		dir = slash == path ? "/" : path;
	}
	*fd = unnamed(dir);
	if (*fd < 0)
		ek_fail_sys(err, errno, "%s: cannot keep the data of a stream",
			    dir);
	free(path);
	return *fd < 0 ? EK_IO : EK_OK;
}
