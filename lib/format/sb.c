/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sb.h"
#include "format/crc32c.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <string.h>

/* Smallest page of any kernel that we know of. */
#define PAGE_MIN 4096u

bool ek_sb_is_plain(const struct ek_sb *sb)
{
	return !(sb->incompat &
		 (EK_INCOMPAT_COMPR_CFGS | EK_INCOMPAT_LZ4_0PADDING)) &&
	       sb->lz4_max_distance == 0;
}

/* The rules of a mount that decode and encode share. */
static ek_status check_rules(const struct ek_sb *sb, ek_status bad,
			     struct ek_err *err)
{
	uint32_t page;

	if (sb->blkszbits < EK_BLKSZBITS_MIN)
		return ek_fail(err, bad, "superblock: block size 2^%u < 512",
			       sb->blkszbits);
	if (sb->blkszbits > EK_BLKSZBITS_MAX)
		return ek_fail(err, EK_UNSUPPORTED,
			       "superblock: block size 2^%u is beyond 64 KiB",
			       sb->blkszbits);
	if (sb->incompat & ~EK_INCOMPAT_KNOWN)
		return ek_fail(err, EK_UNSUPPORTED,
			       "superblock: unknown features 0x%" PRIx32,
			       sb->incompat & ~EK_INCOMPAT_KNOWN);
	page = (uint32_t)ek_max(PAGE_MIN, ek_sb_bs(sb));
	if (ek_sb_size(sb) > page - EK_SB_OFFSET)
		return ek_fail(err, bad,
			       "superblock: %" PRIu32
			       " bytes do not fit in the first page",
			       ek_sb_size(sb));
	if (ek_sb_incompat(sb, EK_INCOMPAT_METABOX)) {
		if (ek_sb_size(sb) < EK_SB_SIZE_BOX)
			return ek_fail(err, bad,
				       "superblock: too short for metabox");
		if (sb->metabox_nid & EK_NID_METABOX)
			return ek_fail(err, bad,
				       "superblock: the metabox inode is "
				       "inside the metabox");
	}
	if (ek_sb_packed(sb) & EK_NID_METABOX)
		return ek_fail(err, bad,
			       "superblock: the packed inode is inside the "
			       "metabox");
	if (sb->algs >> EK_ALG_COUNT)
		return ek_fail(err, EK_UNSUPPORTED,
			       "superblock: unknown algorithms 0x%x",
			       (unsigned int)sb->algs);
	if (ek_sb_compat(sb, EK_COMPAT_ISHARE_XATTRS) &&
	    sb->ishare_prefix_id >= sb->xattr_prefix_count)
		return ek_fail(err, bad, "superblock: digest prefix %u of %u",
			       sb->ishare_prefix_id, sb->xattr_prefix_count);
	return EK_OK;
}

static void decode_base(const uint8_t *p, struct ek_sb *sb)
{
	const uint8_t *nul = memchr(p + 0x40, 0, EK_VOLUME_NAME_MAX);

	sb->checksum = ek_get_le32(p + 0x04);
	sb->compat = ek_get_le32(p + 0x08);
	sb->blkszbits = p[0x0c];
	sb->extslots = p[0x0d];
	sb->inos = ek_get_le64(p + 0x10);
	sb->epoch = (int64_t)ek_get_le64(p + 0x18);
	sb->fixed_nsec = ek_get_le32(p + 0x20);
	sb->meta_blkaddr = ek_get_le32(p + 0x28);
	sb->xattr_blkaddr = ek_get_le32(p + 0x2c);
	memcpy(sb->uuid, p + 0x30, sizeof(sb->uuid));
	memcpy(sb->volume_name, p + 0x40, EK_VOLUME_NAME_MAX);
	sb->name_full = !nul;
	if (nul && !ek_all_zero(nul, (size_t)(p + 0x50 - nul)))
		sb->reserved_nonzero = true;
	sb->incompat = ek_get_le32(p + 0x50);
	if (sb->incompat & EK_INCOMPAT_COMPR_CFGS)
		sb->algs = ek_get_le16(p + 0x54);
	else
		sb->lz4_max_distance = ek_get_le16(p + 0x54);
	if (sb->incompat & EK_INCOMPAT_DEVICE_TABLE) {
		sb->extra_devices = ek_get_le16(p + 0x56);
		sb->devt_slotoff = ek_get_le16(p + 0x58);
	} else if (!ek_all_zero(p + 0x56, 4)) {
		sb->reserved_nonzero = true;
	}
	sb->xattr_prefix_count = p[0x5b];
	sb->xattr_prefix_start = ek_get_le32(p + 0x5c);
	sb->packed_nid = ek_get_le64(p + 0x60);
	sb->xattr_filter_reserved = p[0x68];
	sb->ishare_prefix_id = p[0x69];
	sb->build_time = ek_get_le32(p + 0x6c);
	if (!ek_all_zero(p + 0x6a, 2) || !ek_all_zero(p + 0x78, 8))
		sb->reserved_nonzero = true;
}

