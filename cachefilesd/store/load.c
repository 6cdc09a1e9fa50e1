/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The files of a blob, made or found. Nothing is synced when they are made:
 * each is checked when it is read, and what does not hold is made anew.
 */

#include "cachefilesd/store/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)

static ek_status encode_leaves(const struct ek_leaves *leaves, uint8_t **bytes,
			       size_t *n, struct ek_err *err)
{
	*n = ek_leaves_file_size(leaves);
	*bytes = malloc(*n);
	if (!*bytes)
		return ek_fail(err, EK_NOMEM, "no memory for leaf digests");
	ek_leaves_encode(leaves, *bytes);
	return EK_OK;
}

static ek_status alloc_state(struct ekd_blob *b, struct ek_err *err)
{
	size_t n = b->leaves->n;

	b->words = calloc(n + 1, sizeof(*b->words));
	b->used = calloc(n + 1, sizeof(*b->used));
	b->disk = calloc(n / 8 + 1, 1);
	b->claimed = calloc(n / 8 + 1, sizeof(*b->claimed));
	if (!b->words || !b->used || !b->disk || !b->claimed)
		return ek_fail(err, EK_NOMEM, "no memory for %zu leaves", n);
	b->map.n = b->leaves->n;
	b->map.leaf_size = b->leaves->leaf_size;
	b->map.blob_size = b->leaves->blob_size;
	memcpy(b->map.root, b->leaves->root, sizeof(b->map.root));
	return EK_OK;
}

static ek_status put_meta(const struct ekd_blob *b, int dir, struct ek_err *err)
{
	struct ekd_meta meta = {
		.blob_size = b->map.blob_size,
		.leaf_size = b->map.leaf_size,
		.recipe = b->recipe,
		.recipe_size = strlen(b->recipe),
	};
	char *text = malloc(EKD_META_MAX);
	ek_status status;

	if (!text)
		return ek_fail(err, EK_NOMEM, "no memory for meta");
	memcpy(meta.name, b->entry->name, sizeof(meta.name));
	memcpy(meta.root, b->map.root, sizeof(meta.root));
	memcpy(meta.generation, b->map.generation, EKD_GENERATION);
	status = ekd_put(dir, "meta", text, ekd_meta_encode(&meta, text), err);
	free(text);
	return status;
}

static ek_status keep_recipe(struct ekd_blob *b, const char *text, size_t n,
			     struct ek_err *err)
{
	free(b->recipe);
	b->recipe = malloc(n + 1);
	if (!b->recipe)
		return ek_fail(err, EK_NOMEM, "no memory for a recipe");
	if (n)
		memcpy(b->recipe, text, n);
	b->recipe[n] = '\0';
	return EK_OK;
}

/* Both slots, empty: from now on a map is written in place. */
static ek_status make_map(struct ekd_blob *b, int dir, struct ek_err *err)
{
	size_t size = ekd_map_slot_size(b->leaves->n);
	uint8_t *slot;
	ek_status status = EK_OK;

	b->map_fd = openat(dir, "map", OPEN_FLAGS | O_CREAT | O_TRUNC, 0600);
	if (b->map_fd < 0)
		return ek_fail_sys(err, errno, "cannot make map");
	slot = malloc(size);
	if (!slot)
		return ek_fail(err, EK_NOMEM, "no memory for a map");
	for (int i = 0; i < 2 && status == EK_OK; i++) {
		b->map.seq++;
		ekd_map_encode(&b->map, b->disk, slot);
		status = ekd_pwrite(b->store, b->map_fd, "map",
				    b->map.seq % 2 * size, slot, size, err);
	}
	free(slot);
	return status;
}

