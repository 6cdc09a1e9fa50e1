/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_FORMAT_DEVICE_H
#define EK_FORMAT_DEVICE_H

/*
 * Device slots and addresses over several devices (sections 1.6 and 5.3).
 * Pure functions; any thread may call them.
 */

#include "format/sb.h"

struct ek_devslot {
	uint8_t tag[EK_DEVTAG_SIZE];
	uint64_t blocks;       /* 48 bits */
	uint64_t uniaddr;      /* first block in unified space; 0 = not there */
	bool reserved_nonzero; /* decode: some reserved byte is not zero */
};

/* Byte position of slot @i (0-based) on the primary device. */
static inline uint64_t ek_devslot_pos(const struct ek_sb *sb, unsigned int i)
{
	return ((uint64_t)sb->devt_slotoff + i) * EK_DEVSLOT_SIZE;
}

/* Decode 128 bytes. The high halves count with 48BIT only. */
void ek_devslot_decode(const struct ek_sb *sb, const uint8_t *p,
		       struct ek_devslot *slot);

/* Encode 128 bytes. EK_INVALID: a number does not fit (32 or 48 bits). */
ek_status ek_devslot_encode(const struct ek_sb *sb,
			    const struct ek_devslot *slot, uint8_t *p,
			    struct ek_err *err);

/* Mask of the device_id field of chunk indexes (5.2). */
uint16_t ek_device_id_mask(const struct ek_sb *sb);

/*
 * Find the device that holds byte @pa. @id is a masked device id: 0 is the
 * unified space, k is slot k-1. @slots has sb->extra_devices entries (NULL
 * when 0). @dev gets 0 for the primary or the slot number + 1; @dpa gets the
 * byte there. For @dev != 0 that lies in the slot's blocks when @id is 0; for
 * other ids bounds are the caller's to check.
 * EK_CORRUPT: no such device.
 */
ek_status ek_device_resolve(const struct ek_sb *sb,
			    const struct ek_devslot *slots, unsigned int id,
			    uint64_t pa, unsigned int *dev, uint64_t *dpa,
			    struct ek_err *err);

#endif
