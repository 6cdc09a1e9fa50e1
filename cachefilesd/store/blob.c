/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/store/priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct ekd_blob *new_blob(struct ekd_store *s, struct ekd_entry *e)
{
	struct ekd_blob *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->store = s;
	b->entry = e;
	b->fd = b->map_fd = -1;
	pthread_mutex_init(&b->wait_lock, NULL);
	pthread_mutex_init(&b->map_lock, NULL);
	pthread_cond_init(&b->settled, NULL);
	return b;
}

static void free_blob(struct ekd_blob *b)
{
	if (b->fd >= 0)
		close(b->fd);
	if (b->map_fd >= 0)
		close(b->map_fd);
	ek_leaves_free(b->leaves);
	free(b->recipe);
	free(b->words);
	free(b->used);
	free(b->disk);
	free(b->claimed);
	pthread_cond_destroy(&b->settled);
	pthread_mutex_destroy(&b->map_lock);
	pthread_mutex_destroy(&b->wait_lock);
	free(b);
}

/* Bytes of leaves that have data, as they were counted. */
static uint64_t counted(const struct ekd_blob *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < b->leaves->n; i++)
		if (atomic_load(&b->words[i]) & (EKD_PRESENT | EKD_SUSPECT))
			sum += ek_leaf_length(b->leaves, i);
	return sum;
}

static ek_status open_files(struct ekd_blob *b, const struct ek_leaves *leaves,
			    const uint8_t *root, const char *recipe,
			    struct ek_err *err)
{
	struct ek_err own;
	ek_status status = ekd_files_open(b, leaves, root, recipe, &own);

	/* On a full disk something else may go, and then once more. */
	if (status != EK_OK && leaves && ekd_is_full(status, &own) &&
	    ekd_make_room(b->store, 1 << 20, NULL) == EK_OK)
		status = ekd_files_open(b, leaves, root, recipe, &own);
	if (status != EK_OK && err)
		*err = own;
	return status;
}

/* The claimed entry gets its blob. */
static void publish(struct ekd_store *s, struct ekd_entry *e,
		    struct ekd_blob *b)
{
	uint64_t bytes = counted(b);

	pthread_mutex_lock(&s->lock);
	s->stats.bytes = s->stats.bytes - e->bytes + bytes;
	e->size = b->leaves->blob_size;
	e->blob = b;
	b->users = 1;
	e->busy = false;
	if (atomic_load(&b->suspects)) {
		s->suspects = true;
		pthread_cond_signal(&s->keeper_wake);
	}
	pthread_cond_broadcast(&s->entries);
	pthread_mutex_unlock(&s->lock);
}

