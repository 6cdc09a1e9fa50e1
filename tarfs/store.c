/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/store.h"

#include "cli/leaves.h"
#include "cli/options.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often a directory may vanish while we wait for its lock. */
#define ATTEMPTS 100

/* Where files may be, the innermost first. */
static const char *const subdirs[] = {"layers", "leaves", "blobs/sha256",
				      "blobs"};
#define N_SUBDIRS (sizeof(subdirs) / sizeof(subdirs[0]))

static ek_status no_memory(struct ek_err *err)
{
	return ek_fail(err, EK_NOMEM, "no memory");
}

ek_status store_path(const struct store *s, const char *name, char **path,
		     struct ek_err *err)
{
	if (asprintf(path, "%s/%s", s->path, name) < 0) {
		*path = NULL;
		return no_memory(err);
	}
	return EK_OK;
}

/* One try; *again when the directory was removed before we had its lock. */
static ek_status lock(struct store *s, const char *path, bool *again,
		      struct ek_err *err)
{
	struct stat have, named;

	*again = false;
	s->made = mkdir(path, 0777) == 0;
	if (!s->made && errno != EEXIST)
		return ek_fail_sys(err, errno, "%s: cannot make it", path);
	s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return ek_fail_sys(err, errno, "%s", path);
	if (flock(s->dir, LOCK_EX) < 0)
		return ek_fail_sys(err, errno, "%s: cannot lock it", path);
	if (fstat(s->dir, &have) == 0 && stat(path, &named) == 0 &&
	    have.st_dev == named.st_dev && have.st_ino == named.st_ino)
		return EK_OK;
	close(s->dir);
	s->dir = -1;
	*again = true;
	return EK_OK;
}

/* ".NAME.XXXXXX" of outfile.h, or ".input.tar" on its way to its name. */
static bool is_temporary(const char *name, bool top)
{
	static const char *const ours[] = {
		".image.json.",	 ".index.json.", ".merged.erofs.",
		".config.json.", ".oci-layout.", "..input.tar.",
	};
	size_t n = strlen(name);

	if (strcmp(name, ".input.tar") == 0)
		return true;
	if (n < 9 || name[0] != '.' || name[n - 7] != '.')
		return false;
	for (size_t i = 0; top && i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strlen(ours[i]) + 6 == n &&
		    strncmp(name, ours[i], n - 6) == 0)
			return true;
	return !top;
}

/*
 * Remove what a convert that was killed has left in @dir. Whoever writes here
 * has the lock, and we have it now.
 */
static void clean(const struct store *s, const char *dir, bool top)
{
	int fd = openat(s->dir, dir,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)))
		if (is_temporary(e->d_name, top))
			unlinkat(fd, e->d_name, 0);
	closedir(d);
}