/* Root and blocks: rule 2 of section 1.2. */
static void decode_root(const uint8_t *p, struct ek_sb *sb)
{
	uint64_t wide_root = ek_get_le64(p + 0x70);
	uint16_t nb = ek_get_le16(p + 0x0e);

	sb->blocks = ek_get_le32(p + 0x24);
	sb->root_nid = nb;
	if (!ek_sb_incompat(sb, EK_INCOMPAT_48BIT)) {
		if (wide_root)
			sb->reserved_nonzero = true;
		return;
	}
	if (!wide_root)
		return;
	sb->root_wide = true;
	sb->root_nid = wide_root;
	sb->blocks |= (uint64_t)nb << 32;
}

/* What follows the mandatory 128 bytes; all @size bytes are at @p. */
static void decode_ext(const uint8_t *p, uint32_t size, struct ek_sb *sb)
{
	uint32_t used = EK_SB_SIZE_MIN;

	if (size >= EK_SB_SIZE_BOX) {
		sb->metabox_nid = ek_get_le64(p + 0x80);
		if (ek_sb_incompat(sb, EK_INCOMPAT_METABOX))
			used += 8;
	}
	if (!ek_all_zero(p + used, size - used))
		sb->reserved_nonzero = true;
}

ek_status ek_sb_decode(const uint8_t *p, size_t n, struct ek_sb *sb,
		       struct ek_err *err)
{
	memset(sb, 0, sizeof(*sb));
	if (n < EK_SB_SIZE_MIN)
		return ek_fail(err, EK_CORRUPT,
			       "not an EROFS image: shorter than a superblock");
	if (ek_get_le32(p) != EK_SB_MAGIC)
		return ek_fail(err, EK_CORRUPT,
			       "not an EROFS image: no magic number");
	decode_base(p, sb);
	decode_root(p, sb);
	if (p[0x5a])
		return ek_fail(err, EK_CORRUPT,
			       "superblock: directory block bits %u, not 0",
			       p[0x5a]);
	if (n < ek_sb_size(sb))
		return ek_fail(err, EK_CORRUPT,
			       "superblock: cut off after %zu of %" PRIu32
			       " bytes",
			       n, ek_sb_size(sb));
	decode_ext(p, ek_sb_size(sb), sb);
	return check_rules(sb, EK_CORRUPT, err);
}

/* Root and blocks; the wide form only when needed, as in rule 2. */
static ek_status encode_root(const struct ek_sb *sb, uint8_t *p,
			     struct ek_err *err)
{
	bool wide = sb->blocks > UINT32_MAX || sb->root_nid > UINT16_MAX;

	ek_put_le32(p + 0x24, (uint32_t)sb->blocks);
	if (!wide) {
		ek_put_le16(p + 0x0e, (uint16_t)sb->root_nid);
		return EK_OK;
	}
	if (!ek_sb_incompat(sb, EK_INCOMPAT_48BIT))
		return ek_fail(err, EK_INVALID,
			       "superblock: root %" PRIu64 " and %" PRIu64
			       " blocks need 48-bit addresses",
			       sb->root_nid, sb->blocks);
	/* A wide root of 0 would be read as the narrow form. */
	if (sb->blocks > EK_BLK_MAX || sb->root_nid == 0)
		return ek_fail(err, EK_INVALID,
			       "superblock: root %" PRIu64 " with %" PRIu64
			       " blocks cannot be written",
			       sb->root_nid, sb->blocks);
	ek_put_le16(p + 0x0e, (uint16_t)(sb->blocks >> 32));
	ek_put_le64(p + 0x70, sb->root_nid);
	return EK_OK;
}

