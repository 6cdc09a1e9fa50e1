/* SPDX-License-Identifier: Apache-2.0 */

/* The superblock. Scripts read these lines: their words are the peer's. */

#include "dump/dump.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAGIC 0xE0F5E1E2u

struct feature {
	bool compat;
	uint32_t bit;
	const char *name;
};

/* Bits with two meanings have two names. */
static const struct feature features[] = {
	{true, 0x01, "sb_csum"},	 {true, 0x02, "mtime"},
	{true, 0x04, "xattr_filter"},	 {true, 0x08, "shared_ea_in_metabox"},
	{true, 0x10, "plain_xattr_pfx"}, {true, 0x20, "ishare_xattrs"},
	{false, 0x001, "0padding"},	 {false, 0x002, "compr_cfgs"},
	{false, 0x002, "big_pcluster"},	 {false, 0x004, "chunked_file"},
	{false, 0x008, "device_table"},	 {false, 0x008, "compr_head2"},
	{false, 0x010, "ztailpacking"},	 {false, 0x020, "fragments"},
	{false, 0x020, "dedupe"},	 {false, 0x040, "xattr_prefixes"},
	{false, 0x080, "48bit"},	 {false, 0x100, "metabox"},
};

#define N_FEATURES (sizeof(features) / sizeof(features[0]))

static bool has(const struct ek_image_info *info, const struct feature *f)
{
	return (f->compat ? info->feature_compat : info->feature_incompat) &
	       f->bit;
}

