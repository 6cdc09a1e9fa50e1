/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests of the kernel at the FUSE door: what is made of them stays inside
 * their bytes, and what is answered inside the room that was asked for.
 */

#include "cachefilesd/kernel/fuse.h"

#include <stdlib.h>
#include <string.h>

#define ROOM 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct ekd_fuse_in *in)
{
	struct ekd_fuse_table *table = calloc(1, sizeof(*table));
	size_t room = in->size < ROOM ? in->size : ROOM;
	uint8_t *to = malloc(room ? room : 1);
	struct ekd_fuse_file *file;
	struct fuse_entry_out out;

	if (table && to) {
		ekd_fuse_table_add(table, "blob", 1, NULL, NULL);
		ekd_fuse_table_add(table, "sha256-00", 2, NULL, NULL);
		file = ekd_fuse_table_find(table, in->node);
		if (file)
			ekd_fuse_entry(file, &out);
		if (ekd_fuse_readdir(table, in->offset, to, room) > room)
			abort();
		free(ekd_fuse_table_take(table, "blob"));
		free(ekd_fuse_table_take(table, "sha256-00"));
	}
	free(to);
	free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct ekd_door_kept kept;
	struct fuse_init_out out;
	struct ekd_fuse_in in;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (ekd_fuse_decode(copy, size, &in, NULL) == EK_OK) {
		if (in.name && strlen(in.name) >= size)
			abort();
		if (in.name)
			ekd_fuse_name_ok(in.name);
		ekd_fuse_init(&in, false, &out, &kept);
		if (kept.max_read > EKD_DOOR_READ || !kept.valid)
			abort();
		answer(&in);
	}
	free(copy);
	return 0;
}
