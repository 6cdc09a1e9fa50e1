/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/store/priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char version[] = "erofskit store 1\n";

static ek_status open_dir(const char *path, int *fd, struct ek_err *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return ek_fail_sys(err, errno, "%s: cannot make the store",
				   path);
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "%s: cannot open the store",
				   path);
	if (flock(*fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return ek_fail(err, EK_EXISTS,
			       "%s: another process has the store", path);
	/* A second owner would punch what the first believes to have. */
	if (flock(*fd, LOCK_EX | LOCK_NB) < 0)
		return ek_fail_sys(err, errno, "%s: cannot lock the store",
				   path);
	return EK_OK;
}

/* Whether nothing but what a killed maker, or mkfs, left is in there. */
static bool is_empty(int dir)
{
	static const char *const ours[] = {".",		  "..",	    "version",
					   "version.new", ".probe", "blobs",
					   "lost+found"};
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool empty = d != NULL;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (empty && (e = readdir(d))) {
		bool known = false;

		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			known |= strcmp(e->d_name, ours[i]) == 0;
		empty = known;
	}
	closedir(d);
	return empty;
}

/*
 * A new store. The version is on the disk before anything else is made, for a
 * store of no known version is refused.
 */
static ek_status put_version(int dir, struct ek_err *err)
{
	int fd, sys;

	EKD_TRY(ekd_put(dir, "version", version, sizeof(version) - 1, err));
	fd = openat(dir, "version", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return ek_fail_sys(err, errno, "version");
	if (fsync(fd) == 0 && fsync(dir) == 0) {
		close(fd);
		return EK_OK;
	}
	sys = errno;
	close(fd);
	return ek_fail_sys(err, sys, "the store's version");
}

/* Which version the directory has; a new one gets ours. */
static ek_status check_version(int dir, const char *path, struct ek_err *err)
{
	size_t n = 0, ours = sizeof(version) - 1;
	uint8_t *text = NULL;
	ek_status status = ekd_load(dir, "version", 64, &text, &n, err);
	bool same;

	if (status == EK_NOTFOUND && is_empty(dir))
		return put_version(dir, err);
	if (status == EK_NOTFOUND)
		return ek_fail(err, EK_INVALID, "%s: neither empty nor a store",
			       path);
	if (status == EK_CORRUPT)
		return ek_fail(err, EK_UNSUPPORTED,
			       "%s: a store of an unknown version", path);
	if (status != EK_OK)
		return status;
	same = n == ours && memcmp(text, version, ours) == 0;
	free(text);
	/* The power went while it was made. */
	if (!n && is_empty(dir))
		return put_version(dir, err);
	if (!same)
		return ek_fail(err, EK_UNSUPPORTED,
			       "%s: a store of another version; this program "
			       "has version 1",
			       path);
	return EK_OK;
}

static ek_status open_files(struct ekd_store *s, const char *path,
			    struct ek_err *err)
{
	EKD_TRY(open_dir(path, &s->dir, err));
	EKD_TRY(check_version(s->dir, path, err));
	if (mkdirat(s->dir, "blobs", 0700) < 0 && errno != EEXIST)
		return ek_fail_sys(err, errno, "%s: cannot make blobs", path);
	s->blobs = openat(s->dir, "blobs",
			  O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->blobs < 0)
		return ek_fail_sys(err, errno, "%s: cannot open blobs", path);
	EKD_TRY(ekd_probe_holes(s->dir, err));
	return ekd_list_load(s, err);
}

static struct ekd_store *new_store(const struct ekd_store_options *options)
{
	struct ekd_store *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	s->dir = s->blobs = -1;
	if (options)
		s->options = *options;
	if (s->options.hooks)
		s->hooks = *s->options.hooks;
	if (!s->options.checkpoint_bytes)
		s->options.checkpoint_bytes = 64u << 20;
	if (!s->options.checkpoint_ms)
		s->options.checkpoint_ms = 2000;
	pthread_mutex_init(&s->work, NULL);
	pthread_mutex_init(&s->evict, NULL);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->entries, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->keeper_wake, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

static void free_store(struct ekd_store *s)
{
	while (s->list) {
		struct ekd_entry *e = s->list;

		EKD_BUG_ON(e->blob);
		s->list = e->next;
		free(e);
	}
	if (s->blobs >= 0)
		close(s->blobs);
	if (s->dir >= 0)
		close(s->dir); /* and unlocks it */
	pthread_cond_destroy(&s->keeper_wake);
	pthread_cond_destroy(&s->entries);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->evict);
	pthread_mutex_destroy(&s->work);
	free(s);
}

ek_status ekd_store_open(const char *path,
			 const struct ekd_store_options *options,
			 struct ekd_store **store, struct ek_err *err)
{
	struct ekd_store *s = new_store(options);
	ek_status status;

	if (!s)
		return ek_fail(err, EK_NOMEM, "no memory for the store");
	status = open_files(s, path, err);
	if (status == EK_OK)
		status = ekd_keeper_start(s, err);
	if (status != EK_OK) {
		free_store(s);
		return status;
	}
	*store = s;
	return EK_OK;
}

void ekd_store_close(struct ekd_store *s)
{
	if (!s)
		return;
	ekd_keeper_stop(s);
	free_store(s);
}
