/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/share.h"

#include "cli/leaves.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* To be raised with every change of what layers.c makes of the same tar. */
#define INDEX_VERSION 2u

#define KEY_DIGITS 16
#define SEAL_MAX   512

bool share_has_index(const struct image *image, size_t i,
		     const struct tarfs_options *o)
{
	const struct image_layer *l = &image->layers[image->layers[i].same];

	return o->share && l->diff_id && (l->checked || l->shared_fd >= 0);
}

/* The name of an index of @l, and with another @end that of its seal. */
static ek_status name_of(const struct tarfs_options *o,
			 const struct image_layer *l, const char *end,
			 char **path, struct ek_err *err)
{
	const struct ek_build_options *b = &o->build;
	uint8_t sha[EK_DIGEST_SIZE];
	char text[256], hex[65];
	int n;

	n = snprintf(text, sizeof(text), "%u %s %d %lld %llu %llu",
		     INDEX_VERSION, PACKAGE_VERSION, (int)b->time_mode,
		     (long long)b->fixed_time,
		     (unsigned long long)l->data.offset,
		     (unsigned long long)l->data.file_bytes);
	CLI_TRY(tarfs_sha256(text, (size_t)n, sha, err));
	ek_digest_hex(sha, hex);
	snprintf(text, sizeof(text), "-%.*s%s", KEY_DIGITS, hex, end);
	return share_path(o, "indexes", l, text, path, err);
}

/* *fd -1: there is none. What is not a file is not ours to replace. */
static ek_status open_plain(const char *path, int *fd, uint64_t *bytes,
			    struct ek_err *err)
{
	struct stat st;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*fd < 0 && errno == ENOENT)
		return EK_OK;
	if (*fd < 0 && errno != ELOOP)
		return ek_fail_sys(err, errno, "%s", path);
	if (*fd >= 0 && fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) {
		*bytes = (uint64_t)st.st_size;
		return EK_OK;
	}
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return ek_fail(err, EK_CHANGED, "%s: is not a file", path);
}

static int seal_text(char text[SEAL_MAX], const struct image_layer *l,
		     const struct ek_layer_notes *n, const char *hex)
{
	return snprintf(text, SEAL_MAX,
			"index %u\nbytes %llu\ninodes %llu\ncopied %llu\n"
			"unknown %llu\nacls %llu\nxattrs %llu\n"
			"trailing %d\nsha256 %s\n",
			INDEX_VERSION, (unsigned long long)l->index_bytes,
			(unsigned long long)l->inodes,
			(unsigned long long)l->copied_files,
			(unsigned long long)n->unknown_members,
			(unsigned long long)n->dropped_acls,
			(unsigned long long)n->dropped_xattrs,
			n->trailing_bytes, hex);
}

/* False: not what seal_text() makes. */
static bool seal_parse(const char *text, struct image_layer *l,
		       struct ek_layer_notes *n, char hex[65])
{
	unsigned long long v[6];
	char again[SEAL_MAX];
	unsigned version;
	int trailing;

	if (sscanf(text,
		   "index %u\nbytes %llu\ninodes %llu\ncopied %llu\n"
		   "unknown %llu\nacls %llu\nxattrs %llu\n"
		   "trailing %d\nsha256 %64s\n",
		   &version, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
		   &trailing, hex) != 9)
		return false;
	l->index_bytes = v[0];
	l->inodes = v[1];
	l->copied_files = v[2];
	n->unknown_members = v[3];
	n->dropped_acls = v[4];
	n->dropped_xattrs = v[5];
	n->trailing_bytes = trailing != 0;
	seal_text(again, l, n, hex);
	return strcmp(text, again) == 0;
}

/* *whole: there is a seal, and what it says is in @l, @n and @hex. */
static ek_status seal_read(const char *path, struct image_layer *l,
			   struct ek_layer_notes *n, char hex[65], bool *whole,
			   struct ek_err *err)
{
	char text[SEAL_MAX];
	uint64_t bytes;
	ssize_t got;
	int fd;

	*whole = false;
	CLI_TRY(open_plain(path, &fd, &bytes, err));
	if (fd < 0)
		return EK_OK;
	got = read(fd, text, sizeof(text) - 1);
	if (got < 0) {
		ek_fail_sys(err, errno, "%s", path);
		close(fd);
		return err->status;
	}
	close(fd);
	text[got] = '\0';
	*whole = seal_parse(text, l, n, hex);
	return EK_OK;
}