ek_status store_open(struct store *s, const char *path, const char *mark,
		     bool force, bool no_sync, struct ek_err *err)
{
	bool again = true;

	*s = (struct store){.dir = -1, .mark = mark, .no_sync = no_sync};
	for (int i = 0; again && i < ATTEMPTS; i++)
		CLI_TRY(lock(s, path, &again, err));
	if (again)
		return ek_fail(err, EK_CHANGED, "%s: is removed all the time",
			       path);
	s->path = realpath(path, NULL);
	if (!s->path)
		return ek_fail_sys(err, errno, "%s", path);
	s->replace = faccessat(s->dir, mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (s->replace && !force)
		return ek_fail(err, EK_EXISTS,
			       "%s: is complete already (--force replaces it)",
			       path);
	clean(s, ".", true);
	for (size_t i = 0; i < N_SUBDIRS; i++)
		clean(s, subdirs[i], false);
	return EK_OK;
}

static ek_status make_parents(const struct store *s, const char *name,
			      struct ek_err *err)
{
	char part[256];

	for (const char *p = strchr(name, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(p - name), name);
		if (mkdirat(s->dir, part, 0777) < 0 && errno != EEXIST)
			return ek_fail_sys(err, errno, "%s/%s", s->path, part);
	}
	return EK_OK;
}

ek_status store_file(struct store *s, const char *name, int *fd, size_t *number,
		     struct ek_err *err)
{
	const struct ek_outfile_options how = {.size = sizeof(how),
					       .no_sync = s->no_sync};
	struct store_file *at =
		reallocarray(s->files, s->n + 1, sizeof(*s->files));
	char *path = NULL;
	ek_status status;

	if (!at)
		return no_memory(err);
	s->files = at;
	CLI_TRY(make_parents(s, name, err));
	at += s->n;
	*at = (struct store_file){.name = strdup(name)};
	if (!at->name)
		return no_memory(err);
	s->n++;
	CLI_TRY(store_path(s, name, &path, err));
	status = ek_outfile_open(path, &how, &at->out, err);
	free(path);
	if (status != EK_OK) {
		at->out = NULL;
		return status;
	}
	*fd = ek_outfile_fd(at->out);
	*number = s->n - 1;
	return EK_OK;
}

ek_status store_rename(struct store *s, size_t number, const char *name,
		       struct ek_err *err)
{
	free(s->files[number].rename);
	s->files[number].rename = strdup(name);
	if (!s->files[number].rename)
		return no_memory(err);
	return make_parents(s, name, err);
}

void store_drop(struct store *s, size_t number)
{
	ek_outfile_abort(s->files[number].out);
	s->files[number].out = NULL;
	free(s->files[number].name);
	s->files[number].name = NULL;
}

ek_status store_put(struct store *s, const char *name, const void *bytes,
		    size_t n, struct ek_err *err)
{
	size_t number;
	int fd;

	CLI_TRY(store_file(s, name, &fd, &number, err));
	return cli_write_all(fd, name, bytes, n, err);
}

static bool has(const struct store *s, const char *dir, const char *name)
{
	size_t n = strlen(dir);

	for (size_t i = 0; i < s->n; i++) {
		const char *have = s->files[i].name;

		if (have && strncmp(have, dir, n) == 0 && have[n] == '/' &&
		    strcmp(have + n + 1, name) == 0)
			return true;
	}
	return false;
}

/* What is in @dir and is none of ours; only names that we would give. */
static void sweep(const struct store *s, const char *dir)
{
	int fd = openat(s->dir, dir,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && !has(s, dir, e->d_name))
			unlinkat(fd, e->d_name, 0);
	closedir(d);
}

/* Files at the top that not every image has. */
static void sweep_top(const struct store *s)
{
	static const char *const names[] = {"archive.tar", "config.json"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		bool ours = false;

		for (size_t k = 0; k < s->n; k++)
			ours |= s->files[k].name &&
				strcmp(s->files[k].name, names[i]) == 0;
		if (!ours)
			unlinkat(s->dir, names[i], 0);
	}
}

static ek_status publish(struct store *s, struct store_file *f,
			 struct ek_err *err)
{
	struct ek_outfile *out = f->out;

	if (!out)
		return EK_OK;
	/* From here on the old image is no more. */
	if (s->replace && unlinkat(s->dir, s->mark, 0) < 0)
		return ek_fail_sys(err, errno, "%s/%s", s->path, s->mark);
	s->replace = false;
	f->out = NULL;
	CLI_TRY(ek_outfile_commit(out, err));
	if (!f->rename)
		return EK_OK;
	if (renameat(s->dir, f->name, s->dir, f->rename) < 0)
		return ek_fail_sys(err, errno, "%s/%s", s->path, f->rename);
	free(f->name);
	f->name = f->rename;
	f->rename = NULL;
	return EK_OK;
}

ek_status store_commit(struct store *s, struct ek_err *err)
{
	bool replaced = s->replace;

	for (size_t i = 0; i < s->n; i++)
		CLI_TRY(publish(s, &s->files[i], err));
	s->published = true;
	for (size_t i = 0; replaced && i < N_SUBDIRS; i++)
		sweep(s, subdirs[i]);
	if (replaced)
		sweep_top(s);
	return EK_OK;
}

static void undo(struct store *s)
{
	for (size_t i = 0; i < s->n; i++) {
		ek_outfile_abort(s->files[i].out);
		s->files[i].out = NULL;
	}
	for (size_t i = 0; s->made && i < s->n; i++) {
		if (s->files[i].name)
			unlinkat(s->dir, s->files[i].name, 0);
	}
	/* Those that are empty. */
	for (size_t i = 0; i < N_SUBDIRS; i++)
		unlinkat(s->dir, subdirs[i], AT_REMOVEDIR);
	if (s->made && s->path)
		rmdir(s->path);
}

void store_close(struct store *s)
{
	if (!s->published && s->dir >= 0)
		undo(s);
	for (size_t i = 0; i < s->n; i++) {
		free(s->files[i].name);
		free(s->files[i].rename);
	}
	free(s->files);
	free(s->path);
	if (s->dir >= 0)
		close(s->dir);
	*s = (struct store){.dir = -1};
}
