/* SPDX-License-Identifier: Apache-2.0 */

/* Opening an image: everything that a mount checks. */

#include "reader/reader.h"

#include "base/bytes.h"
#include "base/try.h"
#include "format/needs.h"

#include <string.h>

/* A superblock with all extension slots. */
#define SB_MAX (EK_SB_SIZE_MIN + 255 * EK_SB_SLOT)

static ek_status load_sb(struct ek_image *image, bool ignore_checksum,
			 struct ek_err *err)
{
	uint64_t size = image->src->size;
	EK_AUTO_FREE uint8_t *covered = NULL;
	uint8_t bytes[SB_MAX];
	size_t n;

	if (size < EK_SB_OFFSET + EK_SB_SIZE_MIN)
		return ek_fail(err, EK_CORRUPT,
			       "%llu bytes are too few for an EROFS image",
			       (unsigned long long)size);
	n = (size_t)ek_min(size - EK_SB_OFFSET, SB_MAX);
	EK_TRY(ek_source_read(image->src, EK_SB_OFFSET, bytes, n, err));
	EK_TRY(ek_sb_decode(bytes, n, &image->sb, err));
	if (ignore_checksum || !ek_sb_compat(&image->sb, EK_COMPAT_SB_CHKSUM))
		return EK_OK;
	n = (size_t)ek_min(size - EK_SB_OFFSET,
			   ek_sb_csum_len(ek_sb_bs(&image->sb)));
	covered = malloc(n);
	if (!covered)
		return ek_fail(err, EK_NOMEM, "no memory for a block");
	EK_TRY(ek_source_read(image->src, EK_SB_OFFSET, covered, n, err));
	return ek_sb_verify(&image->sb, covered, n, err);
}

static ek_status load_cfgs(struct ek_image *image, struct ek_err *err)
{
	uint64_t at = ek_cfgs_offset(&image->sb), size = image->src->size;
	EK_AUTO_FREE uint8_t *bytes = NULL;
	size_t n = 0, used = 0;

	if (ek_sb_incompat(&image->sb, EK_INCOMPAT_COMPR_CFGS)) {
		if (at < size)
			n = (size_t)ek_min(size - at, EK_CFGS_MAX);
		bytes = malloc(n + 1);
		if (!bytes)
			return ek_fail(err, EK_NOMEM,
				       "no memory for configurations");
		EK_TRY(ek_source_read(image->src, at < size ? at : 0, bytes, n,
				      err));
	}
	EK_TRY(ek_cfgs_decode(&image->sb, bytes, n, &image->cfgs, &used, err));
	image->info.header_end = at + used;
	return EK_OK;
}

static ek_status load_devices(struct ek_image *image,
			      const struct ek_image_options *options,
			      struct ek_err *err)
{
	size_t n = image->sb.extra_devices;
	uint8_t slot[EK_DEVSLOT_SIZE];

	if (options->n_devices != 0 && options->n_devices != n)
		return ek_fail(err, EK_INVALID,
			       "the image has %zu extra devices, but %zu were "
			       "given",
			       n, options->n_devices);
	if (n == 0)
		return EK_OK;
	image->slots = calloc(n, sizeof(*image->slots));
	if (!image->slots)
		return ek_fail(err, EK_NOMEM, "no memory for devices");
	for (unsigned int i = 0; i < n; i++) {
		EK_TRY(ek_meta_read(image, false, ek_devslot_pos(&image->sb, i),
				    slot, sizeof(slot), err));
		ek_devslot_decode(&image->sb, slot, &image->slots[i]);
	}
	image->flattened = options->n_devices == 0;
	if (image->flattened)
		return EK_OK;
	image->devices = calloc(n, sizeof(struct ek_source *));
	if (!image->devices)
		return ek_fail(err, EK_NOMEM, "no memory for devices");
	memcpy(image->devices, options->devices,
	       n * sizeof(struct ek_source *));
	return EK_OK;
}

/* An inode that holds data for others; never in the metabox. */
static ek_status load_special(struct ek_image *image, uint64_t nid,
			      const char *what, struct ek_node *node,
			      struct ek_err *err)
{
	ek_status st;

	if (nid & EK_NID_METABOX)
		return ek_fail(err, EK_CORRUPT, "%s inode is in the metabox",
			       what);
	st = ek_image_node(image, nid, node, err);
	if (st == EK_OK && !ek_mode_has_data((uint16_t)node->mode))
		st = ek_fail(err, EK_CORRUPT, "no data");
	if (st != EK_OK && err)
		(void)ek_err_prefix(err, "%s inode", what);
	return st;
}

static ek_status load_inodes(struct ek_image *image, struct ek_err *err)
{
	uint64_t packed = ek_sb_packed(&image->sb);
	struct ek_node root;

	if (packed) {
		EK_TRY(load_special(image, packed, "packed", &image->packed,
				    err));
		image->have_packed = true;
	}
	if (ek_sb_incompat(&image->sb, EK_INCOMPAT_METABOX)) {
		EK_TRY(load_special(image, image->sb.metabox_nid, "metabox",
				    &image->metabox, err));
		image->have_metabox = true;
	}
	EK_TRY(ek_xattr_load_longs(image, err));
	EK_TRY(ek_image_root(image, &root, err));
	if (!S_ISDIR(root.mode))
		return ek_fail(err, EK_CORRUPT, "the root is no directory");
	return EK_OK;
}

