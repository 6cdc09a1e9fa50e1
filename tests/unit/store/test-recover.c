/* SPDX-License-Identifier: Apache-2.0 */

/* What was killed, swapped, cut or tampered with costs fetches at most. */

#include "cachefilesd/store/layout.h"
#include "help.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N 24u

/* The step, and its how-manieth time, at which the process dies. */
struct kill_at {
	const char *step;
	int left;
};

static void die(void *arg, const char *name)
{
	struct kill_at *at = arg;

	if (strcmp(name, at->step) == 0 && --at->left == 0)
		kill(getpid(), SIGKILL);
}

/* Comes by every step at least twice, but for those of one blob's life. */
static void live(struct box *box, struct kill_at *at)
{
	struct ekd_store_hooks hooks = {.arg = at, .step = die};
	struct ekd_store_options options = {
		.quota = 16 * LEAF,
		.checkpoint_ms = 3600 * 1000,
		.hooks = &hooks,
	};
	struct ekd_blob *other;
	uint64_t removed, bytes;

	box_open(box, &options);
	assert_int_equal(ekd_blob_open(box->store, "other", box->leaves, "",
				       &other, NULL),
			 EK_OK);
	assert_int_equal(ekd_blob_fill(other, 0, box->bytes, LEAF, NULL),
			 EK_OK);
	ekd_blob_close(other);
	box_blob(box);
	fill_range(box, 0, 6);
	assert_int_equal(ekd_store_checkpoint(box->store, NULL), EK_OK);
	fill_range(box, 6, 12);
	assert_int_equal(ekd_store_gc(box->store, &removed, &bytes, NULL),
			 EK_OK);
	assert_int_equal(ekd_store_checkpoint(box->store, NULL), EK_OK);
	fill_range(box, 12, N); /* evicts */
	box_close(box);
}

