/* SPDX-License-Identifier: Apache-2.0 */

/* Data files that a kernel reads itself, and checks that do not wait. */

#include "help.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define N 64u

static atomic_bool no_sync;

/* In place of the C library's: a disk that fails when it is asked to. */
int fdatasync(int fd)
{
	if (!atomic_load(&no_sync))
		return fsync(fd);
	errno = EIO;
	return -1;
}

/* Asks for a blob while an eviction of it is under way. */
struct lender {
	struct ekd_blob *b;
	sem_t go;
	bool armed;
	ek_status status;
};

static void start_lending(void *arg, const char *name)
{
	struct timespec wait = {.tv_nsec = 50 * 1000000};
	struct lender *l = arg;

	if (!l->armed || strcmp(name, "store:evict-mapped") != 0)
		return;
	l->armed = false;
	sem_post(&l->go);
	nanosleep(&wait, NULL);
}

static void *lender(void *arg)
{
	struct lender *l = arg;

	sem_wait(&l->go);
	l->status = ekd_blob_lend(l->b, NULL);
	return NULL;
}

static void lending_races_eviction(void **state)
{
	struct lender l = {.armed = false};
	struct ekd_store_hooks hooks = {.arg = &l, .step = start_lending};
	struct ekd_store_options options = {.quota = N * LEAF, .hooks = &hooks};
	struct ekd_blob *two;
	pthread_t thread;
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	assert_int_equal(
		ekd_blob_open(box.store, "two", box.leaves, NULL, &two, NULL),
		EK_OK);
	fill_range(&box, 0, N);
	assert_int_equal(ekd_store_checkpoint(box.store, NULL), EK_OK);
	l.b = box.blob;
	sem_init(&l.go, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, lender, &l), 0);
	l.armed = true;
	assert_int_equal(ekd_blob_fill(two, 0, box.bytes, LEAF, NULL), EK_OK);
	pthread_join(thread, NULL);
	sem_destroy(&l.go);
	assert_int_equal(l.status, EK_NOTFOUND);
	assert_false(ekd_blob_complete(box.blob));
	ekd_blob_close(two);
	box_free(&box); /* which fails if it is pinned */
}

/* Leaves of @fd that are not those of the box. */
static uint32_t wrong_in(const struct box *box, int fd)
{
	uint8_t got[LEAF];
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(pread(fd, got, LEAF, (off_t)i * LEAF), LEAF);
		wrong += memcmp(got, box->bytes + i * LEAF, LEAF) != 0;
	}
	return wrong;
}

/* A kernel may read it for longer than anybody here has it pinned. */
static void lent_files_get_no_holes(void **state)
{
	struct ekd_store_options options = {.quota = N * LEAF};
	struct ek_err err = {.sys = 0};
	struct ekd_blob *two;
	struct box box;
	int kernel;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	assert_int_equal(ekd_blob_lend(box.blob, NULL), EK_NOTFOUND);
	fill_range(&box, 0, N);
	assert_int_equal(ekd_blob_lend(box.blob, NULL), EK_OK);
	kernel = dup(ekd_blob_fd(box.blob));
	ekd_blob_unpin(box.blob);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(ekd_blob_open(box.store, "two", box.leaves,
					       NULL, &two, NULL),
				 EK_OK);
		assert_int_equal(ekd_blob_fill(two, 0, box.bytes, LEAF, &err),
				 EK_IO);
		assert_int_equal(err.sys, ENOSPC);
		assert_int_equal(check_all(&box), N);
		assert_int_equal(wrong_in(&box, kernel), 0);
		ekd_blob_close(two);
		/* A successor knows it, too. */
		box_close(&box);
		box_open(&box, &options);
		box_blob(&box);
	}
	/* As a whole it may go; who has it keeps it. */
	ekd_blob_close(box.blob);
	box.blob = NULL;
	assert_int_equal(
		ekd_blob_open(box.store, "two", box.leaves, NULL, &two, NULL),
		EK_OK);
	assert_int_equal(ekd_blob_fill(two, 0, box.bytes, LEAF, &err), EK_OK);
	assert_int_equal(wrong_in(&box, kernel), 0);
	close(kernel);
	ekd_blob_close(two);
	/* Its successor by name was lent to nobody. */
	box_blob(&box);
	fill_range(&box, 0, N);
	assert_int_equal(fill(&box, 0, NULL), EK_OK);
	assert_int_equal(access(file_of(&box, "lent"), F_OK), -1);
	box_free(&box);
}

/* What the disk did not take is not lent. */
static void unsynced_is_not_lent(void **state)
{
	struct ekd_store_options options = {.checkpoint_ms = 3600 * 1000};
	struct box box;
	int fd, keep;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	fill_range(&box, 0, N);
	fd = ekd_blob_fd(box.blob);
	keep = divert(fd, "/dev/null"); /* cannot be synced */
	assert_int_equal(ekd_blob_lend(box.blob, NULL), EK_IO);
	restore(fd, keep);
	assert_false(ekd_blob_complete(box.blob));
	assert_int_equal(ekd_blob_lend(box.blob, NULL), EK_NOTFOUND);
	fill_range(&box, 0, N);
	assert_int_equal(ekd_blob_lend(box.blob, NULL), EK_OK);
	ekd_blob_unpin(box.blob);
	box_free(&box);
}

static void no_leaf_is_left(struct box *box)
{
	uint8_t got[LEAF], zeros[LEAF] = {0};

	for (uint32_t i = 0; i < N; i++) {
		assert_false(ekd_blob_here(box->blob, i));
		assert_int_equal(pread(ekd_blob_fd(box->blob), got, LEAF,
				       (off_t)i * LEAF),
				 LEAF);
		assert_memory_equal(got, zeros, LEAF);
	}
	assert_int_equal(ekd_blob_present(box->blob), 0);
	assert_int_equal(stats_of(box).bytes, 0);
}

/*
 * What a failed sync may have lost leaves the file, so that no successor takes
 * it from the page cache; that goes for what a predecessor left, too.
 */
static void unsynced_leave_the_file(void **state)
{
	struct ekd_store_options options = {.checkpoint_ms = 3600 * 1000};
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	fill_range(&box, 0, 12);
	assert_true(ekd_blob_here(box.blob, 11));
	assert_false(ekd_blob_here(box.blob, 12));
	atomic_store(&no_sync, true);
	assert_int_equal(ekd_store_checkpoint(box.store, NULL), EK_IO);
	no_leaf_is_left(&box);
	atomic_store(&no_sync, false);
	fill_range(&box, 0, 12);
	box_close(&box);
	/* Touched by somebody: suspect, or compared by now. */
	assert_int_equal(chmod(file_of(&box, "data"), 0640), 0);
	box_open(&box, &options);
	box_blob(&box);
	fill_range(&box, 12, 13);
	atomic_store(&no_sync, true);
	assert_int_equal(ekd_store_checkpoint(box.store, NULL), EK_IO);
	atomic_store(&no_sync, false);
	no_leaf_is_left(&box);
	box_free(&box);
}

const struct CMUnitTest lend_tests[] = {
	cmocka_unit_test(lending_races_eviction),
	cmocka_unit_test(lent_files_get_no_holes),
	cmocka_unit_test(unsynced_is_not_lent),
	cmocka_unit_test(unsynced_leave_the_file),
	UNIT_END,
};
