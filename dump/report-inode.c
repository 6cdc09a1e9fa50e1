/* SPDX-License-Identifier: Apache-2.0 */

/* One inode: facts, entries, data. Lines of facts have the peer's words. */

#include "dump/dump.h"
#include "dump/walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Data is copied in pieces of this size. */
#define PIECE (1u << 20)

static void permissions(uint32_t mode, char text[10])
{
	static const char letters[] = "rwxrwxrwx";

	for (int i = 0; i < 9; i++)
		text[i] = mode & (0400u >> i) ? letters[i] : '-';
	if (mode & S_ISUID)
		text[2] = mode & 0100 ? 's' : 'S';
	if (mode & S_ISGID)
		text[5] = mode & 0010 ? 's' : 'S';
	if (mode & S_ISVTX)
		text[8] = mode & 0001 ? 't' : 'T';
	text[9] = 0;
}

static double ratio(uint64_t stored, uint64_t size)
{
	return size ? (double)stored * 100.0 / (double)size : 100.0;
}

/* Bytes of map and inline data that follow the inode. */
static ek_status map_bytes(const struct dump *d, const struct ek_node *node,
			   uint64_t *n, struct ek_err *err)
{
	uint64_t start, end;
	ek_status st = ek_image_node_range(d->image, node, &start, &end, err);

	if (st != EK_OK)
		return st;
	*n = end - start - (node->extended ? 64u : 32u) - node->xattr_size;
	if (node->layout == EK_LAYOUT_FLAT_INLINE)
		*n = 0; /* data, not a map */
	return EK_OK;
}

static ek_status text_xattr(void *arg, const struct ek_xattr *x,
			    struct ek_err *err)
{
	(void)arg;
	(void)err;
	printf("Xattr: ");
	dump_put(x->name, x->name_len);
	printf("   Size: %zu   %s\n", x->value_len,
	       x->shared ? "shared" : "inline");
	return EK_OK;
}

static ek_status text_more(const struct dump *d, const struct ek_node *node,
			   struct ek_err *err)
{
	ek_status st;

	if (S_ISCHR(node->mode) || S_ISBLK(node->mode))
		printf("Device: %u, %u\n", node->rdev_major, node->rdev_minor);
	if (S_ISLNK(node->mode)) {
		char *target;

		st = ek_image_readlink(d->image, node, &target, err);
		if (st != EK_OK)
			return st;
		printf("Target: ");
		dump_put(target, strlen(target));
		putchar('\n');
		free(target);
	}
	return ek_image_xattrs(d->image, node, text_xattr, NULL, err);
}

static ek_status text(const struct dump *d, const struct ek_node *node,
		      const char *path, struct ek_err *err)
{
	uint64_t stored = dump_stored(d->image, node), map;
	char access[10], time[64];
	ek_status st = map_bytes(d, node, &map, err);

	if (st != EK_OK)
		return st;
	permissions(node->mode, access);
	dump_time(node->mtime, "%Y-%m-%d %H:%M:%S", time, sizeof(time));
	printf("File : ");
	dump_put(path, strlen(path));
	printf("\nSize: %" PRIu64 "  On-disk size: %" PRIu64 "  %s\n",
	       node->size, stored, dump_type(node->mode));
	printf("NID: %" PRIu64 "   Links: %u   Layout: %u   "
	       "Compression ratio: %.2f%%\n",
	       node->nid, node->nlink, node->layout, ratio(stored, node->size));
	printf("Inode size: %u   Extent size: %" PRIu64 "   Xattr size: %u\n",
	       node->extended ? 64 : 32, map, node->xattr_size);
	printf("Uid: %u   Gid: %u  Access: %04o/%s\n", node->uid, node->gid,
	       node->mode & 07777, access);
	printf("Timestamp: %s.%09u\n", time, node->mtime_nsec);
	return text_more(d, node, err);
}

static ek_status json_xattr(void *arg, const struct ek_xattr *x,
			    struct ek_err *err)
{
	struct cli_json *j = arg;

	(void)err;
	cli_json_open(j, NULL, '{');
	cli_json_bytes(j, "name", x->name, x->name_len);
	cli_json_hex(j, "value", x->value, x->value_len);
	cli_json_bool(j, "shared", x->shared);
	cli_json_close(j);
	return EK_OK;
}

static ek_status json_more(const struct dump *d, const struct ek_node *node,
			   struct ek_err *err)
{
	struct cli_json *j = d->json;
	ek_status st;

