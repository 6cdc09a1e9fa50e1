/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BUILD_CHUNKSET_H
#define EK_BUILD_CHUNKSET_H

/*
 * The chunks that are stored already, by SHA-256 and length. What is equal by
 * that is taken for equal and never compared: the bytes may come from anybody,
 * so a digest that somebody could make collide will not do.
 */

#include <erofskit/status.h>
#include "base/bytes.h"

struct ek_chunk_sum {
	uint8_t sha256[32]; /* undefined for zeros */
	uint32_t len;	    /* bytes */
	bool zero;	    /* nothing but zeros */
};

struct ek_chunkset;

ek_status ek_chunkset_new(struct ek_chunkset **set, struct ek_err *err);
void ek_chunkset_free(struct ek_chunkset *set);

/*
 * The block of the chunk @sum in *@block. When there is none yet, it is noted
 * to be at *@block and *@fresh is true. EK_NOMEM, EK_LIMIT.
 */
ek_status ek_chunkset_find(struct ek_chunkset *set,
			   const struct ek_chunk_sum *sum, uint32_t *block,
			   bool *fresh, struct ek_err *err);

#endif
