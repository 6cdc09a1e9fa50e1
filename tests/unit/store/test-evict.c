/* SPDX-License-Identifier: Apache-2.0 */

/* Quotas, full disks, and readers in between. */

#include "cachefilesd/store/layout.h"
#include "help.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N 64u

static bool is_here(struct ekd_blob *b, uint32_t i)
{
	uint32_t from, to;

	ekd_blob_missing(b, i, i + 1, &from, &to);
	return from == to;
}

static bool here(struct box *box, uint32_t i)
{
	return is_here(box->blob, i);
}

static uint64_t disk_bytes(const struct box *box)
{
	struct stat st;

	assert_int_equal(fstat(ekd_blob_fd(box->blob), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void least_recently_used(void **state)
{
	struct ekd_store_options options = {.quota = 32 * LEAF};
	uint8_t byte;
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	fill_range(&box, 0, 32);
	assert_int_equal(ekd_blob_present(box.blob), 32);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(ekd_blob_read(box.blob, (uint64_t)i * LEAF,
					       &byte, 1, NULL),
				 EK_OK);
	fill_range(&box, 32, 48);
	/* The first eight were read since; the next are the oldest. */
	for (uint32_t i = 0; i < 8; i++)
		assert_true(here(&box, i));
	for (uint32_t i = 8; i < 24; i++)
		assert_false(here(&box, i));
	for (uint32_t i = 32; i < 48; i++)
		assert_true(here(&box, i));
	assert_true(stats_of(&box).bytes <= options.quota);
	assert_true(stats_of(&box).evicted_leaves >= 16);
	assert_true(disk_bytes(&box) <= options.quota);
	check_all(&box);
	box_close(&box);
	/* What went from memory went from the disk. */
	box_open(&box, NULL);
	box_blob(&box);
	for (uint32_t i = 8; i < 24; i++)
		assert_false(here(&box, i));
	check_all(&box);
	box_free(&box);
}

static void pinned_blobs_stay(void **state)
{
	struct ekd_store_options options = {.quota = 8 * LEAF};
	struct ek_err err = {.sys = 0};
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	ekd_blob_pin(box.blob);
	ekd_blob_pin(box.blob);
	fill_range(&box, 0, 8);
	assert_int_equal(fill(&box, 8, &err), EK_IO);
	assert_int_equal(err.sys, ENOSPC);
	ekd_blob_unpin(box.blob);
	assert_int_equal(fill(&box, 8, &err), EK_IO);
	assert_int_equal(check_all(&box), 8);
	assert_int_equal(stats_of(&box).bytes, 8 * LEAF);
	ekd_blob_unpin(box.blob);
	assert_int_equal(fill(&box, 8, &err), EK_OK);
	assert_true(check_all(&box) <= 8);
	box_free(&box);
}

static void unused_blobs_go_first(void **state)
{
	struct ekd_store_options options = {.quota = (N + 8) * LEAF};
	struct ekd_blob *two;
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	assert_int_equal(
		ekd_blob_open(box.store, "two", box.leaves, NULL, &two, NULL),
		EK_OK);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(
			ekd_blob_fill(two, i, box.bytes + i * LEAF, LEAF, NULL),
			EK_OK);
	ekd_blob_close(two);
	box_blob(&box);
	fill_range(&box, 0, N);
	assert_true(ekd_blob_complete(box.blob));
	assert_int_equal(ekd_blob_find(box.store, "two", NULL, &two, NULL),
			 EK_NOTFOUND);
	assert_int_equal(stats_of(&box).bytes, N * LEAF);
	assert_int_equal(stats_of(&box).evicted_leaves, 0);
	box_free(&box);
}

static void quota_below_a_leaf(void **state)
{
	struct ekd_store_options options = {.quota = LEAF - 1};
	struct ek_err err = {.sys = 0};
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	assert_int_equal(fill(&box, 0, &err), EK_IO);
	assert_int_equal(err.sys, ENOSPC);
	assert_int_equal(stats_of(&box).bytes, 0);
	box_free(&box);
}

/* Blobs of two, so that evictions go over several. */
struct race {
	struct box *box;
	struct ekd_blob *blobs[2];
	atomic_uint wrong, failed, reads;
};

struct racer {
	struct race *race;
	uint32_t random;
};

static uint32_t next(uint32_t *x)
{
	*x = *x * 1664525u + 1013904223u;
	return *x >> 8;
}

static void fill_one(struct race *r, struct ekd_blob *b, uint32_t i)
{
	struct timespec ms = {.tv_nsec = 1000000};
	struct ek_err err = {.sys = 0};
	ek_status status =
		ekd_blob_fill(b, i, r->box->bytes + i * LEAF, LEAF, &err);

	/* While the one is pinned the other may have nothing to give. */
	if (status == EK_IO && err.sys == ENOSPC)
		nanosleep(&ms, NULL);
	else if (status != EK_OK)
		atomic_fetch_add(&r->failed, 1);
}

/* As a door does: read, else fetch and read again. */
static void read_one(struct race *r, struct ekd_blob *b, uint32_t leaf,
		     uint32_t leaves)
{
	size_t n = (size_t)leaves * LEAF;
	uint8_t got[4 * LEAF];
	ek_status status = EK_NOTFOUND;

	for (int tries = 0; tries < 2000 && status == EK_NOTFOUND; tries++) {
		status = ekd_blob_read(b, (uint64_t)leaf * LEAF, got, n, NULL);
		for (uint32_t i = leaf;
		     status == EK_NOTFOUND && i < leaf + leaves; i++) {
			fill_one(r, b, i);
		}
	}
	atomic_fetch_add(&r->reads, 1);
	if (status != EK_OK)
		atomic_fetch_add(&r->failed, 1);
	else if (memcmp(got, r->box->bytes + leaf * LEAF, n) != 0)
		atomic_fetch_add(&r->wrong, 1);
}

static void *racer(void *arg)
{
	struct racer *me = arg;

	for (int i = 0; i < rounds(150, 2500); i++) {
		uint32_t leaves = 1 + next(&me->random) % 4;
		uint32_t leaf = next(&me->random) % (N - leaves + 1);

		read_one(me->race, me->race->blobs[next(&me->random) % 2], leaf,
			 leaves);
	}
	return NULL;
}

static void *pinner(void *arg)
{
	struct race *r = arg;

	for (int i = 0; i < rounds(30, 300); i++) {
		struct ekd_blob *b = r->blobs[i % 2];
		bool was[N];
		uint64_t wrong;

		ekd_blob_pin(b);
		for (uint32_t k = 0; k < N; k++)
			was[k] = is_here(b, k);
		if (i % 10 == 0)
			ekd_store_checkpoint(r->box->store, NULL);
		for (uint32_t k = 0; k < N; k++)
			if (was[k] && !is_here(b, k))
				atomic_fetch_add(&r->wrong, 1);
		ekd_blob_unpin(b);
		if (i % 10 == 5 && (ekd_store_verify(r->box->store, NULL, NULL,
						     &wrong, NULL) != EK_OK ||
				    wrong))
			atomic_fetch_add(&r->wrong, 1);
	}
	return NULL;
}

static void eviction_races_readers(void **state)
{
	struct ekd_store_options options = {.quota = N / 2 * LEAF,
					    .checkpoint_ms = 20};
	struct race race = {.wrong = 0};
	struct racer racers[4];
	pthread_t threads[5];
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	race.box = &box;
	race.blobs[0] = box.blob;
	assert_int_equal(ekd_blob_open(box.store, "two", box.leaves, NULL,
				       &race.blobs[1], NULL),
			 EK_OK);
	for (uint32_t t = 0; t < 4; t++) {
		racers[t] = (struct racer){&race, t + 1};
		assert_int_equal(
			pthread_create(&threads[t], NULL, racer, &racers[t]),
			0);
	}
	assert_int_equal(pthread_create(&threads[4], NULL, pinner, &race), 0);
	for (int t = 0; t < 5; t++)
		pthread_join(threads[t], NULL);
	assert_int_equal(race.wrong, 0);
	assert_int_equal(race.failed, 0);
	assert_int_equal(race.reads, 4 * rounds(150, 2500));
	assert_true(stats_of(&box).evicted_leaves >= 100);
	assert_true(stats_of(&box).bytes <= options.quota);
	assert_int_equal(stats_of(&box).bytes,
			 (uint64_t)LEAF * (ekd_blob_present(race.blobs[0]) +
					   ekd_blob_present(race.blobs[1])));
	check_all(&box);
	ekd_blob_close(race.blobs[1]);
	box_free(&box);
}

struct toucher {
	struct ekd_blob *blob;
	_Atomic bool over;
};

static void *touch(void *arg)
{
	struct toucher *me = arg;
	uint8_t byte;

	for (uint32_t i = 0; !atomic_load(&me->over); i = (i + 1) % N)
		ekd_blob_read(me->blob, (uint64_t)i * LEAF, &byte, 1, NULL);
	return NULL;
}

/* What was chosen to go may be read before it goes: then another does. */
static void room_beside_reads(void **state)
{
	struct ekd_store_options options = {.quota = 4 * LEAF};
	struct toucher me = {.over = false};
	pthread_t threads[3];
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	me.blob = box.blob;
	for (int t = 0; t < 3; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, touch, &me),
				 0);
	for (int i = 0; i < rounds(2000, 20000); i++) {
		struct ek_err err = {.text = ""};

		if (fill(&box, (uint32_t)i % N, &err) != EK_OK)
			fail_msg("fill %d: %s", i, err.text);
	}
	atomic_store(&me.over, true);
	for (int t = 0; t < 3; t++)
		pthread_join(threads[t], NULL);
	check_all(&box);
	box_free(&box);
}

/* Openers and closers of one name, and gc, all at once. */
static void *opener(void *arg)
{
	struct race *r = arg;

	for (int i = 0; i < 40; i++) {
		struct ekd_blob *b;
		uint64_t removed, bytes;

		if (ekd_blob_open(r->box->store, i % 3 ? "one" : "two",
				  r->box->leaves, NULL, &b, NULL) != EK_OK) {
			atomic_fetch_add(&r->failed, 1);
			continue;
		}
		read_one(r, b, (uint32_t)i, 1);
		ekd_blob_close(b);
		if (i % 7 == 0 && ekd_store_gc(r->box->store, &removed, &bytes,
					       NULL) != EK_OK)
			atomic_fetch_add(&r->failed, 1);
	}
	return NULL;
}

static void opening_races_gc(void **state)
{
	struct ekd_store_options options = {.checkpoint_ms = 5};
	struct race race = {.wrong = 0};
	pthread_t threads[3];
	uint64_t removed, bytes;
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	race.box = &box;
	for (int t = 0; t < 3; t++)
		assert_int_equal(
			pthread_create(&threads[t], NULL, opener, &race), 0);
	for (int t = 0; t < 3; t++)
		pthread_join(threads[t], NULL);
	assert_int_equal(race.wrong, 0);
	assert_int_equal(race.failed, 0);
	assert_int_equal(ekd_store_gc(box.store, &removed, &bytes, NULL),
			 EK_OK);
	assert_int_equal(stats_of(&box).blobs, 0);
	assert_int_equal(stats_of(&box).bytes, 0);
	box_free(&box);
}

static bool put_line(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, line, strlen(line)) > 0;

	if (fd >= 0)
		close(fd);
	return good;
}

/* Mount in a namespace of our own, as root or with a user namespace. */
static bool mount_small(const char *path)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char line[64];

	if (unshare(CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0)) < 0)
		return false;
	snprintf(line, sizeof(line), "0 %u 1", (unsigned)uid);
	if (uid && !put_line("/proc/self/uid_map", line))
		return false;
	snprintf(line, sizeof(line), "0 %u 1", (unsigned)gid);
	if (uid && (!put_line("/proc/self/setgroups", "deny") ||
		    !put_line("/proc/self/gid_map", line)))
		return false;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", path, "tmpfs", 0, "size=160k") == 0;
}

