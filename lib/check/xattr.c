/* SPDX-License-Identifier: Apache-2.0 */

/* Extended attributes of one inode. */

#include "check/check.h"
#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/* Names of one inode: a region holds 2^16 entries, and shared ones come. */
#define NAMES_MAX (65536u + EK_XATTR_SHARED_MAX)

struct name {
	size_t at; /* in ck->names; NUL-terminated */
	bool shared;
};

struct region {
	struct ck *ck;
	uint32_t index;
	uint64_t pos; /* for findings; CK_NO_OFFSET in the metabox */
	struct ek_xattr_head head;
	EK_VEC(struct name) names;
};

/* The index and the rest of the name without the built-in prefix (4.5). */
static ek_status check_filter(struct region *r, uint8_t base, const char *full,
			      size_t n)
{
	size_t prefix = strlen(ek_xattr_prefix(base));
	unsigned bit;

	if (!ek_xattr_filter_on(&r->ck->image->sb) || n < prefix)
		return EK_OK;
	bit = ek_xattr_filter_bit(base, (const uint8_t *)full + prefix,
				  n - prefix);
	if (!(r->head.filter & UINT32_C(1) << bit))
		return EK_OK;
	return ck_find(r->ck, CK_XATTR_FILTER, r->index, NULL, r->pos,
		       "the filter denies %s", full);
}

static ek_status check_name(struct region *r, const struct ek_xattr_entry *e,
			    uint8_t base, const char *full, size_t n)
{
	bool acl = base == EK_XATTR_ACL_ACCESS || base == EK_XATTR_ACL_DEFAULT;
	const char *why = NULL;

	if (memchr(full, 0, n))
		why = "has a zero byte";
	else if (acl && strlen(ek_xattr_prefix(base)) != n)
		why = "is longer than its kind allows";
	else if (!acl && strlen(ek_xattr_prefix(base)) == n)
		why = "is a prefix alone";
	else if (n > EK_NAME_MAX)
		why = "is longer than 255 bytes";
	if (why)
		ck_find(r->ck, CK_XATTR_NAME, r->index, NULL, r->pos,
			"the name %s %s", full, why);
	if (acl && !ek_xattr_acl_ok(e->value, e->valuelen))
		ck_find(r->ck, CK_XATTR_ACL, r->index, NULL, r->pos,
			"%s is no access control list", full);
	return check_filter(r, base, full, n);
}

static uint8_t base_of(const struct ek_image *image, uint8_t index)
{
	if (!(index & EK_XATTR_LONG))
		return index;
	index &= (uint8_t)~EK_XATTR_LONG;
	return index < image->n_longs ? image->longs[index].base : 0;
}

static ek_status check_entry(struct region *r, const struct ek_xattr_entry *e,
			     bool shared, struct ek_err *err)
{
	struct ek_image *image = r->ck->image;
	struct name name = {r->ck->names.len, shared};
	char full[EK_XATTR_FULL_MAX + 1];
	size_t n;

	r->ck->result->xattrs++;
	if (e->padding_nonzero)
		ck_find(r->ck, CK_XATTR_RESERVED, r->index, NULL, r->pos,
			"padding of an attribute is not zero");
	if (ek_xattr_full_name(e, image->longs, image->n_longs, full, &n) !=
	    EK_OK) {
		/* Index 0 is how a digest hides from listings. */
		if (e->index == EK_XATTR_HIDDEN ||
		    ((e->index & EK_XATTR_LONG) &&
		     (e->index & 0x7fu) < image->n_longs))
			return EK_OK;
		return ck_find(r->ck, CK_XATTR_INDEX, r->index, NULL, r->pos,
			       "an attribute with prefix number %u", e->index);
	}
	EK_TRY(check_name(r, e, base_of(image, e->index), full, n));
	EK_TRY(ek_buf_append(&r->ck->names, full, n, err));
	EK_TRY(ek_buf_append_zeros(&r->ck->names, 1, err));
	return ek_vec_push(&r->names, name, NAMES_MAX, err);
}

static ek_status inline_entries(struct region *r, const uint8_t *bytes,
				size_t n, struct ek_err *err)
{
	struct ek_xattr_iter it;
	struct ek_xattr_entry e;
	struct ek_err why;
	ek_status status;

	ek_xattr_iter_init(&it, bytes, n, &r->head);
	while ((status = ek_xattr_iter_next(&it, &e, &why)) == EK_OK)
		EK_TRY(check_entry(r, &e, false, err));
	if (status == EK_NOTFOUND)
		return EK_OK;
	return ck_failed(r->ck, CK_XATTR_ENTRY, r->index, NULL, r->pos, &why);
}

