/* SPDX-License-Identifier: Apache-2.0 */

/* Extended attributes and the table of long prefixes. */

#include "reader/reader.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

static ek_status prefix_read(struct ek_image *image, uint64_t pos, void *to,
			     size_t n, struct ek_err *err)
{
	uint64_t end;

	switch (ek_xattr_long_place(&image->sb)) {
	case EK_PLACE_PACKED:
		if (!image->have_packed || !ek_add(pos, n, &end) ||
		    end > image->packed.size)
			return ek_fail(err, EK_CORRUPT,
				       "beyond the packed inode");
		return ek_image_read(image, &image->packed, pos, to, n, err);
	case EK_PLACE_METABOX:
		return ek_meta_read(image, true, pos, to, n, err);
	default:
		return ek_meta_read(image, false, pos, to, n, err);
	}
}

static ek_status load_longs(struct ek_image *image, size_t count,
			    struct ek_err *err)
{
	uint64_t pos = (uint64_t)image->sb.xattr_prefix_start * 4;

	for (size_t i = 0; i < count; i++) {
		uint8_t *rec = image->long_bytes + i * EK_XATTR_LONG_SIZE_MAX;
		struct ek_xattr_long *l = &image->longs[i];
		size_t n;

		EK_TRY(prefix_read(image, pos, rec, 2, err));
		n = ek_get_le16(rec);
		if (n < 1 || n + 2 > EK_XATTR_LONG_SIZE_MAX)
			return ek_fail(err, EK_CORRUPT, "a length of %zu", n);
		EK_TRY(prefix_read(image, pos + 2, rec + 2, n, err));
		EK_TRY(ek_xattr_long_decode(rec, n + 2, l, err));
		pos = ek_round_up(pos + n + 2, 4);
		image->n_longs = i + 1;
	}
	return EK_OK;
}

ek_status ek_xattr_load_longs(struct ek_image *image, struct ek_err *err)
{
	size_t count = image->sb.xattr_prefix_count;
	ek_status st;

	if (count == 0)
		return EK_OK;
	image->longs = calloc(count, sizeof(*image->longs));
	image->long_bytes = calloc(count, EK_XATTR_LONG_SIZE_MAX);
	if (!image->longs || !image->long_bytes)
		return ek_fail(err, EK_NOMEM, "no memory for prefixes");
	st = load_longs(image, count, err);
	if (st != EK_OK && err)
		(void)ek_err_prefix(err, "xattr prefix %zu", image->n_longs);
	return st;
}

struct walk {
	struct ek_image *image;
	ek_xattr_fn fn;
	void *arg;
};

/* Call the user for @e, with what is known of it already in @x. */
static ek_status emit(const struct walk *w, const struct ek_xattr_entry *e,
		      struct ek_xattr x, struct ek_err *err)
{
	char name[EK_XATTR_FULL_MAX + 1];

	/* An index that nobody knows: not visible, as for the kernel. */
	if (ek_xattr_full_name(e, w->image->longs, w->image->n_longs, name,
			       &x.name_len) != EK_OK)
		return EK_OK;
	x.name = name;
	x.value = e->value;
	x.value_len = e->valuelen;
	return w->fn(w->arg, &x, err);
}

static ek_status walk_inline(const struct walk *w, const uint8_t *region,
			     size_t n, const struct ek_xattr_head *head,
			     struct ek_err *err)
{
	struct ek_xattr_iter it;
	struct ek_xattr_entry e;

	ek_xattr_iter_init(&it, region, n, head);
	for (;;) {
		ek_status st = ek_xattr_iter_next(&it, &e, err);

		if (st == EK_NOTFOUND)
			return EK_OK;
		if (st != EK_OK)
			return st;
		EK_TRY(emit(w, &e, (struct ek_xattr){0}, err));
	}
}

static ek_status walk_shared(const struct walk *w, const uint8_t *region,
			     const struct ek_xattr_head *head, uint8_t *buf,
			     struct ek_err *err)
{
	struct ek_xattr x = {.shared = true};
	struct ek_xattr_entry e;

	for (unsigned int i = 0; i < head->shared_count; i++) {
		uint32_t id = ek_xattr_shared_id(region, i), n;
		uint64_t pos;
		bool box;

		pos = ek_xattr_shared_pos(&w->image->sb, id, &box);
		EK_TRY(ek_meta_read(w->image, box, pos, buf,
				    EK_XATTR_ENTRY_HEAD, err));
		n = ek_xattr_entry_peek(buf);
		if (n > EK_XATTR_ENTRY_MAX)
			return ek_fail(err, EK_CORRUPT,
				       "shared attribute %u is too long", id);
		/* Padding may be cut off at the end of the space. */
		n = EK_XATTR_ENTRY_HEAD + buf[0] + ek_get_le16(buf + 2);
		EK_TRY(ek_meta_read(w->image, box, pos, buf, n, err));
		memset(buf + n, 0, 3);
		EK_TRY(ek_xattr_entry_decode(buf, n + 3, &e, err));
		x.position = pos;
		x.stored = n;
		x.in_metabox = box;
		EK_TRY(emit(w, &e, x, err));
	}
	return EK_OK;
}

static ek_status walk(const struct walk *w, const struct ek_node *node,
		      struct ek_err *err)
{
	size_t n = node->xattr_size;
	EK_AUTO_FREE uint8_t *region = malloc(n);
	EK_AUTO_FREE uint8_t *buf = NULL;
	struct ek_xattr_head head;
	struct ek_inode in;

	ek_node_inode(node, &in);
	if (!region)
		return ek_fail(err, EK_NOMEM, "no memory for attributes");
	EK_TRY(ek_meta_read(w->image, ek_node_in_box(node),
			    node->position + ek_inode_core(&in), region, n,
			    err));
	EK_TRY(ek_xattr_head_decode(region, n, &head, err));
	EK_TRY(walk_inline(w, region, n, &head, err));
	if (head.shared_count == 0)
		return EK_OK;
	buf = malloc(EK_XATTR_ENTRY_MAX + 4);
	if (!buf)
		return ek_fail(err, EK_NOMEM, "no memory for attributes");
	return walk_shared(w, region, &head, buf, err);
}

ek_status ek_image_xattrs(struct ek_image *image, const struct ek_node *node,
			  ek_xattr_fn fn, void *arg, struct ek_err *err)
{
	struct walk w = {image, fn, arg};

	if (node->xattr_size == 0)
		return EK_OK;
	return walk(&w, node, err);
}
