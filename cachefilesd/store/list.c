/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The list of blobs. An entry is free, busy (one thread opens, closes or
 * removes it; others wait), or has an open blob with users.
 */

#include "cachefilesd/store/priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct ekd_entry *find(const struct ekd_store *s, const char *name)
{
	struct ekd_entry *e = s->list;

	while (e && strcmp(e->name, name) != 0)
		e = e->next;
	return e;
}

static struct ekd_entry *add(struct ekd_store *s, const char *name)
{
	struct ekd_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	memcpy(e->name, name, strlen(name) + 1);
	e->next = s->list;
	s->list = e;
	s->stats.blobs++;
	return e;
}

struct ekd_entry *ekd_entry_claim(struct ekd_store *s, const char *name,
				  bool make, struct ekd_blob **open)
{
	struct ekd_entry *e;

	*open = NULL;
	pthread_mutex_lock(&s->lock);
	while ((e = find(s, name)) && e->busy)
		pthread_cond_wait(&s->entries, &s->lock);
	if (!e && make)
		e = add(s, name);
	if (e && e->blob) {
		e->blob->users++;
		*open = e->blob;
	} else if (e) {
		e->busy = true;
	}
	pthread_mutex_unlock(&s->lock);
	return e;
}

static void unlink_entry(struct ekd_store *s, struct ekd_entry *e)
{
	struct ekd_entry **at = &s->list;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	s->stats.blobs--;
	free(e);
}

void ekd_entry_release(struct ekd_store *s, struct ekd_entry *e, bool gone)
{
	pthread_mutex_lock(&s->lock);
	if (gone)
		unlink_entry(s, e);
	else
		e->busy = false;
	pthread_cond_broadcast(&s->entries);
	pthread_mutex_unlock(&s->lock);
}

struct ekd_entry *ekd_entry_oldest(struct ekd_store *s)
{
	struct ekd_entry *oldest = NULL;

	pthread_mutex_lock(&s->lock);
	for (struct ekd_entry *e = s->list; e; e = e->next)
		if (!e->busy && !e->blob &&
		    (!oldest || e->used_s <= oldest->used_s))
			oldest = e;
	if (oldest)
		oldest->busy = true;
	pthread_mutex_unlock(&s->lock);
	return oldest;
}

ek_status ekd_entry_remove(struct ekd_store *s, struct ekd_entry *e,
			   uint64_t *bytes, struct ek_err *err)
{
	ek_status status = ekd_remove(s, s->blobs, e->name, "meta", err);

	*bytes = 0;
	if (status == EK_OK) {
		*bytes = e->bytes;
		ekd_account(s, 0, e->bytes);
	}
	ekd_entry_release(s, e, status == EK_OK);
	return status;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Note a blob's directory; one that was not made or removed whole goes. */
static ek_status note(struct ekd_store *s, const char *name, struct ek_err *err)
{
	struct ekd_entry *e;
	struct stat data = {0}, map;
	int fd = openat(s->blobs, name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	bool whole;

	if (fd < 0)
		return EK_OK; /* none of ours */
	whole = faccessat(fd, "meta", F_OK, 0) == 0 &&
		fstatat(fd, "data", &data, AT_SYMLINK_NOFOLLOW) == 0;
	if (fstatat(fd, "map", &map, AT_SYMLINK_NOFOLLOW) < 0)
		map = data; /* it will be made */
	close(fd);
	if (!whole)
		return ekd_remove(s, s->blobs, name, "meta", err);
	e = add(s, name);
	if (!e)
		return ek_fail(err, EK_NOMEM, "no memory for the list");
	e->size = (uint64_t)data.st_size;
	e->bytes = smaller((uint64_t)data.st_blocks * 512, e->size);
	e->used_s = (int64_t)map.st_mtim.tv_sec;
	s->stats.bytes += e->bytes;
	return EK_OK;
}

ek_status ekd_list_load(struct ekd_store *s, struct ek_err *err)
{
	int fd = openat(s->blobs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	ek_status status = EK_OK;
	const struct dirent *e;

	if (!d) {
		int sys = errno;

		if (fd >= 0)
			close(fd);
		return ek_fail_sys(err, sys, "cannot list the store");
	}
	while (status == EK_OK && (e = readdir(d)))
		if (ekd_good_name(e->d_name))
			status = note(s, e->d_name, err);
	closedir(d);
	return status;
}

ek_status ekd_hold_all(struct ekd_store *s, struct ekd_blob ***blobs, size_t *n,
		       struct ek_err *err)
{
	size_t count = 0;

	pthread_mutex_lock(&s->lock);
	*n = 0;
	*blobs = malloc(((size_t)s->stats.blobs + 1) *
			sizeof(struct ekd_blob *));
	if (*blobs) {
		for (struct ekd_entry *e = s->list; e; e = e->next) {
			if (!e->blob || e->busy)
				continue;
			e->blob->holds++;
			(*blobs)[count++] = e->blob;
		}
		*n = count;
	}
	pthread_mutex_unlock(&s->lock);
	return *blobs ? EK_OK : ek_fail(err, EK_NOMEM, "no memory for a pass");
}

/* What of an open blob is here; store->lock is held. */
static uint64_t bytes_here(const struct ekd_blob *b)
{
	uint32_t present = atomic_load(&b->present);

	if (present == b->leaves->n)
		return b->leaves->blob_size;
	return (uint64_t)present * b->leaves->leaf_size;
}

static bool is_complete(const struct ekd_entry *e)
{
	if (e->blob)
		return ekd_blob_complete(e->blob);
	return !e->busy && e->bytes >= e->size;
}

void ekd_store_list(struct ekd_store *s,
		    void (*tell)(void *arg, const struct ekd_store_item *item),
		    void *arg)
{
	pthread_mutex_lock(&s->lock);
	for (const struct ekd_entry *e = s->list; e; e = e->next) {
		struct ekd_store_item item = {
			.name = e->name,
			.size = e->size,
			.bytes = e->blob ? bytes_here(e->blob) : e->bytes,
			.open = e->blob != NULL,
			.complete = is_complete(e),
		};

		if (e->blob || !e->busy)
			tell(arg, &item);
	}
	pthread_mutex_unlock(&s->lock);
}

void ekd_store_stats(struct ekd_store *s, struct ekd_store_stats *stats)
{
	pthread_mutex_lock(&s->lock);
	*stats = s->stats;
	stats->quota = s->options.quota;
	stats->complete_blobs = 0;
	for (const struct ekd_entry *e = s->list; e; e = e->next)
		stats->complete_blobs += is_complete(e);
	pthread_mutex_unlock(&s->lock);
}