static ek_status shared_entry(struct region *r, uint32_t id, struct ek_err *err)
{
	struct ck *ck = r->ck;
	uint8_t head[EK_XATTR_ENTRY_HEAD];
	struct ek_xattr_entry e;
	struct ek_err why;
	uint64_t pos;
	uint32_t n;
	bool box;

	pos = ek_xattr_shared_pos(&ck->image->sb, id, &box);
	if (ek_meta_read(ck->image, box, pos, head, sizeof(head), &why) !=
	    EK_OK)
		return ck_failed(ck, CK_XATTR_SHARED, r->index, NULL,
				 CK_NO_OFFSET, &why);
	n = ek_xattr_entry_peek(head);
	ck->scratch.len = 0;
	EK_TRY(ek_buf_reserve(&ck->scratch, n, err));
	if (ek_meta_read(ck->image, box, pos, ck->scratch.data, n, &why) !=
		    EK_OK ||
	    ek_xattr_entry_decode(ck->scratch.data, n, &e, &why) != EK_OK)
		return ck_failed(ck, CK_XATTR_SHARED, r->index, NULL, pos,
				 &why);
	EK_TRY(check_entry(r, &e, true, err));
	return ck_claim(ck, CK_SHARED_ATTR, r->index, box ? CK_BOX : 0, pos, n,
			err);
}

struct by_name {
	const char *text;
	bool shared;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct by_name *)a)->text,
		      ((const struct by_name *)b)->text);
}

/* Names twice, and the order of those inside the inode. */
static ek_status compare_all(struct region *r, struct ek_err *err)
{
	const char *text = (const char *)r->ck->names.data;
	EK_AUTO_FREE struct by_name *sorted = NULL;
	bool in_order = true;
	size_t i, n = r->names.n;

	if (n < 2)
		return EK_OK;
	sorted = calloc(n, sizeof(*sorted));
	if (!sorted)
		return ek_fail(err, EK_NOMEM, "names of attributes");
	for (i = 0; i < n; i++) {
		sorted[i].text = text + r->names.at[i].at;
		sorted[i].shared = r->names.at[i].shared;
		if (i && !sorted[i].shared && !sorted[i - 1].shared &&
		    strcmp(sorted[i - 1].text, sorted[i].text) > 0)
			in_order = false;
	}
	if (!in_order)
		ck_find(r->ck, CK_XATTR_ORDER, r->index, NULL, r->pos,
			"attributes are not sorted");
	qsort(sorted, n, sizeof(*sorted), compare_names);
	for (i = 1; i < n; i++)
		if (!strcmp(sorted[i - 1].text, sorted[i].text))
			ck_find(r->ck, CK_XATTR_DUPLICATE, r->index, NULL,
				r->pos, "%s stands twice", sorted[i].text);
	return EK_OK;
}

static ek_status all_entries(struct region *r, const uint8_t *bytes, size_t n,
			     struct ek_err *err)
{
	unsigned i;

	r->ck->names.len = 0;
	EK_TRY(inline_entries(r, bytes, n, err));
	for (i = 0; i < r->head.shared_count; i++)
		EK_TRY(shared_entry(r, ek_xattr_shared_id(bytes, i), err));
	return compare_all(r, err);
}

ek_status ck_xattrs(struct ck *ck, uint32_t index, const struct ek_inode *in,
		    uint64_t pos, struct ek_err *err)
{
	bool box = ck->inodes.at[index].nid & EK_NID_METABOX;
	struct region r = {
		.ck = ck, .index = index, .pos = box ? CK_NO_OFFSET : pos};
	size_t n = ek_xattr_icount_size(in->xattr_icount);
	EK_AUTO_FREE uint8_t *bytes = NULL;
	struct ek_err why;
	ek_status status;

	if (!ck_meta_inside(ck, index, box, pos, n, "attributes"))
		return EK_OK;
	EK_TRY(ck_claim(ck, CK_META, index, box ? CK_BOX : 0, pos, n, err));
	if (ck->meta_over)
		return EK_OK;
	bytes = malloc(n);
	if (!bytes)
		return ek_fail(err, EK_NOMEM, "attributes");
	if (ek_meta_read(ck->image, box, pos, bytes, n, &why) != EK_OK ||
	    ek_xattr_head_decode(bytes, n, &r.head, &why) != EK_OK)
		return ck_failed(ck, CK_XATTR_HEADER, index, NULL, r.pos, &why);
	if (r.head.reserved_nonzero)
		ck_find(ck, CK_XATTR_RESERVED, index, NULL, r.pos,
			"a reserved byte before attributes is not zero");
	status = all_entries(&r, bytes, n, err);
	ek_vec_free(&r.names);
	return status;
}
