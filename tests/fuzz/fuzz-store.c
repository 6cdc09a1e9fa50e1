/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The files of the daemon's store: what a reader takes, the writer writes back
 * byte for byte. The first byte says which file; with its high bit the
 * checksums are set right first, so that damage gets beyond them.
 */

#include "base/bytes.h"
#include "cachefilesd/store/layout.h"

#include <erofskit/leaf.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAP, META, LEAVES, KINDS };
#define CRC_LINE 16 /* "crc32c XXXXXXXX\n" */

static void must_be(const void *got, const void *want, size_t n)
{
	if (memcmp(got, want, n) != 0)
		abort();
}

static void fix_map(uint8_t *slot, size_t size)
{
	for (size_t at = 0; at + EKD_MAP_PAGE <= size; at += EKD_MAP_PAGE)
		ek_put_le32(slot + at + EKD_MAP_PAGE - 4,
			    ekd_crc32c(slot + at, EKD_MAP_PAGE - 4));
}

static void run_map(uint8_t *slot, size_t size, bool fix)
{
	uint32_t n = size >= EKD_MAP_PAGE ? ek_get_le32(slot + 12) : 1;
	uint8_t *bits, *back;
	struct ekd_map map;

	if (fix)
		fix_map(slot, size);
	if (ekd_map_slot_size(n) != size)
		n = 1;
	bits = malloc(ekd_map_bytes(n) + 1);
	back = malloc(size + 1);
	if (bits && back &&
	    ekd_map_decode(slot, size, n, &map, bits, NULL) == EK_OK) {
		ekd_map_encode(&map, bits, back);
		must_be(back, slot, size);
	}
	free(back);
	free(bits);
}

static void run_meta(uint8_t *text, size_t size, bool fix)
{
	struct ekd_meta meta;
	char line[CRC_LINE + 1];
	char *back;

	if (fix && size >= CRC_LINE) {
		snprintf(line, sizeof(line), "crc32c %08x\n",
			 (unsigned)ekd_crc32c(text, size - CRC_LINE));
		memcpy(text + size - CRC_LINE, line, CRC_LINE);
	}
	if (ekd_meta_decode((const char *)text, size, &meta, NULL) != EK_OK)
		return;
	back = malloc(EKD_META_MAX);
	if (back && ekd_meta_encode(&meta, back) != size)
		abort();
	if (back)
		must_be(back, text, size);
	free(back);
}

static void run_leaves(uint8_t *bytes, size_t size, bool fix)
{
	struct ek_leaves *leaves;
	uint8_t *back;

	if (fix && size >= EK_LEAF_HEADER) {
		/* As many digests as there are; the root stays wrong. */
		ek_put_le32(bytes + 12,
			    (uint32_t)((size - EK_LEAF_HEADER) / 32));
	}
	if (ek_leaves_decode(bytes, size, NULL, &leaves, NULL) != EK_OK)
		return;
	back = malloc(ek_leaves_file_size(leaves));
	if (back && ek_leaves_file_size(leaves) != size)
		abort();
	if (back) {
		ek_leaves_encode(leaves, back);
		must_be(back, bytes, size);
	}
	for (uint32_t i = 0; i < leaves->n; i++)
		if (ek_leaf_length(leaves, i) == 0)
			abort();
	free(back);
	ek_leaves_free(leaves);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	bool fix;

	if (size < 1)
		return 0;
	/* Just as much as may be read, for ASan. */
	copy = malloc(size - 1 ? size - 1 : 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	fix = data[0] & 0x80;
	switch (data[0] % 0x80 % KINDS) {
	case MAP:
		run_map(copy, size - 1, fix);
		break;
	case META:
		run_meta(copy, size - 1, fix);
		break;
	default:
		run_leaves(copy, size - 1, fix);
		break;
	}
	free(copy);
	return 0;
}
