/* SPDX-License-Identifier: Apache-2.0 */
#include "format/chunk.h"
#include "format/device.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>

static uint64_t null_mask(const struct ek_chunk_map *m)
{
	return m->wide ? EK_BLK_MAX : UINT32_MAX;
}

ek_status ek_chunk_map_init(const struct ek_sb *sb, const struct ek_inode *in,
			    uint64_t iloc, struct ek_chunk_map *m,
			    struct ek_err *err)
{
	uint64_t pos, bytes, end;

	if (in->layout != EK_LAYOUT_CHUNK)
		return ek_fail(err, EK_CORRUPT, "inode without chunks");
	m->unit = in->chunk_format & EK_CHUNK_FMT_INDEXES ? 8 : 4;
	/* A block map entry has no place for high bits. */
	m->wide = m->unit == 8 && in->chunk_format & EK_CHUNK_FMT_48BIT;
	m->chunkbits = (uint8_t)(sb->blkszbits +
				 (in->chunk_format & EK_CHUNK_FMT_BITS));
	m->id_mask = ek_device_id_mask(sb);
	m->count = ek_div_up(in->size, UINT64_C(1) << m->chunkbits);
	if (!ek_add(iloc, ek_inode_body(in) + (m->unit - 1u), &pos))
		goto beyond;
	m->pos = ek_round_down(pos, m->unit);
	if (!ek_mul(m->count, m->unit, &bytes) ||
	    !ek_add(m->pos, bytes, &end) || end > INT64_MAX)
		goto beyond;
	return EK_OK;
beyond:
	return ek_fail(err, EK_CORRUPT,
		       "%" PRIu64 " chunks do not fit any image", m->count);
}

void ek_chunk_decode(const struct ek_chunk_map *m, const uint8_t *p,
		     struct ek_chunk *c)
{
	if (m->unit == 4) {
		c->blk = ek_get_le32(p);
		c->device = 0;
	} else {
		c->blk = ek_get_le32(p + 4);
		if (m->wide)
			c->blk |= (uint64_t)ek_get_le16(p) << 32;
		c->device = ek_get_le16(p + 2) & m->id_mask;
	}
	if (c->blk == null_mask(m))
		c->blk = EK_NULL_BLK;
}

ek_status ek_chunk_encode(const struct ek_chunk_map *m,
			  const struct ek_chunk *c, uint8_t *p,
			  struct ek_err *err)
{
	bool hole = c->blk == EK_NULL_BLK;

	if (!hole && c->blk >= null_mask(m))
		return ek_fail(err, EK_INVALID,
			       "chunk at block %" PRIu64
			       " needs a wider address",
			       c->blk);
	if (c->device & ~m->id_mask || (c->device && m->unit == 4))
		return ek_fail(err, EK_INVALID,
			       "chunk on device %u needs indexes and a slot",
			       (unsigned int)c->device);
	if (m->unit == 4) {
		ek_put_le32(p, (uint32_t)c->blk);
		return EK_OK;
	}
	ek_put_le16(p, m->wide ? (uint16_t)(c->blk >> 32) : 0);
	ek_put_le16(p + 2, hole ? 0 : c->device);
	ek_put_le32(p + 4, (uint32_t)c->blk);
	return EK_OK;
}

ek_status ek_chunk_format(const struct ek_sb *sb, unsigned int chunkbits,
			  bool indexes, bool wide, uint16_t *format,
			  struct ek_err *err)
{
	if (chunkbits < sb->blkszbits ||
	    chunkbits - sb->blkszbits > EK_CHUNK_FMT_BITS)
		return ek_fail(err, EK_INVALID, "chunks of 2^%u bytes",
			       chunkbits);
	*format = (uint16_t)((chunkbits - sb->blkszbits) |
			     (indexes ? EK_CHUNK_FMT_INDEXES : 0) |
			     (wide ? EK_CHUNK_FMT_48BIT : 0));
	return EK_OK;
}
