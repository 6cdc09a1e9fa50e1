/* SPDX-License-Identifier: Apache-2.0 */

/* The data of files. */

#include "reader/reader.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

ek_status ek_device_read(struct ek_image *image, unsigned int device,
			 uint64_t pos, void *to, size_t n, struct ek_err *err)
{
	uint64_t end;
	ek_status st;

	if (device > 0) {
		st = ek_source_read(image->devices[device - 1], pos, to, n,
				    err);
		if (st != EK_OK && err)
			(void)ek_err_prefix(err, "device %u", device);
		return st;
	}
	if (image->flattened &&
	    (!ek_add(pos, n, &end) || end > image->src->size))
		return ek_fail(err, EK_INVALID,
			       "data at byte %llu is on one of %u devices that "
			       "were not given",
			       (unsigned long long)pos,
			       image->sb.extra_devices);
	return ek_source_read(image->src, pos, to, n, err);
}

/* Bytes of @x that are stored as they are, one after the other. */
static bool is_raw(const struct ek_extent *x)
{
	return (x->flags & EK_EXTENT_MAPPED) &&
	       !(x->flags & (EK_EXTENT_COMPRESSED | EK_EXTENT_FRAGMENT |
			     EK_EXTENT_INTERLACED));
}

static ek_status read_raw(struct ek_image *image, const struct ek_node *node,
			  const struct ek_extent *x, uint64_t skip, void *to,
			  size_t n, struct ek_err *err)
{
	uint64_t pos;

	if (!ek_add(x->physical, skip, &pos))
		return ek_fail(err, EK_CORRUPT, "data address does not fit");
	if (x->flags & EK_EXTENT_INLINE)
		return ek_meta_read(image, x->flags & EK_EXTENT_METABOX, pos,
				    to, n, err);
	/* Directories are read block by block, again and again. */
	if (S_ISDIR(node->mode) && x->device == 0 && !image->flattened)
		return ek_meta_read(image, false, pos, to, n, err);
	return ek_device_read(image, x->device, pos, to, n, err);
}

/*
 * Interlaced: a byte has the place in its block that it has in a block of the
 * file, so the extent starts near the end and goes on at the beginning.
 */
static ek_status read_interlaced(struct ek_image *image,
				 const struct ek_node *node,
				 const struct ek_extent *x, uint64_t skip,
				 uint8_t *to, size_t n, struct ek_err *err)
{
	uint32_t bs = image->info.block_size;
	uint64_t first = bs - (x->logical & (bs - 1));

	if (first > x->physical_length)
		return ek_fail(err, EK_CORRUPT,
			       "an interlaced extent in less than a block");
	if (skip < first) {
		size_t take = (size_t)ek_min(n, first - skip);

		EK_TRY(read_raw(image, node, x,
				x->physical_length - first + skip, to, take,
				err));
		to += take;
		skip += take;
		n -= take;
	}
	return n ? read_raw(image, node, x, skip - first, to, n, err) : EK_OK;
}

static ek_status read_part(struct ek_image *image, const struct ek_node *node,
			   const struct ek_extent *x, uint64_t skip, void *to,
			   size_t n, struct ek_err *err)
{
	if (!(x->flags & EK_EXTENT_MAPPED)) {
		memset(to, 0, n);
		return EK_OK;
	}
	if (x->flags & EK_EXTENT_FRAGMENT) {
		if (!image->have_packed || node->nid == image->packed.nid)
			return ek_fail(err, EK_INVALID, "no such fragment");
		return ek_image_read(image, &image->packed, x->physical + skip,
				     to, n, err);
	}
	if (x->flags & EK_EXTENT_COMPRESSED)
		return ek_decode_extent(image, x, skip, to, n, err);
	if (x->flags & EK_EXTENT_INTERLACED)
		return read_interlaced(image, node, x, skip, to, n, err);
	return read_raw(image, node, x, skip, to, n, err);
}

