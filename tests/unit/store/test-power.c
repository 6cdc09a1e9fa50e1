/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A power cut: of all that was written or punched since a file's last sync, any
 * 512 bytes may be on the disk or not. At each step of a busy store such a disk
 * is made up, and what its map tells of must be there.
 */

#include "cachefilesd/store/layout.h"
#include "help.h"
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#define N      48u
#define SECTOR 512u

/* One sector that is not synced; a punched one is all zeros. */
struct pending {
	uint64_t at;
	uint8_t bytes[SECTOR];
};

struct file {
	const char *suffix;
	uint8_t *durable, *cut;
	size_t size;
	struct pending *pending;
	size_t n, room;
};

struct disk {
	struct box *box;
	struct file data, map;
	uint32_t random;
	unsigned cuts, lost, bits, most;
};

static uint32_t next(struct disk *d)
{
	d->random = d->random * 1664525u + 1013904223u;
	return d->random >> 8;
}

static void file_new(struct file *f, const char *suffix, size_t size)
{
	f->suffix = suffix;
	f->size = size;
	f->durable = calloc(size, 1);
	f->cut = malloc(size);
}

static void file_free(struct file *f)
{
	free(f->durable);
	free(f->cut);
	free(f->pending);
}

static struct file *file_by_fd(struct disk *d, int fd)
{
	char link[64], path[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	assert_true(n > 5);
	path[n] = '\0';
	if (strcmp(path + n - 5, d->data.suffix) == 0)
		return &d->data;
	assert_string_equal(path + n - 4, d->map.suffix);
	return &d->map;
}

/* @bytes NULL: zeros. */
static void note(struct file *f, uint64_t at, const uint8_t *bytes, uint64_t n)
{
	assert_int_equal(at % SECTOR + n % SECTOR, 0);
	assert_true(at + n <= f->size);
	for (uint64_t k = 0; k < n; k += SECTOR) {
		struct pending *p;

		if (f->n == f->room) {
			f->room = 2 * f->room + 64;
			f->pending = realloc(f->pending,
					     f->room * sizeof(*f->pending));
			assert_non_null(f->pending);
		}
		p = &f->pending[f->n++];
		p->at = at + k;
		if (bytes)
			memcpy(p->bytes, bytes + k, SECTOR);
		else
			memset(p->bytes, 0, SECTOR);
	}
}

static void wrote(void *arg, int fd, uint64_t at, const void *bytes, size_t n)
{
	note(file_by_fd(arg, fd), at, bytes, n);
}

static void punched(void *arg, int fd, uint64_t at, uint64_t n)
{
	note(file_by_fd(arg, fd), at, NULL, n);
}

static void apply(const struct file *f, size_t k, uint8_t *to)
{
	memcpy(to + f->pending[k].at, f->pending[k].bytes, SECTOR);
}

static void synced(void *arg, int fd)
{
	struct file *f = file_by_fd(arg, fd);

	for (size_t k = 0; k < f->n; k++)
		apply(f, k, f->durable);
	f->n = 0;
}

/* Each pending sector with a chance of @chance / 4. */
static void cut_file(struct disk *d, struct file *f, uint32_t chance)
{
	memcpy(f->cut, f->durable, f->size);
	for (size_t k = 0; k < f->n; k++) {
		if (next(d) % 4 < chance)
			apply(f, k, f->cut);
		else
			d->lost++;
	}
}

/* As the store would choose: the newer of the whole slots. */
static bool newest(const struct disk *d, uint8_t *bits)
{
	size_t size = d->map.size / 2;
	uint8_t other[N / 8];
	struct ekd_map a, b;
	bool first = ekd_map_decode(d->map.cut, size, N, &a, bits, NULL) ==
		     EK_OK,
	     second = ekd_map_decode(d->map.cut + size, size, N, &b, other,
				     NULL) == EK_OK;

	if (second && (!first || b.seq > a.seq))
		memcpy(bits, other, sizeof(other));
	return first || second;
}

static void cut_here(struct disk *d)
{
	uint8_t bits[N / 8] = {0};
	unsigned count = 0;

	cut_file(d, &d->data, next(d) % 5);
	cut_file(d, &d->map, next(d) % 5);
	d->cuts++;
	if (!newest(d, bits))
		return;
	for (uint32_t i = 0; i < N; i++) {
		if (!(bits[i / 8] >> i % 8 & 1))
			continue;
		count++;
		assert_memory_equal(d->data.cut + i * LEAF,
				    d->box->bytes + i * LEAF, LEAF);
	}
	d->bits += count;
	if (count > d->most)
		d->most = count;
}

static void step(void *arg, const char *name)
{
	struct disk *d = arg;

	(void)name;
	/* The blob's files are there from the first write on. */
	if (d->box->blob && next(d) % 2)
		cut_here(d);
}

static void any_cut_costs_fetches_only(void **state)
{
	struct disk d = {.random = 42};
	struct ekd_store_hooks hooks = {
		.arg = &d,
		.step = step,
		.wrote = wrote,
		.punched = punched,
		.synced = synced,
	};
	struct ekd_store_options options = {
		.quota = N / 2 * LEAF,
		.checkpoint_ms = 3600 * 1000,
		.hooks = &hooks,
	};
	struct box box;

	(void)state;
	box_new(&box, N * LEAF);
	d.box = &box;
	file_new(&d.data, "/data", N * LEAF);
	file_new(&d.map, "/map", 2 * ekd_map_slot_size(N));
	box_open(&box, &options);
	box_blob(&box);
	for (int i = 0; i < rounds(400, 4000); i++) {
		assert_int_equal(fill(&box, next(&d) % N, NULL), EK_OK);
		if (next(&d) % 12 == 0)
			assert_int_equal(ekd_store_checkpoint(box.store, NULL),
					 EK_OK);
	}
	assert_true(stats_of(&box).evicted_leaves > 50);
	/* Void, had nothing been lost or nothing been told to be there. */
	assert_true(d.cuts > 500);
	assert_true(d.lost > 10000);
	assert_true(d.bits > 5000);
	assert_true(d.most >= N / 4);
	box_free(&box);
	file_free(&d.data);
	file_free(&d.map);
}

const struct CMUnitTest power_tests[] = {
	cmocka_unit_test(any_cut_costs_fetches_only),
	UNIT_END,
};