static void fill_disk(struct box *box_of)
{
	struct ek_err err = {.sys = 0};
	struct box box = *box_of;
	uint32_t i = 0;

	box_open(&box, NULL);
	box_blob(&box);
	ekd_blob_pin(box.blob);
	while (i < N && fill(&box, i, &err) == EK_OK)
		i++;
	/* Some fitted; nothing may go to make room. */
	assert_in_range(i, 8, 40);
	assert_int_equal(fill(&box, i, &err), EK_IO);
	assert_int_equal(err.sys, ENOSPC);
	assert_int_equal(check_all(&box), i);
	assert_int_equal(stats_of(&box).bytes, (uint64_t)i * LEAF);
	ekd_blob_unpin(box.blob);
	/* Now it may; a map can be written though the disk is full. */
	fill_range(&box, i, N);
	assert_true(stats_of(&box).evicted_leaves >= N - i - 8);
	assert_true(check_all(&box) >= 8);
	assert_true(here(&box, N - 1));
	assert_int_equal(ekd_store_checkpoint(box.store, NULL), EK_OK);
	box_close(&box);
	box_open(&box, NULL);
	box_blob(&box);
	assert_true(check_all(&box) >= 8);
	/* Full again; a new blob takes the room of one that nobody has open. */
	ekd_blob_pin(box.blob);
	for (i = 0; i < N; i++)
		fill(&box, i, NULL);
	assert_false(ekd_blob_complete(box.blob));
	ekd_blob_unpin(box.blob);
	ekd_blob_close(box.blob);
	assert_int_equal(ekd_blob_open(box.store, "two", box.leaves, NULL,
				       &box.blob, &err),
			 EK_OK);
	assert_int_equal(stats_of(&box).blobs, 1);
	assert_int_equal(fill(&box, 0, NULL), EK_OK);
	box_close(&box);
}