static void fill_info(struct ek_image *image)
{
	const struct ek_sb *sb = &image->sb;
	struct ek_image_info *info = &image->info;

	info->block_size = ek_sb_bs(sb);
	info->checksum = sb->checksum;
	info->feature_compat = sb->compat;
	info->feature_incompat = sb->incompat;
	info->root_nid = sb->root_nid;
	info->packed_nid = ek_sb_packed(sb);
	if (ek_sb_incompat(sb, EK_INCOMPAT_METABOX))
		info->metabox_nid = sb->metabox_nid;
	info->inodes = sb->inos;
	info->blocks = sb->blocks;
	info->epoch = sb->epoch;
	if (__builtin_add_overflow(sb->epoch, (int64_t)sb->build_time,
				   &info->build_time))
		info->build_time = sb->epoch;
	info->fixed_nsec = sb->fixed_nsec;
	info->meta_blkaddr = sb->meta_blkaddr;
	info->xattr_blkaddr = sb->xattr_blkaddr;
	memcpy(info->uuid, sb->uuid, sizeof(info->uuid));
	memcpy(info->volume_name, sb->volume_name, sizeof(info->volume_name));
	info->algorithms = sb->algs;
	info->n_devices = sb->extra_devices;
	info->device_table = ek_devslot_pos(sb, 0);
	info->n_prefixes = sb->xattr_prefix_count;
	info->sb_extslots = sb->extslots;
	info->flattened = image->flattened;
}

static ek_status load(struct ek_image *image,
		      const struct ek_image_options *options,
		      struct ek_err *err)
{
	EK_TRY(load_sb(image, options->ignore_checksum, err));
	EK_TRY(load_cfgs(image, err));
	image->info.lz4_max_distance = image->cfgs.lz4_max_distance;
	image->info.lz4_max_pclusterblks = image->cfgs.lz4_max_pclusterblks;
	EK_TRY(load_devices(image, options, err));
	fill_info(image);
	return load_inodes(image, err);
}

static ek_status init(struct ek_image *image, struct ek_err *err)
{
	ek_status st = ek_meta_init(&image->meta, err);

	if (st != EK_OK)
		return st;
	st = ek_decode_init(&image->decode, err);
	if (st == EK_OK) {
		st = ek_cursors_init(&image->cursors, err);
		if (st == EK_OK)
			return EK_OK;
		ek_decode_destroy(&image->decode);
	}
	ek_meta_destroy(&image->meta);
	return st;
}

ek_status ek_image_open(struct ek_source *src,
			const struct ek_image_options *options,
			struct ek_image **image, struct ek_err *err)
{
	struct ek_image_options none = {.size = sizeof(none)};
	struct ek_image *im;
	ek_status st;

	if (options && options->size != sizeof(*options))
		return ek_fail(err, EK_INVALID,
			       "options of another version of the library");
	im = calloc(1, sizeof(*im));
	if (!im)
		return ek_fail(err, EK_NOMEM, "no memory for an image");
	im->src = src;
	st = init(im, err);
	if (st != EK_OK) {
		free(im);
		return st;
	}
	st = load(im, options ? options : &none, err);
	if (st != EK_OK) {
		ek_image_free(im);
		return st;
	}
	*image = im;
	return EK_OK;
}

void ek_image_free(struct ek_image *image)
{
	if (!image)
		return;
	ek_meta_destroy(&image->meta);
	ek_decode_destroy(&image->decode);
	ek_cursors_destroy(&image->cursors);
	free(image->devices);
	free(image->slots);
	free(image->longs);
	free(image->long_bytes);
	free(image);
}

const struct ek_image_info *ek_image_info(const struct ek_image *image)
{
	return &image->info;
}

ek_status ek_image_device(const struct ek_image *image, unsigned int slot,
			  struct ek_image_device *device, struct ek_err *err)
{
	const struct ek_devslot *s;

	if (slot >= image->sb.extra_devices)
		return ek_fail(err, EK_NOTFOUND, "no device slot %u", slot);
	s = &image->slots[slot];
	memcpy(device->tag, s->tag, sizeof(s->tag));
	device->tag[sizeof(s->tag)] = 0;
	device->blocks = s->blocks;
	device->uniaddr = s->uniaddr;
	return EK_OK;
}

void ek_image_need(const struct ek_image *image, struct ek_image_need *need)
{
	struct ek_need needs[EK_NEEDS_MAX];
	size_t n;

	ek_needs(&image->sb, &image->cfgs, 0, needs, &n);
	need->major = needs[n - 1].major;
	need->minor = needs[n - 1].minor;
	need->reason = needs[n - 1].reason;
}