static ek_status make_files(struct ekd_blob *b, int dir,
			    const struct ek_leaves *leaves, struct ek_err *err)
{
	uint8_t *bytes = NULL;
	ek_status status;
	size_t n;

	ekd_step(b->store, EKD_STEP_CREATED);
	EKD_TRY(encode_leaves(leaves, &bytes, &n, err));
	status = ekd_put(dir, "leaves", bytes, n, err);
	if (status == EK_OK)
		status = ek_leaves_decode(bytes, n, leaves->root, &b->leaves,
					  err);
	free(bytes);
	EKD_TRY(status);
	ekd_step(b->store, EKD_STEP_LEAVES);
	EKD_TRY(alloc_state(b, err));
	if (getrandom(b->map.generation, EKD_GENERATION, 0) != EKD_GENERATION)
		return ek_fail_sys(err, errno, "no random numbers");
	b->fd = openat(dir, "data", OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
	if (b->fd < 0 || ftruncate(b->fd, (off_t)leaves->blob_size) < 0)
		return ek_fail_sys(err, errno, "cannot make data");
	ekd_step(b->store, EKD_STEP_DATA);
	EKD_TRY(make_map(b, dir, err));
	ekd_step(b->store, EKD_STEP_MAP);
	EKD_TRY(put_meta(b, dir, err));
	ekd_step(b->store, EKD_STEP_META);
	return EK_OK;
}

static ek_status make_blob(struct ekd_blob *b, const struct ek_leaves *leaves,
			   const char *recipe, struct ek_err *err)
{
	const char *name = b->entry->name;
	ek_status status;
	int dir;

	EKD_TRY(keep_recipe(b, recipe, recipe ? strlen(recipe) : 0, err));
	if (mkdirat(b->store->blobs, name, 0700) < 0)
		return ek_fail_sys(err, errno, "cannot make blob %s", name);
	dir = openat(b->store->blobs, name,
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return ek_fail_sys(err, errno, "cannot open blob %s", name);
	status = make_files(b, dir, leaves, err);
	close(dir);
	if (status != EK_OK)
		ekd_remove(b->store, b->store->blobs, name, "meta", NULL);
	return status;
}

/* The digests that the caller trusts, or with NULL those that lie there. */
static ek_status load_leaves(struct ekd_blob *b, int dir,
			     const struct ek_leaves *leaves,
			     const uint8_t *root, struct ek_err *err)
{
	size_t max = EK_LEAF_HEADER + (size_t)EK_LEAVES_MAX * 32, n = 0, ours;
	uint8_t *bytes = NULL, *mine = NULL;
	ek_status status = ekd_load(dir, "leaves", max, &bytes, &n, err);

	if (leaves) {
		status = encode_leaves(leaves, &mine, &ours, err);
		if (status == EK_OK &&
		    (!bytes || n != ours || memcmp(bytes, mine, n) != 0))
			status = ekd_put(dir, "leaves", mine, ours, err);
		if (status == EK_OK)
			status = ek_leaves_decode(mine, ours, root, &b->leaves,
						  err);
	} else if (status == EK_OK) {
		status = ek_leaves_decode(bytes, n, root, &b->leaves, err);
		if (status == EK_DIFFERS) /* from what meta says */
			status = EK_CORRUPT;
	}
	free(bytes);
	free(mine);
	return status;
}

static ek_status open_data(struct ekd_blob *b, int dir, struct ek_err *err)
{
	struct stat st;

	b->fd = openat(dir, "data", OPEN_FLAGS);
	if (b->fd < 0)
		return ek_fail_sys(err, errno, "data");
	if (fstat(b->fd, &st) < 0)
		return ek_fail_sys(err, errno, "data");
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return ek_fail(err, EK_CORRUPT, "data: not a file of its own");
	if ((uint64_t)st.st_size != b->map.blob_size &&
	    ftruncate(b->fd, (off_t)b->map.blob_size) < 0)
		return ek_fail_sys(err, errno, "data");
	return EK_OK;
}

/* Take slot @k if it fits this blob and is newer than what was taken. */
static void try_slot(struct ekd_blob *b, const uint8_t *file, int k,
		     uint8_t *bits)
{
	size_t size = ekd_map_slot_size(b->map.n);
	struct ekd_map map;

	if (ekd_map_decode(file + (size_t)k * size, size, b->map.n, &map, bits,
			   NULL) != EK_OK ||
	    map.seq % 2 != (uint64_t)k || map.seq <= b->map.seq ||
	    map.blob_size != b->map.blob_size ||
	    map.leaf_size != b->map.leaf_size ||
	    memcmp(map.root, b->map.root, sizeof(map.root)) != 0 ||
	    memcmp(map.generation, b->map.generation, EKD_GENERATION) != 0)
		return;
	b->map = map;
	memcpy(b->disk, bits, ekd_map_bytes(map.n));
}

/* Read the map, or make it when there is none of the right size. */
static ek_status open_map(struct ekd_blob *b, int dir, struct ek_err *err)
{
	size_t size = 2 * ekd_map_slot_size(b->map.n), n = 0;
	uint8_t *file = NULL, *bits;
	ek_status status = ekd_load(dir, "map", size, &file, &n, err);

	if (status == EK_NOMEM)
		return status;
	if (status != EK_OK || n != size) {
		free(file);
		return make_map(b, dir, err);
	}
	bits = malloc(ekd_map_bytes(b->map.n) + 1);
	if (bits) {
		try_slot(b, file, 0, bits);
		try_slot(b, file, 1, bits);
	}
	free(file);
	free(bits);
	if (!bits)
		return ek_fail(err, EK_NOMEM, "no memory for a map");
	b->map_fd = openat(dir, "map", OPEN_FLAGS);
	if (b->map_fd < 0)
		return ek_fail_sys(err, errno, "map");
	return EK_OK;
}

static void suspect(struct ekd_blob *b, uint64_t start, uint64_t end)
{
	uint32_t i = (uint32_t)(start / b->map.leaf_size);

	for (; i < b->map.n && ekd_leaf_start(b, i) < end; i++) {
		if (atomic_load(&b->words[i]))
			continue;
		atomic_store(&b->words[i], EKD_SUSPECT);
		atomic_fetch_add(&b->suspects, 1);
	}
}

/*
 * Every leaf of which the data file has a part. What a predecessor could not
 * sync may be in the page cache, as clean, and not on the disk: what is
 * compared comes from there.
 */
static ek_status suspect_all(struct ekd_blob *b, struct ek_err *err)
{
	off_t at = 0, hole;

	posix_fadvise(b->fd, 0, 0, POSIX_FADV_DONTNEED);

	for (;;) {
		at = lseek(b->fd, at, SEEK_DATA);
		if (at < 0 && errno == ENXIO)
			return EK_OK;
		if (at < 0)
			return ek_fail_sys(err, errno, "data");
		hole = lseek(b->fd, at, SEEK_HOLE);
		if (hole < 0)
			return ek_fail_sys(err, errno, "data");
		suspect(b, (uint64_t)at, (uint64_t)hole);
		at = hole;
	}
}

static void believe(struct ekd_blob *b)
{
	uint32_t present = 0;

	for (uint32_t i = 0; i < b->map.n; i++) {
		if (!(b->disk[i / 8] >> i % 8 & 1))
			continue;
		atomic_store(&b->words[i], EKD_PRESENT);
		present++;
	}
	atomic_store(&b->present, present);
}

/* What the map says counts only for the very file that it was written for. */
static ek_status load_state(struct ekd_blob *b, struct ek_err *err)
{
	struct ekd_map was = b->map;

	EKD_TRY(ekd_map_stamp(b, err));
	if (was.inode == b->map.inode && was.ctime_s == b->map.ctime_s &&
	    was.ctime_ns == b->map.ctime_ns) {
		believe(b);
		return EK_OK;
	}
	for (size_t i = 0; i < ekd_map_bytes(b->map.n); i++)
		atomic_store(&b->claimed[i], b->disk[i]);
	memset(b->disk, 0, ekd_map_bytes(b->map.n));
	b->map.inode = 0; /* is no file's */
	b->map.ctime_s = 0;
	b->map.ctime_ns = 0;
	EKD_TRY(suspect_all(b, err));
	if (atomic_load(&b->suspects) == 0 && was.inode == 0)
		return EK_OK; /* neither data nor a map that tells of some */
	return ekd_map_write(b, err);
}

static ek_status load_blob(struct ekd_blob *b, int dir, const char *meta_text,
			   size_t meta_size, const struct ek_leaves *leaves,
			   const uint8_t *root, const char *recipe,
			   struct ek_err *err)
{
	struct ekd_meta meta;
	bool other;

	EKD_TRY(ekd_meta_decode(meta_text, meta_size, &meta, err));
	if (strcmp(meta.name, b->entry->name) != 0)
		return ek_fail(err, EK_CORRUPT, "meta: of another blob");
	if (root && memcmp(root, meta.root, sizeof(meta.root)) != 0)
		return ek_fail(err, EK_DIFFERS,
			       "the store has %s under another root",
			       b->entry->name);
	EKD_TRY(load_leaves(b, dir, leaves, meta.root, err));
	if (b->leaves->blob_size != meta.blob_size ||
	    b->leaves->leaf_size != meta.leaf_size)
		return ek_fail(err, EK_CORRUPT, "meta: wrong sizes");
	EKD_TRY(alloc_state(b, err));
	memcpy(b->map.generation, meta.generation, EKD_GENERATION);
	other = recipe && (strlen(recipe) != meta.recipe_size ||
			   memcmp(recipe, meta.recipe, meta.recipe_size) != 0);
	EKD_TRY(keep_recipe(b, other ? recipe : meta.recipe,
			    other ? strlen(recipe) : meta.recipe_size, err));
	if (other)
		EKD_TRY(put_meta(b, dir, err));
	EKD_TRY(open_data(b, dir, err));
	atomic_store(&b->lent, faccessat(dir, "lent", F_OK, 0) == 0);
	EKD_TRY(open_map(b, dir, err));
	return load_state(b, err);
}

/*
 * Not synced: what the kernel has mounted does not outlive a power cut. Kept
 * apart from the data file, whose change time the map goes by.
 */
ek_status ekd_files_lent(struct ekd_blob *b, struct ek_err *err)
{
	int dir = openat(b->store->blobs, b->entry->name,
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int fd = dir < 0 ? -1 : openat(dir, "lent", OPEN_FLAGS | O_CREAT, 0600);
	int sys = errno;

	if (dir >= 0)
		close(dir);
	if (fd < 0)
		return ek_fail_sys(err, sys, "cannot note that %s is lent",
				   b->entry->name);
	close(fd);
	atomic_store(&b->lent, true);
	return EK_OK;
}

static ek_status load_dir(struct ekd_blob *b, const struct ek_leaves *leaves,
			  const uint8_t *root, const char *recipe,
			  struct ek_err *err)
{
	int dir = openat(b->store->blobs, b->entry->name,
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t *text = NULL;
	ek_status status;
	size_t n;

	if (dir < 0)
		return ek_fail_sys(err, errno, "blob %s", b->entry->name);
	status = ekd_load(dir, "meta", EKD_META_MAX, &text, &n, err);
	if (status == EK_OK)
		status = load_blob(b, dir, (const char *)text, n, leaves, root,
				   recipe, err);
	free(text);
	close(dir);
	return status;
}

static void reset(struct ekd_blob *b)
{
	if (b->fd >= 0)
		close(b->fd);
	if (b->map_fd >= 0)
		close(b->map_fd);
	b->fd = b->map_fd = -1;
	ek_leaves_free(b->leaves);
	free(b->words);
	free(b->used);
	free(b->disk);
	free(b->claimed);
	b->leaves = NULL;
	b->words = b->used = NULL;
	b->disk = NULL;
	b->claimed = NULL;
	memset(&b->map, 0, sizeof(b->map));
	atomic_store(&b->present, 0);
	atomic_store(&b->suspects, 0);
	atomic_store(&b->lent, false);
}

ek_status ekd_files_open(struct ekd_blob *b, const struct ek_leaves *leaves,
			 const uint8_t *root, const char *recipe,
			 struct ek_err *err)
{
	const char *name = b->entry->name;
	ek_status status;

	reset(b); /* what a first try left */
	status = load_dir(b, leaves, root, recipe, err);
	if (status != EK_CORRUPT && status != EK_NOTFOUND &&
	    (status != EK_DIFFERS || !leaves))
		return status;
	reset(b);
	EKD_TRY(ekd_remove(b->store, b->store->blobs, name, "meta", err));
	if (!leaves)
		return ek_fail(err, EK_NOTFOUND, "blob %s was damaged", name);
	return make_blob(b, leaves, recipe, err);
}