static void full_disk(void **state)
{
	struct box box;
	pid_t child;
	int status;

	(void)state;
	box_new(&box, N * LEAF);
	assert_int_equal(mkdir(box.store_path, 0700), 0);
	child = fork();
	if (child == 0) {
		if (!mount_small(box.store_path))
			_exit(77);
		fill_disk(&box);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	box_free(&box);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* What a failed sync may have lost counts no more. */
static void failed_sync(void **state)
{
	struct ekd_store_options options = {.checkpoint_ms = 3600 * 1000};
	struct ek_err err;
	struct box box;
	int fd, keep;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	fill_range(&box, 0, 5);
	assert_int_equal(ekd_store_checkpoint(box.store, NULL), EK_OK);
	fill_range(&box, 5, 12);
	fd = ekd_blob_fd(box.blob);
	keep = divert(fd, "/dev/null"); /* cannot be synced */
	assert_int_equal(ekd_store_checkpoint(box.store, &err), EK_IO);
	restore(fd, keep);
	assert_int_equal(check_all(&box), 5);
	assert_int_equal(stats_of(&box).bytes, 5 * LEAF);
	fill_range(&box, 5, 12);
	assert_int_equal(ekd_store_checkpoint(box.store, NULL), EK_OK);
	assert_int_equal(check_all(&box), 12);
	box_free(&box);
}

/* The descriptor of blob one's map. */
static int map_fd(const struct box *box)
{
	char link[64], path[256];

	for (int fd = 3; fd < 256; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, path, sizeof(path) - 1);
		path[n < 0 ? 0 : n] = '\0';
		if (strcmp(path, file_of(box, "map")) == 0)
			return fd;
	}
	fail_msg("no map is open");
	return -1;
}

/* Whether the newer slot of the map on disk has leaf @i. */
static bool mapped(int fd, uint32_t i)
{
	uint8_t slot[2 * EKD_MAP_PAGE], bits[N / 8];
	struct ekd_map map;
	uint64_t newest = 0;
	bool has = false;

	assert_int_equal(ekd_map_slot_size(N), sizeof(slot));
	for (off_t at = 0; at < 2 * (off_t)sizeof(slot); at += sizeof(slot)) {
		assert_int_equal(pread(fd, slot, sizeof(slot), at),
				 sizeof(slot));
		if (ekd_map_decode(slot, sizeof(slot), N, &map, bits, NULL) !=
			    EK_OK ||
		    map.seq <= newest)
			continue;
		newest = map.seq;
		has = bits[i / 8] >> i % 8 & 1;
	}
	assert_true(newest > 0);
	return has;
}

/* Nothing goes unless the map could be written; what is here stays right. */
static void failed_map(void **state)
{
	struct ekd_store_options options = {.quota = 8 * LEAF,
					    .checkpoint_ms = 3600 * 1000};
	struct ek_err err = {.sys = 0};
	struct box box;
	int fd, keep;

	(void)state;
	box_new(&box, N * LEAF);
	box_open(&box, &options);
	box_blob(&box);
	fill_range(&box, 0, 6);
	assert_int_equal(ekd_store_checkpoint(box.store, NULL), EK_OK);
	fill_range(&box, 6, 8);
	fd = map_fd(&box);
	keep = divert(fd, "/dev/full");
	assert_int_equal(ekd_store_checkpoint(box.store, &err), EK_IO);
	assert_int_equal(err.sys, ENOSPC);
	assert_int_equal(fill(&box, 8, &err), EK_IO);
	assert_int_equal(check_all(&box), 8);
	restore(fd, keep);
	assert_true(mapped(fd, 0));
	/* What goes now goes from the map, too. */
	assert_int_equal(fill(&box, 8, &err), EK_OK);
	assert_false(here(&box, 0));
	assert_false(mapped(fd, 0));
	assert_int_equal(ekd_store_checkpoint(box.store, NULL), EK_OK);
	keep = (int)check_all(&box);
	box_close(&box);
	box_open(&box, &options);
	box_blob(&box);
	assert_int_equal(ekd_blob_present(box.blob), keep);
	assert_int_equal(stats_of(&box).recovered_leaves, 0);
	box_free(&box);
}

const struct CMUnitTest evict_tests[] = {
	cmocka_unit_test(least_recently_used),
	cmocka_unit_test(pinned_blobs_stay),
	cmocka_unit_test(unused_blobs_go_first),
	cmocka_unit_test(quota_below_a_leaf),
	cmocka_unit_test(eviction_races_readers),
	cmocka_unit_test(room_beside_reads),
	cmocka_unit_test(opening_races_gc),
	cmocka_unit_test(full_disk),
	cmocka_unit_test(failed_sync),
	cmocka_unit_test(failed_map),
	UNIT_END,
};