static void line(const char *title, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void line(const char *title, const char *fmt, ...)
{
	va_list ap;

	printf("Filesystem %-35s", title);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void text_features(const struct ek_image_info *info)
{
	printf("Filesystem %-35s", "features:");
	for (size_t i = 0; i < N_FEATURES; i++)
		if (has(info, &features[i]))
			printf("%s ", features[i].name);
	putchar('\n');
}

static void text_algorithms(const struct ek_image_info *info)
{
	if (info->algorithms == 0)
		return;
	printf("Filesystem %-35s", "compr_algs:");
	for (unsigned i = 0; dump_algorithm(i); i++)
		if (info->algorithms & 1u << i)
			printf("%s ", dump_algorithm(i));
	putchar('\n');
}

static ek_status text_devices(const struct dump *d, struct ek_err *err)
{
	const struct ek_image_info *info = ek_image_info(d->image);

	for (unsigned i = 0; i < info->n_devices; i++) {
		struct ek_image_device dev;
		ek_status st = ek_image_device(d->image, i, &dev, err);

		if (st != EK_OK)
			return st;
		printf("Filesystem device %u: blocks %" PRIu64
		       ", mapped at block %" PRIu64 ", tag ",
		       i + 1, dev.blocks, dev.uniaddr);
		dump_put(dev.tag, strlen(dev.tag));
		putchar('\n');
	}
	return EK_OK;
}

static void text_kernel(const struct dump *d)
{
	struct ek_image_need need;

	ek_image_need(d->image, &need);
	line("needs Linux:", "%u.%u (%s)", need.major, need.minor, need.reason);
}

static ek_status text(const struct dump *d, struct ek_err *err)
{
	const struct ek_image_info *info = ek_image_info(d->image);
	char buf[64];

	line("magic number:", "0x%08X", MAGIC);
	line("blocksize:", "%u", info->block_size);
	line("blocks:", "%" PRIu64, info->blocks);
	line("inode metadata start block:", "%" PRIu64, info->meta_blkaddr);
	line("shared xattr metadata start block:", "%" PRIu64,
	     info->xattr_blkaddr);
	line("root nid:", "%" PRIu64, info->root_nid);
	if (info->packed_nid)
		line("packed nid:", "%" PRIu64, info->packed_nid);
	if (info->feature_incompat & 0x100)
		line("metabox nid:", "%" PRIu64, info->metabox_nid);
	text_algorithms(info);
	line("sb_size:", "%u", 128u + 16u * info->sb_extslots);
	line("inode count:", "%" PRIu64, info->inodes);
	dump_time(info->build_time, "%a %b %e %H:%M:%S %Y", buf, sizeof(buf));
	line("created:", "%s", buf);
	text_features(info);
	cli_uuid_text(info->uuid, buf);
	line("UUID:", "%s", buf);
	if (info->volume_name[0]) {
		printf("Filesystem %-35s", "volume name:");
		dump_put(info->volume_name, strlen(info->volume_name));
		putchar('\n');
	}
	if (info->feature_compat & 1)
		line("checksum:", "0x%08x", info->checksum);
	text_kernel(d);
	return text_devices(d, err);
}

static ek_status json_devices(const struct dump *d, struct ek_err *err)
{
	const struct ek_image_info *info = ek_image_info(d->image);
	struct cli_json *j = d->json;

	cli_json_open(j, "devices", '[');
	for (unsigned i = 0; i < info->n_devices; i++) {
		struct ek_image_device dev;
		ek_status st = ek_image_device(d->image, i, &dev, err);

		if (st != EK_OK)
			return st;
		cli_json_open(j, NULL, '{');
		cli_json_text(j, "tag", dev.tag);
		cli_json_unsigned(j, "blocks", dev.blocks);
		cli_json_unsigned(j, "uniaddr", dev.uniaddr);
		cli_json_close(j);
	}
	cli_json_close(j);
	return EK_OK;
}

static void json_lists(const struct dump *d)
{
	const struct ek_image_info *info = ek_image_info(d->image);
	struct cli_json *j = d->json;
	struct ek_image_need need;
	char buf[16];

	cli_json_open(j, "features", '[');
	for (size_t i = 0; i < N_FEATURES; i++)
		if (has(info, &features[i]))
			cli_json_text(j, NULL, features[i].name);
	cli_json_close(j);
	cli_json_open(j, "algorithms", '[');
	for (unsigned i = 0; dump_algorithm(i); i++)
		if (info->algorithms & 1u << i)
			cli_json_text(j, NULL, dump_algorithm(i));
	cli_json_close(j);
	ek_image_need(d->image, &need);
	snprintf(buf, sizeof(buf), "%u.%u", need.major, need.minor);
	cli_json_text(j, "oldest_kernel", buf);
	cli_json_text(j, "oldest_kernel_reason", need.reason);
}

static ek_status json(const struct dump *d, struct ek_err *err)
{
	const struct ek_image_info *info = ek_image_info(d->image);
	struct cli_json *j = d->json;
	ek_status st;

	cli_json_open(j, "superblock", '{');
	cli_json_unsigned(j, "magic", MAGIC);
	cli_json_unsigned(j, "block_size", info->block_size);
	cli_json_unsigned(j, "blocks", info->blocks);
	cli_json_unsigned(j, "meta_blkaddr", info->meta_blkaddr);
	cli_json_unsigned(j, "xattr_blkaddr", info->xattr_blkaddr);
	cli_json_unsigned(j, "root_nid", info->root_nid);
	cli_json_unsigned(j, "packed_nid", info->packed_nid);
	cli_json_unsigned(j, "metabox_nid", info->metabox_nid);
	cli_json_unsigned(j, "inodes", info->inodes);
	cli_json_signed(j, "created", info->build_time);
	cli_json_signed(j, "epoch", info->epoch);
	cli_json_unsigned(j, "fixed_nsec", info->fixed_nsec);
	cli_json_unsigned(j, "feature_compat", info->feature_compat);
	cli_json_unsigned(j, "feature_incompat", info->feature_incompat);
	cli_json_unsigned(j, "checksum", info->checksum);
	cli_json_uuid(j, "uuid", info->uuid);
	cli_json_text(j, "volume_name", info->volume_name);
	cli_json_unsigned(j, "sb_extslots", info->sb_extslots);
	cli_json_unsigned(j, "lz4_max_distance", info->lz4_max_distance);
	cli_json_unsigned(j, "lz4_max_pclusterblks",
			  info->lz4_max_pclusterblks);
	cli_json_unsigned(j, "xattr_prefixes", info->n_prefixes);
	json_lists(d);
	st = json_devices(d, err);
	cli_json_close(j);
	return st;
}

ek_status dump_super(const struct dump *d, struct ek_err *err)
{
	return d->json ? json(d, err) : text(d, err);
}

void dump_blkid(const struct dump *d)
{
	const struct ek_image_info *info = ek_image_info(d->image);
	char uuid[37];

	cli_uuid_text(info->uuid, uuid);
	printf("ID_FS_UUID=%s\nID_FS_UUID_ENC=%s\n", uuid, uuid);
	printf("ID_FS_TYPE=erofs\nID_FS_USAGE=filesystem\n");
}
