/* SPDX-License-Identifier: Apache-2.0 */
#include "format/dirent.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define BLOCK 4096u

static void check(const struct ek_dirblock *b, const struct ek_dent *d)
{
	if (!ek_name_ok(d->name, d->namelen) ||
	    d->name < b->p + b->count * EK_DIRENT_SIZE ||
	    d->name + d->namelen > b->p + b->len)
		abort();
}

/* A block whose names are all good and in order is written again, equal. */
static void rewrite(const struct ek_dirblock *b, const struct ek_dent *ents)
{
	uint8_t out[BLOCK];
	struct ek_dirblock c;
	struct ek_dent d;

	if (ek_dirblock_encode(ents, b->count, out, BLOCK, NULL) != EK_OK)
		return;
	if (ek_dirblock_open(out, BLOCK, &c, NULL) != EK_OK ||
	    c.count != b->count)
		abort();
	for (uint32_t i = 0; i < c.count; i++) {
		if (ek_dirblock_find(&c, ents[i].name, ents[i].namelen, &d,
				     NULL, NULL) != EK_OK ||
		    d.nid != ents[i].nid || d.type != ents[i].type)
			abort();
	}
}

/* The input as one directory block. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ek_dent ents[BLOCK / EK_DIRENT_SIZE], d;
	struct ek_dirblock b;
	bool all = true;
	int side;

	if (n > BLOCK || ek_dirblock_open(data, n, &b, NULL) != EK_OK)
		return 0;
	for (uint32_t i = 0; i < b.count; i++) {
		if (ek_dirblock_get(&b, i, &ents[i], NULL) != EK_OK) {
			all = false;
			continue;
		}
		check(&b, &ents[i]);
		if (ek_dirblock_find(&b, ents[i].name, ents[i].namelen, &d,
				     &side, NULL) == EK_OK)
			check(&b, &d);
	}
	ek_dirblock_padding_zero(&b);
	if (all)
		rewrite(&b, ents);
	return 0;
}