static ek_status check_encode(const struct ek_sb *sb, size_t cap,
			      struct ek_err *err)
{
	EK_TRY(check_rules(sb, EK_INVALID, err));
	if (cap < ek_sb_size(sb))
		return ek_fail(err, EK_INVALID, "superblock: no room");
	if (ek_sb_incompat(sb, EK_INCOMPAT_COMPR_CFGS) ? sb->lz4_max_distance
						       : sb->algs)
		return ek_fail(err, EK_INVALID,
			       "superblock: algorithms or LZ4 window, not "
			       "both");
	if (!ek_sb_incompat(sb, EK_INCOMPAT_DEVICE_TABLE) &&
	    (sb->extra_devices || sb->devt_slotoff))
		return ek_fail(err, EK_INVALID,
			       "superblock: devices without a device table");
	return EK_OK;
}

ek_status ek_sb_encode(const struct ek_sb *sb, uint8_t *out, size_t cap,
		       struct ek_err *err)
{
	uint8_t *p = out;

	EK_TRY(check_encode(sb, cap, err));
	memset(p, 0, ek_sb_size(sb));
	ek_put_le32(p, EK_SB_MAGIC);
	ek_put_le32(p + 0x08, sb->compat);
	p[0x0c] = sb->blkszbits;
	p[0x0d] = sb->extslots;
	ek_put_le64(p + 0x10, sb->inos);
	ek_put_le64(p + 0x18, (uint64_t)sb->epoch);
	ek_put_le32(p + 0x20, sb->fixed_nsec);
	ek_put_le32(p + 0x28, sb->meta_blkaddr);
	ek_put_le32(p + 0x2c, sb->xattr_blkaddr);
	memcpy(p + 0x30, sb->uuid, sizeof(sb->uuid));
	memcpy(p + 0x40, sb->volume_name,
	       strnlen(sb->volume_name, EK_VOLUME_NAME_MAX));
	ek_put_le32(p + 0x50, sb->incompat);
	ek_put_le16(p + 0x54, sb->algs | sb->lz4_max_distance);
	ek_put_le16(p + 0x56, sb->extra_devices);
	ek_put_le16(p + 0x58, sb->devt_slotoff);
	p[0x5b] = sb->xattr_prefix_count;
	ek_put_le32(p + 0x5c, sb->xattr_prefix_start);
	ek_put_le64(p + 0x60, sb->packed_nid);
	p[0x68] = sb->xattr_filter_reserved;
	p[0x69] = sb->ishare_prefix_id;
	ek_put_le32(p + 0x6c, sb->build_time);
	if (ek_sb_incompat(sb, EK_INCOMPAT_METABOX))
		ek_put_le64(p + 0x80, sb->metabox_nid);
	return encode_root(sb, p, err);
}

uint32_t ek_sb_checksum(const uint8_t *p, size_t n)
{
	static const uint8_t zero[4];
	uint32_t crc = ek_crc32c(EK_CRC32C_INIT, p, 4);

	crc = ek_crc32c(crc, zero, sizeof(zero));
	return ek_crc32c(crc, p + 8, n - 8);
}

ek_status ek_sb_verify(const struct ek_sb *sb, const uint8_t *p, size_t n,
		       struct ek_err *err)
{
	uint32_t len = ek_sb_csum_len(ek_sb_bs(sb)), crc;

	if (!ek_sb_compat(sb, EK_COMPAT_SB_CHKSUM))
		return EK_OK;
	if (n < len)
		return ek_fail(err, EK_CORRUPT,
			       "superblock: its block is cut off, no checksum "
			       "can be computed");
	crc = ek_sb_checksum(p, len);
	if (crc != sb->checksum)
		return ek_fail(err, EK_CORRUPT,
			       "superblock: checksum 0x%08" PRIx32
			       ", but 0x%08" PRIx32 " is stored",
			       crc, sb->checksum);
	return EK_OK;
}

void ek_sb_seal(uint8_t *p, size_t n)
{
	ek_put_le32(p + 4, ek_sb_checksum(p, n));
}
