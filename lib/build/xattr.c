/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/xattr.h"

#include <string.h>

/* Byte offsets in the shared area are told in units of 4 as 32 bits. */
#define AREA_MAX ((uint64_t)UINT32_MAX * 4 - (UINT64_C(1) << 30))

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (const struct ek_tree_xattr *const *)a;
	uintptr_t y = (uintptr_t) * (const struct ek_tree_xattr *const *)b;

	return (x > y) - (x < y);
}

/* struct ek_shared begins with the address, too. */
static int shared_by_address(const void *a, const void *b)
{
	return by_address(&((const struct ek_shared *)a)->xattr,
			  &((const struct ek_shared *)b)->xattr);
}

static int shared_by_name(const void *a, const void *b)
{
	const struct ek_tree_xattr *x = ((const struct ek_shared *)a)->xattr;
	const struct ek_tree_xattr *y = ((const struct ek_shared *)b)->xattr;
	int c = strcmp(x->name, y->name);

	if (c)
		return c;
	c = memcmp(x->value, y->value, ek_min(x->value_len, y->value_len));
	if (c)
		return c;
	return (x->value_len > y->value_len) - (x->value_len < y->value_len);
}

static void entry_of(const struct ek_shares *s, const struct ek_tree_xattr *x,
		     struct ek_xattr_entry *e)
{
	size_t plen = 0;

	memset(e, 0, sizeof(*e));
	/* Names were checked by ek_build_xattr_size(). */
	EK_BUG_ON(!ek_xattr_split(x->name, x->name_len, &e->index, &plen));
	/* The first long prefix that fits. */
	for (uint32_t i = 0; i < s->n_longs; i++) {
		size_t n = strlen(s->longs[i]);

		if (x->name_len < n || memcmp(x->name, s->longs[i], n) != 0)
			continue;
		e->index = (uint8_t)(EK_XATTR_LONG | i);
		plen = n;
		break;
	}
	e->name = (const uint8_t *)x->name + plen;
	e->namelen = (uint8_t)(x->name_len - plen);
	e->value = x->value;
	e->valuelen = (uint16_t)x->value_len;
}

static ek_status check(const struct ek_tree_inode *inode,
		       const struct ek_tree_xattr *x, struct ek_err *err)
{
	uint8_t index;
	size_t plen;

	if (!ek_xattr_split(x->name, x->name_len, &index, &plen))
		return ek_build_fail(inode, err, EK_UNSUPPORTED,
				     "attribute \"%s\" has a name that EROFS "
				     "cannot store",
				     x->name);
	if (x->value_len > EK_XATTR_VALUE_MAX)
		return ek_build_fail(inode, err, EK_LIMIT,
				     "attribute \"%s\" is longer than %u bytes",
				     x->name, EK_XATTR_VALUE_MAX);
	return EK_OK;
}

/* All uses of attributes, sorted by address. */
static ek_status collect(const struct ek_build *b,
			 const struct ek_tree_xattr ***uses, size_t *n,
			 struct ek_err *err)
{
	const struct ek_tree *tree = b->tree;
	size_t total = 0, k = 0;

	for (uint32_t i = 0; i < tree->n_inodes; i++)
		total += tree->inodes[i]->n_xattrs;
	*n = total;
	*uses = NULL;
	if (total == 0)
		return EK_OK;
	*uses = calloc(total, sizeof(**uses));
	if (!*uses)
		return ek_fail(err, EK_NOMEM, "no memory for attributes");
	for (uint32_t i = 0; i < tree->n_inodes; i++) {
		const struct ek_tree_inode *inode = tree->inodes[i];

		for (uint32_t j = 0; j < inode->n_xattrs; j++) {
			EK_TRY(check(inode, inode->xattrs[j], err));
			(*uses)[k++] = inode->xattrs[j];
		}
	}
	qsort(*uses, total, sizeof(**uses), by_address);
	return EK_OK;
}

/* Keep those that are used more than the threshold says. */
static ek_status pick(struct ek_build *b, const struct ek_tree_xattr **uses,
		      size_t n, struct ek_err *err)
{
	struct ek_shares *s = &b->shares;

	s->at = calloc(n, sizeof(*s->at));
	if (!s->at)
		return ek_fail(err, EK_NOMEM, "no memory for attributes");
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && uses[k] == uses[i]; k++)
			;
		if (k - i > (size_t)b->opt.xattr_share)
			s->at[s->n++].xattr = uses[i];
	}
	return EK_OK;
}

static const struct ek_shared *find(const struct ek_shares *s,
				    const struct ek_tree_xattr *x)
{
	struct ek_shared key = {.xattr = x};

	if (s->n == 0)
		return NULL;
	return bsearch(&key, s->at, s->n, sizeof(*s->at), shared_by_address);
}

