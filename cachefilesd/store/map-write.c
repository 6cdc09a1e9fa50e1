/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/store/priv.h"

#include <errno.h>
#include <sys/stat.h>

/* Bits first, then the header; either alone is no slot. */
static ek_status put_slot(struct ekd_blob *b, const uint8_t *slot, size_t size,
			  struct ek_err *err)
{
	uint64_t at = b->map.seq % 2 * size;

	if (size > EKD_MAP_PAGE)
		EKD_TRY(ekd_pwrite(b->store, b->map_fd, "map",
				   at + EKD_MAP_PAGE, slot + EKD_MAP_PAGE,
				   size - EKD_MAP_PAGE, err));
	ekd_step(b->store, EKD_STEP_MAP_HALF);
	EKD_TRY(ekd_pwrite(b->store, b->map_fd, "map", at, slot, EKD_MAP_PAGE,
			   err));
	ekd_step(b->store, EKD_STEP_MAP_WRITTEN);
	EKD_TRY(ekd_datasync(b->store, b->map_fd, "map", err));
	ekd_step(b->store, EKD_STEP_MAP_SYNCED);
	return EK_OK;
}

ek_status ekd_map_write(struct ekd_blob *b, struct ek_err *err)
{
	size_t size = ekd_map_slot_size(b->leaves->n);
	uint8_t *slot = malloc(size);
	ek_status status;

	if (!slot)
		return ek_fail(err, EK_NOMEM, "no memory for a map");
	b->map.seq++;
	ekd_map_encode(&b->map, b->disk, slot);
	status = put_slot(b, slot, size, err);
	/*
	 * After a failure the slot may be torn: the next try writes it again,
	 * with another number, and leaves the good one alone.
	 */
	if (status != EK_OK)
		b->map.seq++;
	free(slot);
	return status;
}

/*
 * The change time is how a later opener knows that the data file is what this
 * process left: neither filled nor punched since, nor touched by anyone else.
 */
ek_status ekd_map_stamp(struct ekd_blob *b, struct ek_err *err)
{
	struct stat st;

	if (fstat(b->fd, &st) < 0)
		return ek_fail_sys(err, errno, "data");
	b->map.inode = (uint64_t)st.st_ino;
	b->map.ctime_s = (int64_t)st.st_ctim.tv_sec;
	b->map.ctime_ns = (uint32_t)st.st_ctim.tv_nsec;
	return EK_OK;
}