/* Whether @next begins @n bytes after the start of @x on the device. */
static bool goes_on(const struct ek_extent *x, uint64_t n,
		    const struct ek_extent *next)
{
	return is_raw(next) && !(next->flags & EK_EXTENT_INLINE) &&
	       next->device == x->device && next->physical == x->physical + n;
}

/*
 * How far one read from @x at @skip reaches: neighbouring chunks or blocks
 * become one read. When another extent stops the run it is left in @next and
 * *@have_next is set.
 */
static ek_status gather(struct ek_image *image, const struct ek_node *node,
			const struct ek_extent *x, uint64_t skip, size_t n,
			size_t *take, struct ek_extent *next, bool *have_next,
			struct ek_err *err)
{
	*have_next = false;
	*take = (size_t)ek_min(n, x->logical_length - skip);
	if (!is_raw(x) || (x->flags & EK_EXTENT_INLINE))
		return EK_OK;
	while (*take < n) {
		EK_TRY(ek_image_map(image, node, x->logical + skip + *take,
				    next, err));
		if (!goes_on(x, skip + *take, next)) {
			*have_next = true;
			return EK_OK;
		}
		*take += (size_t)ek_min(n - *take, next->logical_length);
	}
	return EK_OK;
}

ek_status ek_image_read(struct ek_image *image, const struct ek_node *node,
			uint64_t offset, void *to, size_t n, struct ek_err *err)
{
	struct ek_extent x, next;
	bool have = false;
	uint8_t *out = to;
	uint64_t end;

	if (!ek_add(offset, n, &end) || end > node->size)
		return ek_fail(err, EK_INVALID,
			       "reading %zu bytes at %llu of a file of %llu", n,
			       (unsigned long long)offset,
			       (unsigned long long)node->size);
	while (n > 0) {
		uint64_t skip;
		size_t take;
		ek_status st;

		if (!have)
			EK_TRY(ek_image_map(image, node, offset, &x, err));
		skip = offset - x.logical;
		EK_TRY(gather(image, node, &x, skip, n, &take, &next, &have,
			      err));
		st = read_part(image, node, &x, skip, out, take, err);
		if (st != EK_OK) {
			if (err)
				(void)ek_err_prefix(
					err, "inode %llu, byte %llu",
					(unsigned long long)node->nid,
					(unsigned long long)offset);
			return st;
		}
		offset += take;
		out += take;
		n -= take;
		if (have)
			x = next;
	}
	return EK_OK;
}

ek_status ek_image_read_extent(struct ek_image *image,
			       const struct ek_node *node,
			       const struct ek_extent *extent, void *to,
			       struct ek_err *err)
{
	size_t n = (size_t)extent->logical_length;

	if (n != extent->logical_length)
		return ek_fail(err, EK_LIMIT,
			       "an extent of %llu bytes does not fit memory",
			       (unsigned long long)extent->logical_length);
	return read_part(image, node, extent, 0, to, n, err);
}

ek_status ek_image_readlink(struct ek_image *image, const struct ek_node *node,
			    char **target, struct ek_err *err)
{
	size_t n = (size_t)node->size;
	ek_status st;
	char *text;

	if (!S_ISLNK(node->mode))
		return ek_fail(err, EK_INVALID, "inode %llu is no symlink",
			       (unsigned long long)node->nid);
	if (node->size == 0 || node->size > EK_SYMLINK_MAX)
		return ek_fail(err, EK_CORRUPT,
			       "inode %llu: a symlink of %llu bytes",
			       (unsigned long long)node->nid,
			       (unsigned long long)node->size);
	text = malloc(n + 1);
	if (!text)
		return ek_fail(err, EK_NOMEM, "no memory for a symlink");
	st = ek_image_read(image, node, 0, text, n, err);
	if (st == EK_OK && memchr(text, 0, n))
		st = ek_fail(err, EK_CORRUPT,
			     "inode %llu: a symlink with a NUL",
			     (unsigned long long)node->nid);
	if (st != EK_OK) {
		free(text);
		return st;
	}
	text[n] = 0;
	*target = text;
	return EK_OK;
}
