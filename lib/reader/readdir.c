/* SPDX-License-Identifier: Apache-2.0 */

/* Directories: all names in order, and one name by binary search. */

#include "reader/reader.h"

#include "base/bytes.h"
#include "base/try.h"
#include "format/dirent.h"

#include <string.h>

static ek_status need_dir(const struct ek_node *node, struct ek_err *err)
{
	if (S_ISDIR(node->mode))
		return EK_OK;
	return ek_fail(err, EK_INVALID, "inode %llu is no directory",
		       (unsigned long long)node->nid);
}

static ek_status read_block(struct ek_image *image, const struct ek_node *node,
			    uint64_t block, uint8_t *buf, struct ek_dirblock *b,
			    struct ek_err *err)
{
	uint32_t bs = image->info.block_size;
	size_t n = (size_t)ek_min(bs, node->size - block * bs);
	ek_status st;

	EK_TRY(ek_image_read(image, node, block * bs, buf, n, err));
	st = ek_dirblock_open(buf, n, b, err);
	if (st != EK_OK && err)
		(void)ek_err_prefix(err, "directory %llu, block %llu",
				    (unsigned long long)node->nid,
				    (unsigned long long)block);
	return st;
}

static void publish(const struct ek_dent *d, struct ek_dirent *entry)
{
	entry->nid = d->nid;
	entry->name = (const char *)d->name;
	entry->name_len = d->namelen;
	entry->type = d->type < EK_FT_COUNT ? d->type : EK_FT_UNKNOWN;
}

static ek_status walk_block(const struct ek_dirblock *b, ek_dirent_fn fn,
			    void *arg, struct ek_err *err)
{
	for (uint32_t i = 0; i < b->count; i++) {
		struct ek_dirent entry;
		struct ek_dent d;

		EK_TRY(ek_dirblock_get(b, i, &d, err));
		publish(&d, &entry);
		EK_TRY(fn(arg, &entry, err));
	}
	return EK_OK;
}

ek_status ek_image_readdir(struct ek_image *image, const struct ek_node *node,
			   ek_dirent_fn fn, void *arg, struct ek_err *err)
{
	uint32_t bs = image->info.block_size;
	EK_AUTO_FREE uint8_t *buf = NULL;

	EK_TRY(need_dir(node, err));
	buf = malloc(bs);
	if (!buf)
		return ek_fail(err, EK_NOMEM, "no memory for a block");
	for (uint64_t i = 0; i < ek_div_up(node->size, bs); i++) {
		struct ek_dirblock b;

		EK_TRY(read_block(image, node, i, buf, &b, err));
		EK_TRY(walk_block(&b, fn, arg, err));
	}
	return EK_OK;
}

static ek_status search(struct ek_image *image, const struct ek_node *dir,
			const uint8_t *name, size_t len, uint8_t *buf,
			struct ek_dent *d, struct ek_err *err)
{
	uint64_t low = 0, high = ek_div_up(dir->size, image->info.block_size);

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		struct ek_dirblock b;
		int side = 0;
		ek_status st;

		EK_TRY(read_block(image, dir, mid, buf, &b, err));
		st = ek_dirblock_find(&b, name, len, d, &side, err);
		if (st != EK_NOTFOUND || side == 0)
			return st;
		if (side < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return ek_fail(err, EK_NOTFOUND, "no such name");
}

ek_status ek_image_find(struct ek_image *image, const struct ek_node *dir,
			const char *name, size_t name_len,
			struct ek_dirent *entry, struct ek_err *err)
{
	EK_AUTO_FREE uint8_t *buf = NULL;
	struct ek_dent d;

	EK_TRY(need_dir(dir, err));
	entry->name = name;
	entry->name_len = name_len;
	if (dir->dot_omitted && name_len == 1 && name[0] == '.') {
		entry->nid = dir->nid;
		entry->type = EK_FT_DIR;
		return EK_OK;
	}
	if (name_len == 0 || name_len > EK_NAME_MAX)
		return ek_fail(err, EK_NOTFOUND, "no such name");
	buf = malloc(image->info.block_size);
	if (!buf)
		return ek_fail(err, EK_NOMEM, "no memory for a block");
	EK_TRY(search(image, dir, (const uint8_t *)name, name_len, buf, &d,
		      err));
	publish(&d, entry);
	entry->name = name;
	return EK_OK;
}

static ek_status step(struct ek_image *image, struct ek_node *node,
		      const char *path, const char *name, size_t n,
		      struct ek_err *err)
{
	struct ek_dirent entry;
	ek_status st;

	if (n == 2 && name[0] == '.' && name[1] == '.')
		return ek_fail(err, EK_INVALID, "%s: \"..\" is not allowed",
			       path);
	if (!S_ISDIR(node->mode))
		return ek_fail(err, EK_NOTFOUND, "%.*s: not a directory",
			       (int)(name - path), path);
	st = ek_image_find(image, node, name, n, &entry, err);
	if (st == EK_NOTFOUND)
		return ek_fail(err, EK_NOTFOUND, "%s: no such file", path);
	if (st != EK_OK)
		return st;
	return ek_image_node(image, entry.nid, node, err);
}

ek_status ek_image_lookup(struct ek_image *image, const char *path,
			  struct ek_node *node, struct ek_err *err)
{
	const char *p = path;

	EK_TRY(ek_image_root(image, node, err));
	while (*p) {
		size_t n = strcspn(p, "/");

		if (n > 0 && !(n == 1 && p[0] == '.'))
			EK_TRY(step(image, node, path, p, n, err));
		else if (n > 0 && !S_ISDIR(node->mode))
			return ek_fail(err, EK_NOTFOUND,
				       "%.*s: not a directory", (int)(p - path),
				       path);
		p += n;
		if (*p == '/') {
			/* "file/" names a directory or nothing. */
			if (!S_ISDIR(node->mode))
				return ek_fail(err, EK_NOTFOUND,
					       "%.*s: not a directory",
					       (int)(p - path), path);
			p++;
		}
	}
	return EK_OK;
}