/*
 * An inode can refer to EK_XATTR_SHARED_MAX of them, the rest goes inline:
 * what is in no inode's share would be bytes that nothing refers to.
 */
static void drop_unreferenced(struct ek_build *b)
{
	const struct ek_tree *tree = b->tree;
	struct ek_shares *s = &b->shares;
	bool crowded = false;
	size_t kept = 0;

	for (uint32_t i = 0; i < tree->n_inodes; i++)
		if (tree->inodes[i]->n_xattrs > EK_XATTR_SHARED_MAX)
			crowded = true;
	if (!crowded)
		return;
	for (uint32_t i = 0; i < tree->n_inodes; i++) {
		const struct ek_tree_inode *inode = tree->inodes[i];
		unsigned int n = 0;

		for (uint32_t j = 0; j < inode->n_xattrs; j++) {
			const struct ek_shared *x = find(s, inode->xattrs[j]);

			if (!x)
				continue;
			if (n++ == EK_XATTR_SHARED_MAX)
				break;
			/* No place yet: a mark until encode_area(). */
			s->at[x - s->at].id = 1;
		}
	}
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i].id)
			s->at[kept++] = s->at[i];
	s->n = kept;
}

static ek_status encode_area(struct ek_shares *s, struct ek_err *err)
{
	uint64_t pos = 0;

	qsort(s->at, s->n, sizeof(*s->at), shared_by_name);
	for (size_t i = 0; i < s->n; i++) {
		struct ek_xattr_entry e;

		entry_of(s, s->at[i].xattr, &e);
		s->at[i].id = (uint32_t)(pos / 4);
		pos += ek_xattr_entry_size(e.namelen, e.valuelen);
		if (pos > AREA_MAX || pos > SIZE_MAX)
			return ek_fail(err, EK_LIMIT,
				       "too many shared attributes");
	}
	s->area_size = pos;
	s->area = calloc(1, pos ? (size_t)pos : 1);
	if (!s->area)
		return ek_fail(err, EK_NOMEM, "no memory for attributes");
	for (size_t i = 0; i < s->n; i++) {
		struct ek_xattr_entry e;
		uint64_t at = (uint64_t)s->at[i].id * 4;

		entry_of(s, s->at[i].xattr, &e);
		EK_TRY(ek_xattr_entry_encode(&e, s->area + at,
					     (size_t)(pos - at), err));
	}
	qsort(s->at, s->n, sizeof(*s->at), shared_by_address);
	return EK_OK;
}

ek_status ek_shares_make(struct ek_build *b, struct ek_err *err)
{
	EK_AUTO_FREE const struct ek_tree_xattr **uses = NULL;
	size_t n;

	if (b->opt.xattr_share < 0)
		return EK_OK;
	EK_TRY(collect(b, &uses, &n, err));
	if (n == 0)
		return EK_OK;
	EK_TRY(pick(b, uses, n, err));
	drop_unreferenced(b);
	return encode_area(&b->shares, err);
}

/* Cut a long prefix in its base and the rest. */
static bool split_long(const char *name, struct ek_xattr_long *l)
{
	static const uint8_t bases[] = {1, 4, 6};
	size_t n = strlen(name);

	for (size_t i = 0; i < EK_ARRAY_SIZE(bases); i++) {
		const char *base = ek_xattr_prefix(bases[i]);
		size_t k = strlen(base);

		if (n < k || memcmp(name, base, k) != 0 || n - k > 255)
			continue;
		l->base = bases[i];
		l->infix = (const uint8_t *)name + k;
		l->infixlen = (uint8_t)(n - k);
		return true;
	}
	return false;
}

ek_status ek_xattr_check_longs(const struct ek_build_options *o,
			       struct ek_err *err)
{
	struct ek_xattr_long l;

	if (o->n_xattr_prefixes > EK_XATTR_LONG_MAX)
		return ek_fail(err, EK_INVALID,
			       "%u prefixes of attributes are more than %u",
			       o->n_xattr_prefixes, EK_XATTR_LONG_MAX);
	for (uint32_t i = 0; i < o->n_xattr_prefixes; i++)
		if (!split_long(o->xattr_prefixes[i], &l))
			return ek_fail(err, EK_INVALID,
				       "prefix \"%s\" does not begin with "
				       "user., trusted. or security., or is "
				       "too long",
				       o->xattr_prefixes[i]);
	return EK_OK;
}

