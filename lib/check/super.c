/* SPDX-License-Identifier: Apache-2.0 */

/* The superblock, what follows it, and the devices. */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

#define SB_BYTES_MAX (EK_SB_SIZE_MIN + EK_SB_SLOT * 255u)
#define NSEC	     1000000000u

/* Bytes that the checksum covers, and those of the longest superblock. */
struct head {
	uint8_t bytes[(1u << EK_BLKSZBITS_MAX)];
	size_t n;
};

static ek_status checksum(struct ck *ck, const struct ek_sb *sb,
			  const struct head *head)
{
	size_t n = ek_sb_csum_len(ek_sb_bs(sb));
	struct ek_err why;

	if (ck->options->ignore_checksum ||
	    !ek_sb_compat(sb, EK_COMPAT_SB_CHKSUM))
		return EK_OK;
	if (ek_sb_verify(sb, head->bytes, ek_min(n, head->n), &why) != EK_OK)
		return ck_find(ck, CK_SUPER_CHECKSUM, CK_NOBODY, NULL,
			       EK_SB_OFFSET + 4, "%s", why.text);
	return EK_OK;
}

static ek_status fields(struct ck *ck, const struct ek_sb *sb)
{
	uint64_t bytes;

	if (sb->compat & ~EK_COMPAT_KNOWN)
		ck_find(ck, CK_SUPER_COMPAT, CK_NOBODY, NULL, EK_SB_OFFSET + 8,
			"unknown compatible features 0x%x",
			sb->compat & ~EK_COMPAT_KNOWN);
	if (sb->name_full)
		ck_find(ck, CK_SUPER_NAME, CK_NOBODY, NULL, EK_SB_OFFSET + 0x40,
			"volume name of 16 bytes");
	if (sb->fixed_nsec >= NSEC)
		ck_find(ck, CK_SUPER_TIME, CK_NOBODY, NULL, EK_SB_OFFSET + 0x20,
			"%u nanoseconds", sb->fixed_nsec);
	if (sb->reserved_nonzero)
		ck_find(ck, CK_SUPER_RESERVED, CK_NOBODY, NULL, EK_SB_OFFSET,
			"a reserved byte of the superblock is not zero");
	if (!ek_mul(sb->blocks, ek_sb_bs(sb), &bytes) || bytes > ck->src->size)
		ck_find(ck, CK_SUPER_TRUNCATED, CK_NOBODY, NULL, ck->src->size,
			"the image has %llu bytes, but %llu blocks of %u were "
			"written",
			(unsigned long long)ck->src->size,
			(unsigned long long)sb->blocks, ek_sb_bs(sb));
	if (sb->meta_blkaddr >= sb->blocks)
		ck_find(ck, CK_SUPER_PLACE, CK_NOBODY, NULL,
			EK_SB_OFFSET + 0x28,
			"metadata begins at block %u of %llu", sb->meta_blkaddr,
			(unsigned long long)sb->blocks);
	if (sb->xattr_blkaddr > sb->blocks)
		ck_find(ck, CK_SUPER_PLACE, CK_NOBODY, NULL,
			EK_SB_OFFSET + 0x2c,
			"shared attributes begin at block %u of %llu",
			sb->xattr_blkaddr, (unsigned long long)sb->blocks);
	return EK_OK;
}

/*
 * Why the image does not open. What a truncated image lacks was told already,
 * so that an error is never taken for something unknown.
 */
static ek_status not_open(struct ck *ck, const struct ek_err *why)
{
	switch (why->status) {
	case EK_UNSUPPORTED:
		return ck_find(ck, CK_SUPER_FEATURE, CK_NOBODY, NULL,
			       EK_SB_OFFSET, "%s", why->text);
	case EK_INVALID:
		return ck_find(ck, CK_DEVICE_COUNT, CK_NOBODY, NULL,
			       EK_SB_OFFSET + 0x56, "%s", why->text);
	default:
		return ck_failed(ck, CK_SUPER_OPEN, CK_NOBODY, NULL,
				 CK_NO_OFFSET, why);
	}
}

static ek_status configs(struct ck *ck, const struct ek_sb *sb, bool *ok,
			 struct ek_err *err)
{
	EK_AUTO_FREE uint8_t *bytes = NULL;
	uint64_t at = ek_cfgs_offset(sb);
	struct ek_cfgs cfgs;
	struct ek_err why;
	size_t n, used;
	ek_status status;

