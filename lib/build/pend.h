/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BUILD_PEND_H
#define EK_BUILD_PEND_H

/*
 * Inodes that wait for a place. Large ones first pack better than in order of
 * arrival, but inodes of one directory should stay near each other: so they
 * are placed in groups. What is a group depends on the tree alone.
 */

#include "build/zone.h"

#include "base/buf.h"
#include "tree/tree.h"

/* Inodes of a group, and the bytes that end it early. */
#define EK_PEND_MAX   4096u
#define EK_PEND_BYTES (2u << 20)

struct ek_pend_item {
	struct ek_tree_inode *inode;
	uint64_t size; /* of the record */
	size_t at;     /* of its bytes */
	size_t len;    /* of its bytes; 0: they are written later */
	uint32_t order;
	uint32_t blocks; /* whole blocks of data in the zone */
	bool cross;	 /* may lie across blocks */
};

struct ek_pend {
	struct ek_pend_item item[EK_PEND_MAX];
	uint32_t n;
	struct ek_buf bytes;
};

/* EK_NOMEM. */
ek_status ek_pend_new(struct ek_pend **pend, struct ek_err *err);
void ek_pend_free(struct ek_pend *pend);

/*
 * Add an inode whose record has @size bytes: @len of them (all or none) are at
 * @from and copied. Places the group when it is full.
 */
ek_status ek_pend_add(struct ek_pend *pend, struct ek_zone *zone,
		      const struct ek_pend_item *item, const void *from,
		      struct ek_err *err);

/* Place all: sets slot and blk of their plans. */
ek_status ek_pend_flush(struct ek_pend *pend, struct ek_zone *zone,
			struct ek_err *err);

#endif
