/* SPDX-License-Identifier: Apache-2.0 */
#include "format/device.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <string.h>

void ek_devslot_decode(const struct ek_sb *sb, const uint8_t *p,
		       struct ek_devslot *slot)
{
	unsigned int known = 0x48;

	memcpy(slot->tag, p, EK_DEVTAG_SIZE);
	slot->blocks = ek_get_le32(p + 0x40);
	slot->uniaddr = ek_get_le32(p + 0x44);
	if (ek_sb_incompat(sb, EK_INCOMPAT_48BIT)) {
		slot->blocks |= (uint64_t)ek_get_le16(p + 0x48) << 32;
		slot->uniaddr |= (uint64_t)ek_get_le16(p + 0x4a) << 32;
		known = 0x4c;
	}
	slot->reserved_nonzero =
		!ek_all_zero(p + known, EK_DEVSLOT_SIZE - known);
}

ek_status ek_devslot_encode(const struct ek_sb *sb,
			    const struct ek_devslot *slot, uint8_t *p,
			    struct ek_err *err)
{
	uint64_t max =
		ek_sb_incompat(sb, EK_INCOMPAT_48BIT) ? EK_BLK_MAX : UINT32_MAX;

	if (slot->blocks > max || slot->uniaddr > max)
		return ek_fail(err, EK_INVALID,
			       "device slot: %" PRIu64 " blocks at %" PRIu64
			       " need wider addresses",
			       slot->blocks, slot->uniaddr);
	memset(p, 0, EK_DEVSLOT_SIZE);
	memcpy(p, slot->tag, EK_DEVTAG_SIZE);
	ek_put_le32(p + 0x40, (uint32_t)slot->blocks);
	ek_put_le32(p + 0x44, (uint32_t)slot->uniaddr);
	ek_put_le16(p + 0x48, (uint16_t)(slot->blocks >> 32));
	ek_put_le16(p + 0x4a, (uint16_t)(slot->uniaddr >> 32));
	return EK_OK;
}

uint16_t ek_device_id_mask(const struct ek_sb *sb)
{
	uint32_t pow = 1;

	while (pow < sb->extra_devices + 1u)
		pow <<= 1;
	return (uint16_t)(pow - 1);
}

ek_status ek_device_resolve(const struct ek_sb *sb,
			    const struct ek_devslot *slots, unsigned int id,
			    uint64_t pa, unsigned int *dev, uint64_t *dpa,
			    struct ek_err *err)
{
	uint64_t blk = pa >> sb->blkszbits;

	if (id > sb->extra_devices)
		return ek_fail(err, EK_CORRUPT,
			       "device %u of %u does not exist", id,
			       (unsigned int)sb->extra_devices);
	*dev = id;
	*dpa = pa;
	if (id)
		return EK_OK;
	for (unsigned int i = 0; i < sb->extra_devices; i++) {
		const struct ek_devslot *s = &slots[i];

		if (s->uniaddr && blk >= s->uniaddr &&
		    blk - s->uniaddr < s->blocks) {
			*dev = i + 1;
			*dpa = pa - (s->uniaddr << sb->blkszbits);
			break;
		}
	}
	return EK_OK;
}
