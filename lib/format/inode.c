/* SPDX-License-Identifier: Apache-2.0 */
#include "format/inode.h"
#include "format/chunk.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define IFMT_EXTENDED	  0x01u
#define IFMT_LAYOUT_SHIFT 1u
#define IFMT_LAYOUT_MASK  0x07u
#define IFMT_BIT4	  0x10u
#define IFMT_KNOWN	  0x1fu

#define RDEV_MAJOR_MAX 0xfffu
#define RDEV_MINOR_MAX 0xfffffu

bool ek_mode_has_data(uint16_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode);
}

static bool mode_known(uint16_t mode)
{
	return ek_mode_has_data(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
	       S_ISFIFO(mode) || S_ISSOCK(mode);
}

ek_status ek_nid_pos(const struct ek_sb *sb, uint64_t nid, bool *in_metabox,
		     uint64_t *pos, struct ek_err *err)
{
	uint64_t slot = nid & ~EK_NID_METABOX, off;

	*in_metabox = (nid & EK_NID_METABOX) != 0;
	if (*in_metabox && !ek_sb_incompat(sb, EK_INCOMPAT_METABOX))
		return ek_fail(err, EK_CORRUPT,
			       "nid 0x%" PRIx64
			       " is in a metabox, and there is none",
			       nid);
	if (!ek_mul(slot, EK_NID_SLOT, &off))
		goto beyond;
	if (!*in_metabox &&
	    !ek_add(off, (uint64_t)sb->meta_blkaddr << sb->blkszbits, &off))
		goto beyond;
	/* Keep room for the largest inode behind it. */
	if (off > INT64_MAX - (UINT64_C(1) << 32))
		goto beyond;
	*pos = off;
	return EK_OK;
beyond:
	return ek_fail(err, EK_CORRUPT, "nid 0x%" PRIx64 " is beyond any image",
		       nid);
}

ek_status ek_pos_nid(const struct ek_sb *sb, uint64_t pos, uint64_t *nid,
		     struct ek_err *err)
{
	uint64_t base = (uint64_t)sb->meta_blkaddr << sb->blkszbits;

	if (pos < base || pos % EK_NID_SLOT)
		return ek_fail(err, EK_INVALID,
			       "no inode can be at byte %" PRIu64, pos);
	*nid = (pos - base) / EK_NID_SLOT;
	return EK_OK;
}

uint32_t ek_inode_peek(const uint8_t *p)
{
	return p[0] & IFMT_EXTENDED ? EK_INODE_EXTENDED : EK_INODE_COMPACT;
}

/* i_format, and which meaning bit 4 has. */
static ek_status decode_format(const uint8_t *p, struct ek_inode *in,
			       struct ek_err *err)
{
	uint16_t fmt = ek_get_le16(p);
	bool dir;

	in->mode = ek_get_le16(p + 4);
	dir = S_ISDIR(in->mode);
	in->extended = fmt & IFMT_EXTENDED;
	in->layout = fmt >> IFMT_LAYOUT_SHIFT & IFMT_LAYOUT_MASK;
	in->bit4 = fmt & IFMT_BIT4;
	in->nlink_1 = in->bit4 && !in->extended && !dir;
	in->dot_omitted = in->bit4 && dir;
	if (fmt & ~IFMT_KNOWN || in->layout >= EK_LAYOUT_COUNT)
		return ek_fail(err, EK_UNSUPPORTED,
			       "unknown inode format 0x%04x",
			       (unsigned int)fmt);
	if (!mode_known(in->mode))
		return ek_fail(err, EK_CORRUPT, "unknown file type, mode 0%o",
			       (unsigned int)in->mode);
	return EK_OK;
}

/* Whether every address bit of the form is set (2.5). */
static bool start_is_null(bool has_high, uint32_t low, uint16_t high)
{
	return low == UINT32_MAX && (!has_high || high == UINT16_MAX);
}

static ek_status decode_data(const struct ek_sb *sb, const uint8_t *u,
			     bool has_high, uint16_t high, struct ek_inode *in,
			     struct ek_err *err)
{
	uint32_t low = ek_get_le32(u);
	uint64_t wide = low | (uint64_t)high << 32;

	switch (in->layout) {
	case EK_LAYOUT_PLAIN:
		in->start =
			start_is_null(has_high, low, high) ? EK_NULL_BLK : wide;
		return EK_OK;
	case EK_LAYOUT_INLINE:
		/* Writers mark "no full block" in two forms. */
		in->start = wide;
		if (in->size <= ek_sb_bs(sb) && low == UINT32_MAX)
			in->start = EK_NULL_BLK;
		return EK_OK;
	case EK_LAYOUT_CHUNK:
		in->chunk_format = ek_get_le16(u);
		if (in->chunk_format & ~EK_CHUNK_FMT_KNOWN)
			return ek_fail(err, EK_UNSUPPORTED,
				       "unknown chunk format 0x%04x",
				       (unsigned int)in->chunk_format);
		if (ek_get_le16(u + 2))
			in->reserved_nonzero = true;
		return EK_OK;
	default:
		in->cblocks = wide;
		return EK_OK;
	}
}

static ek_status decode_u(const struct ek_sb *sb, const uint8_t *p,
			  struct ek_inode *in, struct ek_err *err)
{
	uint32_t dev = ek_get_le32(p + 0x10);
	bool has_high = in->extended || in->nlink_1;

	if (ek_mode_has_data(in->mode))
		return decode_data(sb, p + 0x10, has_high,
				   has_high ? ek_get_le16(p + 6) : 0, in, err);
	if (S_ISCHR(in->mode) || S_ISBLK(in->mode)) {
		in->rdev_major = dev >> 8 & RDEV_MAJOR_MAX;
		in->rdev_minor = (dev & 0xff) | (dev >> 12 & 0xfff00);
	}
	return EK_OK;
}

static ek_status decode_compact(const struct ek_sb *sb, const uint8_t *p,
				struct ek_inode *in, struct ek_err *err)
{
	uint32_t delta = ek_get_le32(p + 0x0c);

	in->nlink = in->nlink_1 ? 1 : ek_get_le16(p + 6);
	in->size = ek_get_le32(p + 8);
	if (sb->epoch > INT64_MAX - (int64_t)delta)
		return ek_fail(err, EK_CORRUPT,
			       "modification time beyond 2^63 seconds");
	in->mtime = sb->epoch + (int64_t)delta;
	in->mtime_nsec = sb->fixed_nsec;
	in->ino = ek_get_le32(p + 0x14);
	in->uid = ek_get_le16(p + 0x18);
	in->gid = ek_get_le16(p + 0x1a);
	in->reserved_nonzero = !ek_all_zero(p + 0x1c, 4);
	return EK_OK;
}

static void decode_extended(const uint8_t *p, struct ek_inode *in)
{
	in->size = ek_get_le64(p + 8);
	in->ino = ek_get_le32(p + 0x14);
	in->uid = ek_get_le32(p + 0x18);
	in->gid = ek_get_le32(p + 0x1c);
	in->mtime = (int64_t)ek_get_le64(p + 0x20);
	in->mtime_nsec = ek_get_le32(p + 0x28);
	in->nlink = ek_get_le32(p + 0x2c);
	in->reserved_nonzero = !ek_all_zero(p + 0x30, 16);
}

ek_status ek_inode_decode(const struct ek_sb *sb, const uint8_t *p, size_t n,
			  struct ek_inode *in, struct ek_err *err)
{
	memset(in, 0, sizeof(*in));
	if (n < EK_INODE_COMPACT || n < ek_inode_peek(p))
		return ek_fail(err, EK_CORRUPT, "inode cut off");
	EK_TRY(decode_format(p, in, err));
	in->xattr_icount = ek_get_le16(p + 2);
	if (in->extended)
		decode_extended(p, in);
	else
		EK_TRY(decode_compact(sb, p, in, err));
	if (in->size > INT64_MAX)
		return ek_fail(err, EK_CORRUPT, "negative size of an inode");
	return decode_u(sb, p, in, err);
}

/* The address that a flat or compressed inode stores, and if it is one. */
static bool has_wide_start(const struct ek_inode *in, uint64_t *blk)
{
	if (!ek_mode_has_data(in->mode))
		return false;
	switch (in->layout) {
	case EK_LAYOUT_PLAIN:
	case EK_LAYOUT_INLINE:
		*blk = in->start;
		return in->start != EK_NULL_BLK;
	case EK_LAYOUT_ZFULL:
	case EK_LAYOUT_ZCOMPACT:
		*blk = in->cblocks;
		return true;
	default:
		return false;
	}
}

/*
 * Whether the address needs its high part: also when the low 32 bits alone
 * would be taken for the null address.
 */
static bool needs_high(const struct ek_inode *in)
{
	uint64_t blk;

	if (!has_wide_start(in, &blk))
		return false;
	return blk > UINT32_MAX ||
	       (in->layout == EK_LAYOUT_PLAIN && blk == UINT32_MAX);
}

uint32_t ek_inode_why_extended(const struct ek_sb *sb,
			       const struct ek_inode *in)
{
	bool wide = ek_sb_incompat(sb, EK_INCOMPAT_48BIT);
	uint32_t why = 0;

	if (in->size > UINT32_MAX)
		why |= EK_EXT_SIZE;
	if (in->uid > UINT16_MAX || in->gid > UINT16_MAX)
		why |= EK_EXT_OWNER;
	if (in->nlink > UINT16_MAX)
		why |= EK_EXT_NLINK;
	if (in->mtime_nsec != sb->fixed_nsec || in->mtime < sb->epoch ||
	    (uint64_t)in->mtime - (uint64_t)sb->epoch > (wide ? UINT32_MAX : 0))
		why |= EK_EXT_MTIME;
	if (needs_high(in) && (in->nlink != 1 || S_ISDIR(in->mode)))
		why |= EK_EXT_START;
	return why;
}

static ek_status check_encode(const struct ek_sb *sb, const struct ek_inode *in,
			      struct ek_err *err)
{
	uint32_t why = in->extended ? 0 : ek_inode_why_extended(sb, in);
	uint64_t blk;

	if (why)
		return ek_fail(
			err, EK_INVALID,
			"the inode cannot be compact: reasons 0x%" PRIx32, why);
	if (!mode_known(in->mode) || in->layout >= EK_LAYOUT_COUNT)
		return ek_fail(err, EK_INVALID,
			       "inode of mode 0%o and layout %u",
			       (unsigned int)in->mode, in->layout);
	if (in->size > INT64_MAX)
		return ek_fail(err, EK_INVALID, "inode larger than 2^63-1");
	/* All 48 bits set are the null address. */
	if (has_wide_start(in, &blk) && blk >= EK_BLK_MAX)
		return ek_fail(err, EK_INVALID,
			       "block %" PRIu64 " needs more than 48 bits",
			       blk);
	if (needs_high(in) && !ek_sb_incompat(sb, EK_INCOMPAT_48BIT))
		return ek_fail(err, EK_INVALID,
			       "a block address needs 48-bit addresses");
	if (in->rdev_major > RDEV_MAJOR_MAX || in->rdev_minor > RDEV_MINOR_MAX)
		return ek_fail(err, EK_INVALID,
			       "device number %" PRIu32 ":%" PRIu32
			       " does not fit",
			       in->rdev_major, in->rdev_minor);
	if (in->layout == EK_LAYOUT_CHUNK &&
	    in->chunk_format & ~EK_CHUNK_FMT_KNOWN)
		return ek_fail(err, EK_INVALID, "chunk format 0x%04x",
			       (unsigned int)in->chunk_format);
	return EK_OK;
}

/* i_u at @p and the high 16 bits in @high (2.5). */
static void encode_u(const struct ek_sb *sb, const struct ek_inode *in,
		     uint8_t *p, uint16_t *high)
{
	uint64_t blk;

	*high = 0;
	if (has_wide_start(in, &blk)) {
		ek_put_le32(p, (uint32_t)blk);
		*high = (uint16_t)(blk >> 32);
	} else if (!ek_mode_has_data(in->mode)) {
		if (S_ISCHR(in->mode) || S_ISBLK(in->mode))
			ek_put_le32(p, (in->rdev_minor & 0xff) |
					       in->rdev_major << 8 |
					       (in->rdev_minor & ~0xffu) << 12);
	} else if (in->layout == EK_LAYOUT_CHUNK) {
		ek_put_le16(p, in->chunk_format);
	} else {
		ek_put_le32(p, UINT32_MAX);
		if (in->layout == EK_LAYOUT_PLAIN ||
		    ek_sb_incompat(sb, EK_INCOMPAT_48BIT))
			*high = UINT16_MAX;
	}
}

ek_status ek_inode_encode(const struct ek_sb *sb, const struct ek_inode *in,
			  uint8_t *out, struct ek_err *err)
{
	bool nlink_1 = !in->extended && needs_high(in);
	bool bit4 = nlink_1 || (in->dot_omitted && S_ISDIR(in->mode));
	uint16_t high;

	EK_TRY(check_encode(sb, in, err));
	memset(out, 0, ek_inode_core(in));
	ek_put_le16(out,
		    (uint16_t)((in->extended ? IFMT_EXTENDED : 0) |
			       (unsigned int)in->layout << IFMT_LAYOUT_SHIFT |
			       (bit4 ? IFMT_BIT4 : 0)));
	ek_put_le16(out + 2, in->xattr_icount);
	ek_put_le16(out + 4, in->mode);
	encode_u(sb, in, out + 0x10, &high);
	ek_put_le32(out + 0x14, in->ino);
	if (!in->extended) {
		ek_put_le16(out + 6, nlink_1 ? high : (uint16_t)in->nlink);
		ek_put_le32(out + 8, (uint32_t)in->size);
		ek_put_le32(out + 0x0c, (uint32_t)((uint64_t)in->mtime -
						   (uint64_t)sb->epoch));
		ek_put_le16(out + 0x18, (uint16_t)in->uid);
		ek_put_le16(out + 0x1a, (uint16_t)in->gid);
		return EK_OK;
	}
	ek_put_le16(out + 6, high);
	ek_put_le64(out + 8, in->size);
	ek_put_le32(out + 0x18, in->uid);
	ek_put_le32(out + 0x1c, in->gid);
	ek_put_le64(out + 0x20, (uint64_t)in->mtime);
	ek_put_le32(out + 0x28, in->mtime_nsec);
	ek_put_le32(out + 0x2c, in->nlink);
	return EK_OK;
}

uint64_t ek_inode_block_bytes(const struct ek_sb *sb, const struct ek_inode *in)
{
	uint64_t bs = ek_sb_bs(sb);

	if (in->layout != EK_LAYOUT_INLINE || in->size == 0)
		return in->size;
	return ek_round_down(in->size - 1, bs);
}
