/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_ZPRIV_H
#define EK_FORMAT_ZPRIV_H

/* What the files of the compressed map share among themselves. */

#include "format/zmap.h"

#define EK_ZINDEX_SIZE	   8u  /* a full index */
#define EK_ZPACK4_SIZE	   8u  /* 2 entries of 16 bits and a base */
#define EK_ZPACK2_SIZE	   32u /* 16 entries of 14 bits and a base */
#define EK_ZPACK4_SLOTS	   2u
#define EK_ZPACK2_SLOTS	   16u
#define EK_ZPACK_SLOTS_MAX 16u

static inline uint32_t ek_zpack_slots(uint32_t pack_size)
{
	return pack_size == EK_ZPACK2_SIZE ? EK_ZPACK2_SLOTS : EK_ZPACK4_SLOTS;
}

/* Bits of an entry: what the base leaves, evenly (6.4). */
static inline uint32_t ek_zpack_entry_bits(uint32_t pack_size)
{
	return pack_size == EK_ZPACK2_SIZE ? 14 : 16;
}

/* Bits of the value in an entry; the type is above it. */
static inline uint32_t ek_zpack_lobits(uint8_t lclusterbits)
{
	return lclusterbits > 12 ? lclusterbits : 12;
}

static inline bool ek_zhead_big(const struct ek_zhead *h)
{
	return h->advise & (EK_ZADV_BIG1 | EK_ZADV_BIG2);
}

/* Whether a head of @type may have several blocks. */
static inline bool ek_ztype_big(uint16_t advise, uint8_t type)
{
	return advise & (type == EK_ZT_HEAD1 ? EK_ZADV_BIG1 : EK_ZADV_BIG2);
}

/*
 * @n (<= 32) bytes of the map's entries at @pos, through the cursor's window;
 * @p is a view that holds until the next call. @pos is aligned to @n, so that
 * they never leave a window.
 */
ek_status ek_zcur_bytes(const struct ek_zmap *m, struct ek_zcur *cur,
			uint64_t pos, uint32_t n, const uint8_t **p,
			struct ek_err *err);

/* Look-up in encoded extents; @la < m->size. */
ek_status ek_zextent_lookup(const struct ek_zmap *m, struct ek_zcur *cur,
			    uint64_t la, struct ek_zextent *x,
			    struct ek_err *err);

/* The limits that every pcluster obeys; all of @x is set. */
ek_status ek_zextent_check(const struct ek_zmap *m, const struct ek_zextent *x,
			   struct ek_err *err);

#endif