/* Runs in a child; whether it was killed. */
static bool killed(struct box *box, const char *step, int nth)
{
	struct kill_at at = {step, nth};
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		live(box, &at);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Opens after a crash: what can be read is right, and all can be filled. */
static uint32_t survive(struct box *box)
{
	uint64_t wrong, removed, bytes;
	uint32_t here;

	box_open(box, NULL);
	box_blob(box);
	assert_int_equal(ekd_store_verify(box->store, NULL, NULL, &wrong, NULL),
			 EK_OK);
	assert_int_equal(wrong, 0);
	assert_int_equal(ekd_store_gc(box->store, &removed, &bytes, NULL),
			 EK_OK); /* the other blob */
	here = check_all(box);
	assert_int_equal(stats_of(box).bytes, (uint64_t)here * LEAF);
	fill_range(box, 0, N);
	assert_int_equal(check_all(box), N);
	assert_int_equal(stats_of(box).bytes, N * LEAF);
	box_close(box);
	box_open(box, NULL);
	box_blob(box);
	assert_int_equal(ekd_blob_present(box->blob), N);
	box_close(box);
	return here;
}

static void killed_at_each_step(void **state)
{
	(void)state;
	for (size_t k = 0; ekd_store_steps[k]; k++) {
		for (int nth = 1; nth <= rounds(4, 24); nth += rounds(3, 1)) {
			struct box box;
			bool fired;

			box_new(&box, N * LEAF);
			fired = killed(&box, ekd_store_steps[k], nth);
			if (nth == 1 && !fired)
				fail_msg("%s never fired", ekd_store_steps[k]);
			if (fired)
				survive(&box);
			box_free(&box);
			if (!fired)
				break;
		}
	}
}

/* A process that only died loses nothing: the kernel has its bytes. */
static void fills_survive_a_kill(void **state)
{
	struct kill_at at = {"store:present", 10};
	struct box box;
	pid_t child;
	int status;

	(void)state;
	box_new(&box, N * LEAF);
	child = fork();
	if (child == 0) {
		struct ekd_store_hooks hooks = {.arg = &at, .step = die};
		/* No checkpoint of its own, however slow the machine is. */
		struct ekd_store_options options = {
			.hooks = &hooks,
			.checkpoint_ms = 3600 * 1000,
		};

		box_open(&box, &options);
		box_blob(&box);
		fill_range(&box, 0, N);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	box_open(&box, NULL);
	box_blob(&box);
	assert_int_equal(check_all(&box), 10);
	assert_int_equal(stats_of(&box).recovered_leaves, 10);
	assert_int_equal(stats_of(&box).dropped_leaves, 0);
	box_free(&box);
}

/* Fill the first @n leaves and close. */
static void prepare(struct box *box, uint32_t n)
{
	box_new(box, N * LEAF);
	box_open(box, NULL);
	box_blob(box);
	fill_range(box, 0, n);
	box_close(box);
}

static void write_at(const char *path, off_t at, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

/* Waits until the background thread compared all that there is. */
static void wait_for(struct box *box, uint64_t recovered, uint64_t dropped)
{
	struct timespec ms = {.tv_nsec = 1000000};

	for (int i = 0; i < 5000; i++) {
		struct ekd_store_stats stats = stats_of(box);

		if (stats.recovered_leaves == recovered &&
		    stats.dropped_leaves == dropped)
			return;
		nanosleep(&ms, NULL);
	}
	fail_msg("the keeper did not compare");
}

static void tampered_data(void **state)
{
	struct box box;

	(void)state;
	prepare(&box, 10);
	write_at(file_of(&box, "data"), 3 * LEAF + 1, "!", 1);
	box_open(&box, NULL);
	box_blob(&box);
	wait_for(&box, 9, 1);
	assert_int_equal(check_all(&box), 9);
	box_free(&box);
}

static void cut_data(void **state)
{
	struct box box;

	(void)state;
	prepare(&box, N);
	assert_int_equal(truncate(file_of(&box, "data"), 5 * LEAF + 1), 0);
	box_open(&box, NULL);
	box_blob(&box);
	assert_int_equal(check_all(&box), 5);
	box_close(&box);
	/* Longer than it should be. */
	assert_int_equal(truncate(file_of(&box, "data"), 99 * LEAF), 0);
	box_open(&box, NULL);
	box_blob(&box);
	assert_int_equal(check_all(&box), 5);
	box_free(&box);
}

static uint8_t *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes = malloc(1 << 20);

	assert_non_null(f);
	*n = fread(bytes, 1, 1 << 20, f);
	fclose(f);
	return bytes;
}

static void write_file(const char *path, const uint8_t *bytes, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

/* The map of a time when more was here, over a punched data file. */
static void old_map(void **state)
{
	struct ekd_store_options options = {.quota = 8 * LEAF};
	struct box box;
	uint8_t *map;
	size_t n;

	(void)state;
	prepare(&box, 8);
	map = read_file(file_of(&box, "map"), &n);
	box_open(&box, &options);
	box_blob(&box);
	fill_range(&box, 8, 12);
	box_close(&box);
	write_file(file_of(&box, "map"), map, n);
	box_open(&box, NULL);
	box_blob(&box);
	assert_true(check_all(&box) >= 4);
	assert_true(stats_of(&box).recovered_leaves >= 4);
	free(map);
	box_free(&box);
}

/* Of another blob with the very same leaves and sizes. */
static void swapped_map(void **state)
{
	struct ekd_blob *two;
	struct box box;
	char path[200];
	uint8_t *map;
	size_t n;

	(void)state;
	prepare(&box, 8);
	box_open(&box, NULL);
	assert_int_equal(
		ekd_blob_open(box.store, "two", box.leaves, NULL, &two, NULL),
		EK_OK);
	for (uint32_t i = 4; i < N; i++)
		assert_int_equal(
			ekd_blob_fill(two, i, box.bytes + i * LEAF, LEAF, NULL),
			EK_OK);
	ekd_blob_close(two);
	box_close(&box);
	snprintf(path, sizeof(path), "%s/blobs/two/map", box.store_path);
	map = read_file(path, &n);
	write_file(file_of(&box, "map"), map, n);
	box_open(&box, NULL);
	box_blob(&box);
	assert_int_equal(check_all(&box), 8);
	assert_int_equal(stats_of(&box).recovered_leaves, 8);
	free(map);
	box_free(&box);
}

/*
 * A map that tells of everything, whole and newer than the right one, but with
 * one field that does not fit.
 */
static void lying_map(struct box *box, int field)
{
	uint8_t bits[N / 8], *file, *slot;
	struct ekd_map map, other;
	size_t n, size = ekd_map_slot_size(N);

	file = read_file(file_of(box, "map"), &n);
	assert_int_equal(n, 2 * size);
	slot = file;
	assert_int_equal(ekd_map_decode(file, size, N, &map, bits, NULL),
			 EK_OK);
	assert_int_equal(
		ekd_map_decode(file + size, size, N, &other, bits, NULL),
		EK_OK);
	if (other.seq > map.seq) {
		map = other;
		slot += size;
	}
	map.seq += 2;
	map.generation[3] ^= field == 0;
	map.inode ^= field == 1;
	map.ctime_ns ^= field == 2;
	map.ctime_s ^= field == 3;
	map.root[9] ^= field == 4;
	map.blob_size -= field == 5;
	map.leaf_size += field == 6;
	map.seq += field == 7; /* would be in the other slot */
	memset(bits, 0xff, sizeof(bits));
	ekd_map_encode(&map, bits, slot);
	write_at(file_of(box, "map"), 0, file, n);
	free(file);
}

static void maps_that_lie(void **state)
{
	(void)state;
	for (int field = 0; field <= 8; field++) {
		struct box box;
		uint32_t believed;

		prepare(&box, 8);
		lying_map(&box, field);
		box_open(&box, NULL);
		box_blob(&box);
		believed = ekd_blob_present(box.blob);
		/* With all fields right it is believed: the test can fail. */
		assert_int_equal(believed == N, field == 8);
		if (field < 8)
			assert_int_equal(check_all(&box), 8);
		box_free(&box);
	}
}

/* A copy of the data file is another file, whatever it holds. */
static void swapped_data(void **state)
{
	struct box box;
	uint8_t *bytes;
	size_t n;

	(void)state;
	prepare(&box, 8);
	bytes = read_file(file_of(&box, "data"), &n);
	bytes[2 * LEAF] ^= 1;
	unlink(file_of(&box, "data"));
	write_file(file_of(&box, "data"), bytes, n);
	box_open(&box, NULL);
	box_blob(&box);
	assert_int_equal(check_all(&box), 7);
	free(bytes);
	box_free(&box);
}

/* Each of the files, damaged or gone. */
static void damaged_files(void **state)
{
	static const char *const files[] = {"map", "leaves", "meta", "data"};

	(void)state;
	for (int k = 0; k < 12; k++) {
		const char *file = files[k % 4];
		struct box box;

		prepare(&box, 8);
		if (k < 4)
			write_at(file_of(&box, file), 20, "\377\0\377", 3);
		else if (k < 8)
			assert_int_equal(truncate(file_of(&box, file), 1), 0);
		else
			unlink(file_of(&box, file));
		box_open(&box, NULL);
		box_blob(&box);
		check_all(&box);
		if (k % 4 == 0)
			assert_int_equal(ekd_blob_present(box.blob), 8);
		fill_range(&box, 0, N);
		box_close(&box);
		box_open(&box, NULL);
		assert_int_equal(ekd_blob_find(box.store, "one",
					       box.leaves->root, &box.blob,
					       NULL),
				 EK_OK);
		assert_int_equal(check_all(&box), N);
		box_free(&box);
	}
}

/* Without the caller's digests a damaged blob is no blob. */
static void damaged_and_sought(void **state)
{
	static const char *const files[] = {"leaves", "meta"};

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct box box;
		struct stat st;

		prepare(&box, 8);
		write_at(file_of(&box, files[k]), 70, "\377\377\377", 3);
		box_open(&box, NULL);
		assert_int_equal(
			ekd_blob_find(box.store, "one", NULL, &box.blob, NULL),
			EK_NOTFOUND);
		assert_int_equal(stats_of(&box).blobs, 0);
		assert_int_equal(stats_of(&box).bytes, 0);
		assert_int_equal(stat(file_of(&box, ""), &st), -1);
		box_free(&box);
	}
}

/* Links that lead out of the store are not followed. */
static void links(void **state)
{
	static const char *const files[] = {"data", "map", "leaves", "meta"};

	(void)state;
	for (int k = 0; k < 4; k++) {
		struct box box;
		char path[128];
		uint8_t *bytes;
		size_t n;

		prepare(&box, 8);
		snprintf(path, sizeof(path), "%s/victim", box.path);
		write_file(path, (const uint8_t *)"untouched", 9);
		unlink(file_of(&box, files[k]));
		assert_int_equal(symlink(path, file_of(&box, files[k])), 0);
		box_open(&box, NULL);
		if (ekd_blob_open(box.store, "one", box.leaves, "x", &box.blob,
				  NULL) == EK_OK)
			fill_range(&box, 0, N);
		box_close(&box);
		bytes = read_file(path, &n);
		assert_int_equal(n, 9);
		assert_memory_equal(bytes, "untouched", 9);
		free(bytes);
		box_free(&box);
	}
}

const struct CMUnitTest recover_tests[] = {
	cmocka_unit_test(killed_at_each_step),
	cmocka_unit_test(fills_survive_a_kill),
	cmocka_unit_test(tampered_data),
	cmocka_unit_test(cut_data),
	cmocka_unit_test(old_map),
	cmocka_unit_test(swapped_map),
	cmocka_unit_test(maps_that_lie),
	cmocka_unit_test(swapped_data),
	cmocka_unit_test(damaged_files),
	cmocka_unit_test(damaged_and_sought),
	cmocka_unit_test(links),
	UNIT_END,
};