	*ok = true;
	if (!ek_sb_incompat(sb, EK_INCOMPAT_COMPR_CFGS))
		return EK_OK;
	n = at < ck->src->size ? (size_t)ek_min(ck->src->size - at, EK_CFGS_MAX)
			       : 0;
	bytes = malloc(n + 1);
	if (!bytes)
		return ek_fail(err, EK_NOMEM, "configurations of codecs");
	status = n ? ek_source_read(ck->src, at, bytes, n, &why) : EK_OK;
	if (status == EK_OK)
		status = ek_cfgs_decode(sb, bytes, n, &cfgs, &used, &why);
	if (status == EK_OK) {
		ck->cfgs_used = used;
		if (cfgs.reserved_nonzero)
			ck_find(ck, CK_SUPER_RESERVED, CK_NOBODY, NULL, at,
				"a reserved byte of the configuration of a "
				"codec is not zero");
		return EK_OK;
	}
	*ok = false;
	if (status == EK_UNSUPPORTED)
		return ck_find(ck, CK_SUPER_FEATURE, CK_NOBODY, NULL, at, "%s",
			       why.text);
	return ck_failed(ck, CK_SUPER_CONFIG, CK_NOBODY, NULL, at, &why);
}

static ek_status open_image(struct ck *ck, bool *go_on)
{
	struct ek_image_options options = {
		.size = sizeof(options),
		.devices = ck->options->devices,
		.n_devices = ck->options->n_devices,
		.ignore_checksum = true,
	};
	struct ek_err why;
	ek_status status;

	status = ek_image_open(ck->src, &options, &ck->image, &why);
	*go_on = status == EK_OK;
	if (status == EK_NOMEM)
		return status;
	return status == EK_OK ? EK_OK : not_open(ck, &why);
}

static ek_status read_head(struct ck *ck, struct head *head, bool *go_on)
{
	struct ek_err why;

	*go_on = false;
	if (ck->src->size < EK_SB_OFFSET + EK_SB_SIZE_MIN)
		return ck_find(ck, CK_SUPER_MAGIC, CK_NOBODY, NULL,
			       CK_NO_OFFSET,
			       "%llu bytes are too few for an image",
			       (unsigned long long)ck->src->size);
	head->n = (size_t)ek_min(ck->src->size - EK_SB_OFFSET,
				 sizeof(head->bytes));
	if (ek_source_read(ck->src, EK_SB_OFFSET, head->bytes, head->n, &why) !=
	    EK_OK)
		return ck_failed(ck, CK_IMAGE_READ, CK_NOBODY, NULL,
				 EK_SB_OFFSET, &why);
	if (ek_get_le32(head->bytes) != EK_SB_MAGIC)
		return ck_find(ck, CK_SUPER_MAGIC, CK_NOBODY, NULL,
			       EK_SB_OFFSET, "no superblock of EROFS");
	*go_on = true;
	return EK_OK;
}

ek_status ck_super(struct ck *ck, bool *go_on, struct ek_err *err)
{
	EK_AUTO_FREE struct head *head = malloc(sizeof(*head));
	struct ek_sb sb;
	struct ek_err why;
	ek_status status;

	if (!head)
		return ek_fail(err, EK_NOMEM, "the superblock");
	EK_TRY(read_head(ck, head, go_on));
	if (!*go_on)
		return EK_OK;
	*go_on = false;
	status = ek_sb_decode(head->bytes, ek_min(head->n, SB_BYTES_MAX), &sb,
			      &why);
	if (status == EK_UNSUPPORTED)
		return ck_find(ck, CK_SUPER_FEATURE, CK_NOBODY, NULL,
			       EK_SB_OFFSET, "%s", why.text);
	if (status != EK_OK)
		return ck_failed(ck, CK_SUPER_FIELD, CK_NOBODY, NULL,
				 EK_SB_OFFSET, &why);
	EK_TRY(checksum(ck, &sb, head));
	EK_TRY(fields(ck, &sb));
	EK_TRY(configs(ck, &sb, go_on, err));
	if (!*go_on)
		return EK_OK;
	status = open_image(ck, go_on);
	return status == EK_OK ? EK_OK
			       : ek_fail(err, status, "cannot open the image");
}

/* Last byte of the unified space that slot @i ends at, or 0 if unmapped. */
static uint64_t unified_end(const struct ek_image *image, unsigned i)
{
	const struct ek_devslot *s = &image->slots[i];

	return s->uniaddr ? s->uniaddr + s->blocks : 0;
}