/* The files may be gone, or half made and then removed. */
static void give_up(struct ekd_store *s, struct ekd_entry *e)
{
	struct stat st;
	bool gone = fstatat(s->blobs, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0;

	if (gone)
		ekd_account(s, 0, e->bytes);
	ekd_entry_release(s, e, gone);
}

static ek_status open_shared(struct ekd_blob *open, const uint8_t *root,
			     struct ekd_blob **blob, struct ek_err *err)
{
	if (root && memcmp(open->leaves->root, root, 32) != 0) {
		ek_fail(err, EK_DIFFERS, "%s is in use with another root",
			open->entry->name);
		ekd_blob_close(open);
		return EK_DIFFERS;
	}
	*blob = open;
	return EK_OK;
}

static ek_status open_blob(struct ekd_store *s, const char *name,
			   const struct ek_leaves *leaves, const uint8_t *root,
			   const char *recipe, struct ekd_blob **blob,
			   struct ek_err *err)
{
	struct ekd_blob *open, *b;
	struct ekd_entry *e;
	ek_status status = EK_NOMEM;

	if (!ekd_good_name(name))
		return ek_fail(err, EK_INVALID, "not a name of a blob");
	if (recipe && strlen(recipe) > EKD_RECIPE_MAX)
		return ek_fail(err, EK_LIMIT, "a recipe of more than %u bytes",
			       EKD_RECIPE_MAX);
	e = ekd_entry_claim(s, name, leaves != NULL, &open);
	if (!e && !leaves)
		return ek_fail(err, EK_NOTFOUND, "no blob %s", name);
	if (!e)
		return ek_fail(err, EK_NOMEM, "no memory for blob %s", name);
	if (open)
		return open_shared(open, root, blob, err);
	b = new_blob(s, e);
	if (b)
		status = open_files(b, leaves, root, recipe, err);
	else
		ek_fail(err, EK_NOMEM, "no memory for blob %s", name);
	if (status != EK_OK) {
		if (b)
			free_blob(b);
		give_up(s, e);
		return status;
	}
	publish(s, e, b);
	*blob = b;
	return EK_OK;
}

ek_status ekd_blob_open(struct ekd_store *s, const char *name,
			const struct ek_leaves *leaves, const char *recipe,
			struct ekd_blob **blob, struct ek_err *err)
{
	return open_blob(s, name, leaves, leaves->root, recipe, blob, err);
}

ek_status ekd_blob_find(struct ekd_store *s, const char *name,
			const uint8_t *root, struct ekd_blob **blob,
			struct ek_err *err)
{
	return open_blob(s, name, NULL, root, NULL, blob, err);
}

/*
 * With nobody left, put the blob away. store->lock is held, and released. A
 * checkpoint that fails costs a comparison at the next opening.
 */
static void put_away(struct ekd_blob *b)
{
	struct ekd_store *s = b->store;
	struct ekd_entry *e = b->entry;
	struct timespec now;

	if (b->users || b->holds || e->busy) {
		pthread_mutex_unlock(&s->lock);
		return;
	}
	e->busy = true;
	pthread_mutex_unlock(&s->lock);
	EKD_BUG_ON(atomic_load(&b->pins));
	ekd_blob_checkpoint(b, NULL);
	futimens(b->map_fd, NULL); /* when it was last in use */
	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&s->lock);
	e->bytes = counted(b);
	e->used_s = (int64_t)now.tv_sec;
	e->blob = NULL;
	e->busy = false;
	pthread_cond_broadcast(&s->entries);
	pthread_mutex_unlock(&s->lock);
	free_blob(b);
}

void ekd_blob_close(struct ekd_blob *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->store->lock);
	EKD_BUG_ON(b->users == 0);
	b->users--;
	put_away(b);
}

void ekd_blob_unhold(struct ekd_blob *b)
{
	pthread_mutex_lock(&b->store->lock);
	b->holds--;
	put_away(b);
}

uint64_t ekd_blob_size(const struct ekd_blob *b)
{
	return b->leaves->blob_size;
}

const struct ek_leaves *ekd_blob_leaves(const struct ekd_blob *b)
{
	return b->leaves;
}

const char *ekd_blob_name(const struct ekd_blob *b)
{
	return b->entry->name;
}

const char *ekd_blob_recipe(const struct ekd_blob *b)
{
	return b->recipe;
}

int ekd_blob_fd(const struct ekd_blob *b)
{
	return b->fd;
}

bool ekd_blob_complete(const struct ekd_blob *b)
{
	return atomic_load(&b->present) == b->leaves->n;
}

uint32_t ekd_blob_present(const struct ekd_blob *b)
{
	return atomic_load(&b->present);
}

void ekd_blob_pin(struct ekd_blob *b)
{
	/* An eviction that is under way ends first. */
	pthread_mutex_lock(&b->map_lock);
	atomic_fetch_add(&b->pins, 1);
	pthread_mutex_unlock(&b->map_lock);
}

static ek_status sync_whole(struct ekd_blob *b, struct ek_err *err)
{
	/* A fill tells that it is here before that the map is behind. */
	atomic_store(&b->dirty, true);
	EKD_TRY(ekd_blob_checkpoint(b, err));
	if (!ekd_blob_complete(b))
		return ek_fail(err, EK_NOTFOUND, "%s is not whole here",
			       b->entry->name);
	return atomic_load(&b->lent) ? EK_OK : ekd_files_lent(b, err);
}

ek_status ekd_blob_lend(struct ekd_blob *b, struct ek_err *err)
{
	ek_status status;

	/* Asked before, an eviction under way would not be noticed. */
	ekd_blob_pin(b);
	if (ekd_blob_complete(b))
		status = sync_whole(b, err);
	else
		status = ek_fail(err, EK_NOTFOUND, "%s is not whole here",
				 b->entry->name);
	if (status != EK_OK)
		ekd_blob_unpin(b);
	return status;
}

void ekd_blob_unpin(struct ekd_blob *b)
{
	EKD_BUG_ON(atomic_fetch_sub(&b->pins, 1) == 0);
}