static ek_status index_whole(const char *path, const struct image_layer *l,
			     const char *want, const volatile int *cancel,
			     bool *whole, struct ek_err *err)
{
	uint8_t sha[EK_DIGEST_SIZE];
	uint64_t bytes;
	char hex[65];
	ek_status s;
	int fd;

	*whole = false;
	CLI_TRY(open_plain(path, &fd, &bytes, err));
	if (fd < 0)
		return EK_OK;
	if (bytes != l->index_bytes) {
		close(fd);
		return EK_OK;
	}
	s = tarfs_digest_fd(fd, path, cancel, sha, err);
	close(fd);
	if (s == EK_OK) {
		ek_digest_hex(sha, hex);
		*whole = strcmp(hex, want) == 0;
	}
	return s;
}

ek_status share_find_index(const struct tarfs_options *o, struct image_layer *l,
			   struct ek_layer_notes *notes, bool *found,
			   struct ek_err *err)
{
	char *path, hex[65];
	ek_status s;

	*notes = (struct ek_layer_notes){0};
	CLI_TRY(name_of(o, l, ".seal", &path, err));
	s = seal_read(path, l, notes, hex, found, err);
	free(path);
	if (s != EK_OK || !*found)
		return s;
	CLI_TRY(name_of(o, l, ".erofs", &path, err));
	s = index_whole(path, l, hex, o->build.cancel, found, err);
	if (s == EK_OK && *found)
		s = image_set(&l->index, path, err);
	free(path);
	return s;
}

/* What one that was killed has left: whoever writes here has the lock. */
static void clean(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)))
		if (strncmp(e->d_name, ".sha256-", 8) == 0)
			unlinkat(dir, e->d_name, 0);
	closedir(d);
}

ek_status share_lock_indexes(const struct tarfs_options *o, int *fd,
			     struct ek_err *err)
{
	char *path;
	int dir, got;

	if (asprintf(&path, "%s/indexes", o->share) < 0)
		return ek_fail(err, EK_NOMEM, "no memory for a path");
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	do
		got = dir < 0 ? -1 : flock(dir, LOCK_EX);
	while (got < 0 && dir >= 0 && errno == EINTR &&
	       !(o->build.cancel && *o->build.cancel));
	if (got < 0) {
		ek_fail_sys(err, errno, "%s: cannot lock it", path);
		if (dir >= 0)
			close(dir);
	} else {
		clean(dir);
		*fd = dir;
	}
	free(path);
	return got < 0 ? err->status : EK_OK;
}

ek_status share_begin_index(const struct tarfs_options *o,
			    struct image_layer *l, struct ek_outfile **out,
			    struct ek_err *err)
{
	const struct ek_outfile_options how = {.size = sizeof(how),
					       .no_sync = o->no_sync};
	char *path;
	ek_status s;

	CLI_TRY(name_of(o, l, ".erofs", &path, err));
	s = image_set(&l->index, path, err);
	free(path);
	return s == EK_OK ? ek_outfile_open(l->index, &how, out, err) : s;
}

static ek_status put_seal(const struct tarfs_options *o, const char *path,
			  const char *text, struct ek_err *err)
{
	const struct ek_outfile_options how = {.size = sizeof(how),
					       .no_sync = o->no_sync};
	struct ek_outfile *out;

	CLI_TRY(ek_outfile_open(path, &how, &out, err));
	if (cli_write_all(ek_outfile_fd(out), path, text, strlen(text), err) !=
	    EK_OK) {
		ek_outfile_abort(out);
		return err->status;
	}
	return ek_outfile_commit(out, err);
}

ek_status share_commit_index(const struct tarfs_options *o,
			     const struct image_layer *l,
			     const struct ek_layer_notes *notes,
			     struct ek_outfile *out, struct ek_err *err)
{
	char text[SEAL_MAX], hex[65];
	uint8_t sha[EK_DIGEST_SIZE];
	char *path;
	ek_status s;

	s = tarfs_digest_fd(ek_outfile_fd(out), l->index, o->build.cancel, sha,
			    err);
	if (s != EK_OK) {
		ek_outfile_abort(out);
		return s;
	}
	ek_digest_hex(sha, hex);
	seal_text(text, l, notes, hex);
	CLI_TRY(ek_outfile_commit(out, err));
	CLI_TRY(name_of(o, l, ".seal", &path, err));
	s = put_seal(o, path, text, err);
	free(path);
	return s;
}
