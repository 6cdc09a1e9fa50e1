/* SPDX-License-Identifier: Apache-2.0 */
#include "format/xattr.h"
#include "format/crc32c.h"
#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

#define FILTER_SEED	0x25bbe08fu
#define NAME_MAX_STORED 255u
#define ACL_VERSION	2u

static const char *const prefixes[EK_XATTR_INDEX_COUNT] = {
	[EK_XATTR_HIDDEN] = "",
	[EK_XATTR_USER] = "user.",
	[EK_XATTR_ACL_ACCESS] = "system.posix_acl_access",
	[EK_XATTR_ACL_DEFAULT] = "system.posix_acl_default",
	[EK_XATTR_TRUSTED] = "trusted.",
	[EK_XATTR_LUSTRE] = "",
	[EK_XATTR_SECURITY] = "security.",
};

/* ACL indexes stand for the complete name. */
static bool index_is_whole(unsigned int index)
{
	return index == EK_XATTR_ACL_ACCESS || index == EK_XATTR_ACL_DEFAULT;
}

ek_status ek_xattr_head_decode(const uint8_t *p, size_t xsize,
			       struct ek_xattr_head *h, struct ek_err *err)
{
	if (xsize <= EK_XATTR_HEAD_SIZE)
		return ek_fail(err, EK_UNSUPPORTED,
			       "xattr region of %zu bytes, a header alone",
			       xsize);
	h->filter = ek_get_le32(p);
	h->shared_count = p[4];
	h->reserved_nonzero = !ek_all_zero(p + 5, 7);
	if (h->shared_count * 4u > xsize - EK_XATTR_HEAD_SIZE)
		return ek_fail(err, EK_CORRUPT,
			       "%u shared xattrs in a region of %zu bytes",
			       h->shared_count, xsize);
	return EK_OK;
}

void ek_xattr_head_encode(const struct ek_xattr_head *h, uint8_t *p)
{
	memset(p, 0, EK_XATTR_HEAD_SIZE);
	ek_put_le32(p, h->filter);
	p[4] = h->shared_count;
}

uint32_t ek_xattr_shared_id(const uint8_t *p, unsigned int i)
{
	return ek_get_le32(p + EK_XATTR_HEAD_SIZE + 4 * (size_t)i);
}

uint64_t ek_xattr_shared_pos(const struct ek_sb *sb, uint32_t id,
			     bool *in_metabox)
{
	*in_metabox = ek_sb_compat(sb, EK_COMPAT_SHARED_EA_METABOX) &&
		      ek_sb_incompat(sb, EK_INCOMPAT_METABOX);
	return ((uint64_t)sb->xattr_blkaddr << sb->blkszbits) +
	       (uint64_t)id * 4;
}

uint32_t ek_xattr_entry_peek(const uint8_t *p)
{
	return ek_xattr_entry_size(p[0], ek_get_le16(p + 2));
}

ek_status ek_xattr_entry_decode(const uint8_t *p, size_t n,
				struct ek_xattr_entry *e, struct ek_err *err)
{
	uint32_t used;

	if (n < EK_XATTR_ENTRY_HEAD || n < ek_xattr_entry_peek(p))
		return ek_fail(err, EK_CORRUPT,
			       "xattr entry larger than the %zu bytes left", n);
	e->namelen = p[0];
	e->index = p[1];
	e->valuelen = ek_get_le16(p + 2);
	e->name = p + EK_XATTR_ENTRY_HEAD;
	e->value = e->name + e->namelen;
	e->size = ek_xattr_entry_peek(p);
	used = EK_XATTR_ENTRY_HEAD + e->namelen + e->valuelen;
	e->padding_nonzero = !ek_all_zero(p + used, e->size - used);
	return EK_OK;
}

ek_status ek_xattr_entry_encode(const struct ek_xattr_entry *e, uint8_t *p,
				size_t cap, struct ek_err *err)
{
	uint32_t size = ek_xattr_entry_size(e->namelen, e->valuelen);

	if (cap < size)
		return ek_fail(err, EK_INVALID,
			       "no room for an xattr entry of %u bytes",
			       (unsigned int)size);
	p[0] = e->namelen;
	p[1] = e->index;
	ek_put_le16(p + 2, e->valuelen);
	p += EK_XATTR_ENTRY_HEAD;
	memset(p, 0, size - EK_XATTR_ENTRY_HEAD);
	if (e->namelen)
		memcpy(p, e->name, e->namelen);
	if (e->valuelen)
		memcpy(p + e->namelen, e->value, e->valuelen);
	return EK_OK;
}

void ek_xattr_iter_init(struct ek_xattr_iter *it, const uint8_t *p,
			size_t xsize, const struct ek_xattr_head *h)
{
	size_t skip = EK_XATTR_HEAD_SIZE + 4u * (size_t)h->shared_count;

	it->p = p + skip;
	it->left = xsize - skip;
}

