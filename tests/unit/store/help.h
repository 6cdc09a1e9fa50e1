/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_STORE_HELP_H
#define UNIT_STORE_HELP_H

#include "cachefilesd/store/store.h"

#include <stdbool.h>

#define LEAF 4096u

/* A directory of its own with a store in it, and the bytes of a blob. */
struct box {
	char path[64]; /* the store is PATH/s */
	char store_path[80];
	struct ekd_store *store;
	struct ekd_blob *blob;
	struct ek_leaves *leaves;
	uint8_t *bytes;
	size_t size;
};

/* Make the directory and a blob's bytes; the store is not open yet. */
void box_new(struct box *box, size_t size);
/* Closes and removes everything. */
void box_free(struct box *box);

void box_open(struct box *box, const struct ekd_store_options *options);
/* Open blob "one" with its leaves. */
void box_blob(struct box *box);
void box_close(struct box *box);

/* Bytes of another blob of @size, from @seed; free() and ek_leaves_free(). */
uint8_t *make_bytes(size_t size, uint32_t seed);
struct ek_leaves *make_leaves(const uint8_t *bytes, size_t size);

ek_status fill(struct box *box, uint32_t i, struct ek_err *err);
void fill_range(struct box *box, uint32_t first, uint32_t end);
/*
 * Read each leaf; those that can be read are right. Returns how many. Fails
 * the test otherwise, and when that is not what ekd_blob_present() says.
 */
uint32_t check_all(struct box *box);
/* PATH/s/blobs/one/FILE, in static memory. */
const char *file_of(const struct box *box, const char *file);
void remove_tree(const char *path);
/* @n, or @soak with EK_SOAK=1 in the environment. */
int rounds(int n, int soak);
struct ekd_store_stats stats_of(struct box *box);
/*
 * For a while the descriptor @fd leads to @path instead; returns what it led
 * to, for restore().
 */
int divert(int fd, const char *path);
void restore(int fd, int keep);

#endif