ek_status ek_xattr_longs(struct ek_build *b, uint8_t *to, size_t room,
			 uint64_t *size, struct ek_err *err)
{
	uint8_t record[EK_XATTR_LONG_SIZE_MAX + 2];
	struct ek_shares *s = &b->shares;
	size_t used;

	s->longs = b->opt.xattr_prefixes;
	s->n_longs = b->opt.xattr_share < 0 ? 0 : b->opt.n_xattr_prefixes;
	*size = 0;
	for (uint32_t i = 0; i < s->n_longs; i++) {
		struct ek_xattr_long l = {0};

		EK_BUG_ON(!split_long(s->longs[i], &l));
		EK_TRY(ek_xattr_long_encode(&l, record, sizeof(record), &used,
					    err));
		if (to) {
			EK_BUG_ON(room - *size < used);
			memcpy(to + *size, record, used);
		}
		*size += used;
	}
	return EK_OK;
}

void ek_shares_free(struct ek_shares *shares)
{
	free(shares->at);
	free(shares->area);
	memset(shares, 0, sizeof(*shares));
}

ek_status ek_build_xattr_size(const struct ek_build *b,
			      const struct ek_tree_inode *inode, uint32_t *size,
			      struct ek_err *err)
{
	uint64_t total = EK_XATTR_HEAD_SIZE;
	unsigned int shared = 0;

	*size = 0;
	if (inode->n_xattrs == 0 || b->opt.xattr_share < 0)
		return EK_OK;
	for (uint32_t i = 0; i < inode->n_xattrs; i++) {
		const struct ek_tree_xattr *x = inode->xattrs[i];
		struct ek_xattr_entry e;

		if (shared < EK_XATTR_SHARED_MAX && find(&b->shares, x)) {
			shared++;
			total += 4;
			continue;
		}
		entry_of(&b->shares, x, &e);
		total += ek_xattr_entry_size(e.namelen, e.valuelen);
	}
	if (total > EK_XATTR_REGION_MAX)
		return ek_build_fail(inode, err, EK_LIMIT,
				     "attributes need more than %u bytes",
				     EK_XATTR_REGION_MAX);
	*size = (uint32_t)total;
	return EK_OK;
}

/* Which names an inode has not (4.5): all of them count, shared ones too. */
static uint32_t filter_of(const struct ek_build *b,
			  const struct ek_tree_inode *inode)
{
	uint32_t filter = EK_XATTR_FILTER_EMPTY;

	if (!b->opt.xattr_filter)
		return 0;
	for (uint32_t i = 0; i < inode->n_xattrs; i++) {
		const struct ek_tree_xattr *x = inode->xattrs[i];
		uint8_t index;
		size_t plen;

		EK_BUG_ON(!ek_xattr_split(x->name, x->name_len, &index, &plen));
		filter &= ~(UINT32_C(1) << ek_xattr_filter_bit(
				    index, (const uint8_t *)x->name + plen,
				    x->name_len - plen));
	}
	return filter;
}

static ek_status append_entry(const struct ek_shares *s,
			      const struct ek_tree_xattr *x, struct ek_buf *buf,
			      struct ek_err *err)
{
	struct ek_xattr_entry e;
	uint32_t n;

	entry_of(s, x, &e);
	n = ek_xattr_entry_size(e.namelen, e.valuelen);
	EK_TRY(ek_buf_append_zeros(buf, n, err));
	return ek_xattr_entry_encode(&e, buf->data + buf->len - n, n, err);
}

ek_status ek_build_xattr_append(const struct ek_build *b,
				const struct ek_tree_inode *inode,
				struct ek_buf *buf, struct ek_err *err)
{
	struct ek_xattr_head head = {0};
	size_t at = buf->len;
	bool is_shared;

	if (ek_plan_of(inode)->xsize == 0)
		return EK_OK;
	EK_TRY(ek_buf_append_zeros(buf, EK_XATTR_HEAD_SIZE, err));
	/* The same choice as in ek_build_xattr_size(): the first 255. */
	for (uint32_t i = 0; i < inode->n_xattrs; i++) {
		const struct ek_shared *s = find(&b->shares, inode->xattrs[i]);
		uint8_t id[4];

		if (!s || head.shared_count == EK_XATTR_SHARED_MAX)
			continue;
		head.shared_count++;
		ek_put_le32(id, s->id);
		EK_TRY(ek_buf_append(buf, id, sizeof(id), err));
	}
	head.filter = filter_of(b, inode);
	ek_xattr_head_encode(&head, buf->data + at);
	head.shared_count = 0;
	for (uint32_t i = 0; i < inode->n_xattrs; i++) {
		is_shared = head.shared_count < EK_XATTR_SHARED_MAX &&
			    find(&b->shares, inode->xattrs[i]);
		if (is_shared)
			head.shared_count++;
		else
			EK_TRY(append_entry(&b->shares, inode->xattrs[i], buf,
					    err));
	}
	EK_BUG_ON(buf->len - at != ek_plan_of(inode)->xsize);
	return EK_OK;
}