ek_status ek_xattr_iter_next(struct ek_xattr_iter *it, struct ek_xattr_entry *e,
			     struct ek_err *err)
{
	while (it->left) {
		EK_TRY(ek_xattr_entry_decode(it->p, it->left, e, err));
		it->p += e->size;
		it->left -= e->size;
		if (e->index || e->namelen || e->valuelen)
			return EK_OK;
	}
	return EK_NOTFOUND;
}

const char *ek_xattr_prefix(unsigned int index)
{
	return index < EK_XATTR_INDEX_COUNT ? prefixes[index] : "";
}

bool ek_xattr_split(const char *name, size_t n, uint8_t *index, size_t *plen)
{
	for (unsigned int i = EK_XATTR_USER; i < EK_XATTR_INDEX_COUNT; i++) {
		size_t len = strlen(prefixes[i]);

		if (len == 0 || n < len || memcmp(name, prefixes[i], len))
			continue;
		if (index_is_whole(i) ? n != len
				      : n == len || n - len > NAME_MAX_STORED)
			continue;
		*index = (uint8_t)i;
		*plen = len;
		return true;
	}
	return false;
}

ek_status ek_xattr_long_decode(const uint8_t *p, size_t n,
			       struct ek_xattr_long *l, struct ek_err *err)
{
	uint32_t len;

	if (n < 2)
		return ek_fail(err, EK_CORRUPT, "xattr prefix cut off");
	len = ek_get_le16(p);
	if (len < 1 || len > 256 || len > n - 2)
		return ek_fail(err, EK_CORRUPT,
			       "xattr prefix of %u bytes, %zu are left",
			       (unsigned int)len, n - 2);
	l->base = p[2];
	l->infix = p + 3;
	l->infixlen = (uint8_t)(len - 1);
	l->size = 2 + len;
	return EK_OK;
}

ek_status ek_xattr_long_encode(const struct ek_xattr_long *l, uint8_t *p,
			       size_t cap, size_t *used, struct ek_err *err)
{
	size_t size = (3u + l->infixlen + 3u) & ~(size_t)3;

	if (cap < size)
		return ek_fail(err, EK_INVALID, "no room for an xattr prefix");
	memset(p, 0, size);
	ek_put_le16(p, (uint16_t)(l->infixlen + 1));
	p[2] = l->base;
	if (l->infixlen)
		memcpy(p + 3, l->infix, l->infixlen);
	*used = size;
	return EK_OK;
}

enum ek_xattr_place ek_xattr_long_place(const struct ek_sb *sb)
{
	if (ek_sb_compat(sb, EK_COMPAT_PLAIN_XATTR_PFX))
		return EK_PLACE_DEVICE;
	if (ek_sb_incompat(sb, EK_INCOMPAT_METABOX))
		return EK_PLACE_METABOX;
	if (ek_sb_packed(sb))
		return EK_PLACE_PACKED;
	return EK_PLACE_DEVICE;
}

/* Built-in prefix and infix of @index; false when it names none. */
static bool resolve(uint8_t index, const struct ek_xattr_long *longs,
		    size_t nlongs, unsigned int *base,
		    const struct ek_xattr_long **l)
{
	*l = NULL;
	*base = index;
	if (index & EK_XATTR_LONG) {
		size_t i = index & ~EK_XATTR_LONG;

		if (i >= nlongs)
			return false;
		*l = &longs[i];
		*base = longs[i].base;
	}
	return *ek_xattr_prefix(*base) != '\0';
}

ek_status ek_xattr_full_name(const struct ek_xattr_entry *e,
			     const struct ek_xattr_long *longs, size_t nlongs,
			     char *out, size_t *n)
{
	const struct ek_xattr_long *l;
	unsigned int base;
	size_t len;

	if (!resolve(e->index, longs, nlongs, &base, &l))
		return EK_NOTFOUND;
	len = strlen(ek_xattr_prefix(base));
	memcpy(out, ek_xattr_prefix(base), len);
	if (l) {
		memcpy(out + len, l->infix, l->infixlen);
		len += l->infixlen;
	}
	memcpy(out + len, e->name, e->namelen);
	len += e->namelen;
	out[len] = '\0';
	*n = len;
	return EK_OK;
}

bool ek_xattr_filter_on(const struct ek_sb *sb)
{
	return ek_sb_compat(sb, EK_COMPAT_XATTR_FILTER) &&
	       sb->xattr_filter_reserved == 0;
}

unsigned int ek_xattr_filter_bit(uint8_t base, const uint8_t *name, size_t n)
{
	return ek_xxh32(name, n, FILTER_SEED + base) & 31;
}

/* Tags of an access control list: user, group, mask, other and the named. */
bool ek_xattr_acl_ok(const uint8_t *p, size_t n)
{
	size_t at;

	if (n < 4 || ek_get_le32(p) != ACL_VERSION || (n - 4) % 8)
		return false;
	for (at = 4; at < n; at += 8) {
		uint16_t tag = ek_get_le16(p + at);

		if (!tag || tag > 0x20 || (tag & (tag - 1)))
			return false;
		if (ek_get_le16(p + at + 2) > 7)
			return false;
	}
	return true;
}