	if (S_ISCHR(node->mode) || S_ISBLK(node->mode)) {
		cli_json_open(j, "rdev", '[');
		cli_json_unsigned(j, NULL, node->rdev_major);
		cli_json_unsigned(j, NULL, node->rdev_minor);
		cli_json_close(j);
	}
	if (S_ISLNK(node->mode)) {
		char *target;

		st = ek_image_readlink(d->image, node, &target, err);
		if (st != EK_OK)
			return st;
		cli_json_text(j, "target", target);
		free(target);
	}
	cli_json_open(j, "xattrs", '[');
	st = ek_image_xattrs(d->image, node, json_xattr, j, err);
	cli_json_close(j);
	return st;
}

static ek_status json(const struct dump *d, const struct ek_node *node,
		      const char *path, struct ek_err *err)
{
	struct cli_json *j = d->json;
	uint64_t map;
	ek_status st = map_bytes(d, node, &map, err);

	if (st != EK_OK)
		return st;
	cli_json_open(j, "inode", '{');
	if (path)
		cli_json_text(j, "path", path);
	else
		cli_json_null(j, "path");
	cli_json_unsigned(j, "nid", node->nid);
	cli_json_text(j, "type", dump_type(node->mode));
	cli_json_unsigned(j, "mode", node->mode);
	cli_json_unsigned(j, "nlink", node->nlink);
	cli_json_unsigned(j, "uid", node->uid);
	cli_json_unsigned(j, "gid", node->gid);
	cli_json_unsigned(j, "size", node->size);
	cli_json_unsigned(j, "stored", dump_stored(d->image, node));
	cli_json_signed(j, "mtime", node->mtime);
	cli_json_unsigned(j, "mtime_nsec", node->mtime_nsec);
	cli_json_unsigned(j, "layout", node->layout);
	cli_json_unsigned(j, "inode_size", node->extended ? 64 : 32);
	cli_json_unsigned(j, "xattr_size", node->xattr_size);
	cli_json_unsigned(j, "map_size", map);
	cli_json_unsigned(j, "position", node->position);
	st = json_more(d, node, err);
	cli_json_close(j);
	return st;
}

ek_status dump_inode(const struct dump *d, const struct ek_node *node,
		     const char *path, struct ek_err *err)
{
	return d->json ? json(d, node, path, err) : text(d, node, path, err);
}

static void entry(const struct dump *d, uint64_t nid, unsigned type,
		  const char *name, size_t n)
{
	if (d->json) {
		cli_json_open(d->json, NULL, '{');
		cli_json_unsigned(d->json, "nid", nid);
		cli_json_unsigned(d->json, "type", type);
		cli_json_bytes(d->json, "name", name, n);
		cli_json_close(d->json);
		return;
	}
	printf("%10" PRIu64 " %4u  ", nid, type);
	dump_put(name, n);
	putchar('\n');
}

static ek_status each_entry(void *arg, const struct ek_dirent *e,
			    struct ek_err *err)
{
	(void)err;
	entry(arg, e->nid, e->type, e->name, e->name_len);
	return EK_OK;
}

ek_status dump_ls(const struct dump *d, const struct ek_node *node,
		  struct ek_err *err)
{
	ek_status st;

	if (!S_ISDIR(node->mode))
		return ek_fail(err, EK_INVALID, "--ls: not a directory");
	if (d->json)
		cli_json_open(d->json, "entries", '[');
	else
		printf("\n       NID TYPE  FILENAME\n");
	st = ek_image_readdir(d->image, node, each_entry, (void *)d, err);
	/* Not stored, but there: kernels list it last. */
	if (st == EK_OK && node->dot_omitted)
		entry(d, node->nid, 2, ".", 1);
	if (d->json)
		cli_json_close(d->json);
	return st;
}

ek_status dump_cat(const struct dump *d, const struct ek_node *node,
		   struct ek_err *err)
{
	ek_status st = EK_OK;
	uint8_t *buf;

	if (!S_ISREG(node->mode))
		return ek_fail(err, EK_INVALID,
			       "--cat: not a regular file but a %s",
			       dump_type(node->mode));
	buf = malloc(PIECE);
	if (!buf)
		return ek_fail(err, EK_NOMEM, "no memory");
	for (uint64_t at = 0; at < node->size && st == EK_OK;) {
		uint64_t left = node->size - at;
		size_t n = left < PIECE ? (size_t)left : PIECE;

		st = ek_image_read(d->image, node, at, buf, n, err);
		if (st == EK_OK && fwrite(buf, 1, n, stdout) != n)
			break; /* cli_finish() tells */
		at += n;
	}
	free(buf);
	return st;
}