static ek_status device_slot(struct ck *ck, unsigned i)
{
	const struct ek_image *image = ck->image;
	const struct ek_devslot *s = &image->slots[i];
	uint64_t at = ek_devslot_pos(&image->sb, i), bytes;
	unsigned k;

	if (s->reserved_nonzero)
		ck_find(ck, CK_SUPER_RESERVED, CK_NOBODY, NULL, at,
			"a reserved byte of device slot %u is not zero", i);
	if (image->devices &&
	    (!ek_mul(s->blocks, image->info.block_size, &bytes) ||
	     bytes > ek_round_up(image->devices[i]->size,
				 image->info.block_size)))
		ck_find(ck, CK_DEVICE_SHORT, CK_NOBODY, NULL, at,
			"device %u has %llu bytes, its slot says %llu blocks",
			i + 1, (unsigned long long)image->devices[i]->size,
			(unsigned long long)s->blocks);
	if (!s->uniaddr)
		return EK_OK;
	if (s->uniaddr < image->sb.blocks)
		ck_find(ck, CK_DEVICE_OVERLAP, CK_NOBODY, NULL, at,
			"device %u begins at block %llu, inside the image",
			i + 1, (unsigned long long)s->uniaddr);
	for (k = 0; k < i; k++)
		if (s->uniaddr < unified_end(image, k) &&
		    image->slots[k].uniaddr < unified_end(image, i))
			return ck_find(ck, CK_DEVICE_OVERLAP, CK_NOBODY, NULL,
				       at, "devices %u and %u overlap", k + 1,
				       i + 1);
	return EK_OK;
}

/*
 * Without devices an image with slots is a flattened one; when it is too
 * short for that, the data on the devices cannot be looked at.
 */
static ek_status devices(struct ck *ck)
{
	const struct ek_image *image = ck->image;
	uint64_t end = 0, bytes;
	unsigned i;

	/* Pairs are compared: a table of thousands is a hostile one. */
	for (i = 0; i < image->sb.extra_devices && i < 4096; i++)
		EK_TRY(device_slot(ck, i));
	for (i = 0; i < image->sb.extra_devices; i++)
		end = ek_max(end, unified_end(image, i));
	ck->devices_absent =
		image->flattened && image->sb.extra_devices &&
		(!end || !ek_mul(end, image->info.block_size, &bytes) ||
		 bytes > ek_round_up(ck->src->size, image->info.block_size));
	if (ck->devices_absent)
		return ck_find(ck, CK_DEVICE_COUNT, CK_NOBODY, NULL,
			       EK_SB_OFFSET + 0x56,
			       "the image has %u extra devices, but none was "
			       "given",
			       image->sb.extra_devices);
	return EK_OK;
}

/* The table of long prefixes, wherever it is (4.4). */
static ek_status claim_prefixes(struct ck *ck, struct ek_err *err)
{
	const struct ek_sb *sb = &ck->image->sb;
	uint64_t at = (uint64_t)sb->xattr_prefix_start * 4, end = at;
	enum ek_xattr_place place = ek_xattr_long_place(sb);
	size_t i;

	if (!ek_sb_incompat(sb, EK_INCOMPAT_XATTR_PREFIXES) ||
	    place == EK_PLACE_PACKED)
		return EK_OK;
	for (i = 0; i < ck->image->n_longs; i++)
		end = ek_round_up(end, 4) + ck->image->longs[i].size;
	return ck_claim(ck, CK_META, CK_NOBODY,
			place == EK_PLACE_METABOX ? CK_BOX : 0, at, end - at,
			err);
}

ek_status ck_super_tables(struct ck *ck, struct ek_err *err)
{
	const struct ek_sb *sb = &ck->image->sb;

	EK_TRY(devices(ck));
	EK_TRY(ck_claim(ck, CK_META, CK_NOBODY, 0, EK_SB_OFFSET, ek_sb_size(sb),
			err));
	EK_TRY(ck_claim(ck, CK_META, CK_NOBODY, 0, ek_cfgs_offset(sb),
			ck->cfgs_used, err));
	EK_TRY(ck_claim(ck, CK_META, CK_NOBODY, 0, ek_devslot_pos(sb, 0),
			(uint64_t)sb->extra_devices * EK_DEVSLOT_SIZE, err));
	return claim_prefixes(ck, err);
}
