/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZMEM_H
#define ZMEM_H

/* A compressed inode's metadata in memory, for the tests of the map. */

#include "format/zmap.h"

struct zmem {
	struct ek_sb sb;
	struct ek_cfgs cfgs;
	struct ek_inode in;
	uint64_t iloc;
	struct ek_zmap map;
	struct ek_zcur cur;
	uint8_t *bytes; /* at head_pos, n of them */
	uint64_t pos;
	size_t n;
	unsigned int reads;
};

/*
 * An inode of @size bytes at @iloc without xattrs, with the features of
 * 48BIT and big pclusters, all algorithms announced.
 */
void zmem_init(struct zmem *z, uint8_t layout, uint8_t blkszbits, uint64_t iloc,
	       uint64_t size);

/* Use these metadata bytes, which begin with the map header. */
ek_status zmem_bytes(struct zmem *z, const uint8_t *p, size_t n,
		     struct ek_err *err);

/* Encode @head and @pieces and use them; fails as the encoders do. */
ek_status zmem_pieces(struct zmem *z, const struct ek_zhead *head,
		      const struct ek_zpiece *pieces, size_t n,
		      struct ek_err *err);

void zmem_free(struct zmem *z);

#endif
