/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/manifest.h"

#include "base/try.h"

#include <string.h>
#include <sys/stat.h>

static const struct {
	char letter;
	uint32_t bits;
} types[] = {
	{'f', S_IFREG}, {'d', S_IFDIR}, {'l', S_IFLNK},	 {'c', S_IFCHR},
	{'b', S_IFBLK}, {'p', S_IFIFO}, {'s', S_IFSOCK},
};

char ek_manifest_type(uint32_t mode)
{
	for (size_t i = 0; i < EK_ARRAY_SIZE(types); i++)
		if (types[i].bits == (mode & S_IFMT))
			return types[i].letter;
	return 0;
}

uint32_t ek_manifest_type_bits(char letter)
{
	for (size_t i = 0; i < EK_ARRAY_SIZE(types); i++)
		if (types[i].letter == letter)
			return types[i].bits;
	return 0;
}

/* The end of a path, then '/', then all other bytes. */
static int weight(char c)
{
	return c == 0 ? 0 : c == '/' ? 1 : 1 + (int)(unsigned char)c;
}

int ek_manifest_order(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return weight(*a) - weight(*b);
}

static bool plain(uint8_t c)
{
	return c > ' ' && c < 0x7f && c != '%' && c != '=';
}

ek_status ek_manifest_escape(struct ek_buf *to, const void *from, size_t n,
			     struct ek_err *err)
{
	static const char digits[] = "0123456789ABCDEF";
	const uint8_t *p = from;
	size_t escaped = 0;

	for (size_t i = 0; i < n; i++)
		escaped += !plain(p[i]);
	if (escaped > to->limit / 2)
		return ek_fail(err, EK_LIMIT, "more than %zu bytes", to->limit);
	EK_TRY(ek_buf_reserve(to, n, err));
	EK_TRY(ek_buf_reserve(to, n + 2 * escaped, err));
	for (size_t i = 0; i < n; i++) {
		if (plain(p[i])) {
			to->data[to->len++] = p[i];
			continue;
		}
		to->data[to->len++] = '%';
		to->data[to->len++] = (uint8_t)digits[p[i] >> 4];
		to->data[to->len++] = (uint8_t)digits[p[i] & 15];
	}
	return EK_OK;
}

static int upper_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool ek_manifest_unescape(const char *from, size_t n, uint8_t *to, size_t *got)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		int high, low;

		if (plain((uint8_t)from[i])) {
			to[out++] = (uint8_t)from[i];
			continue;
		}
		if (from[i] != '%' || n - i < 3)
			return false;
		high = upper_digit(from[i + 1]);
		low = upper_digit(from[i + 2]);
		/* One text for one string: nothing is escaped in vain. */
		if (high < 0 || low < 0 || plain((uint8_t)(high << 4 | low)))
			return false;
		to[out++] = (uint8_t)(high << 4 | low);
		i += 2;
	}
	*got = out;
	return true;
}

bool ek_manifest_path_ok(const char *path)
{
	if (*path != '/')
		return false;
	if (!path[1])
		return true;
	while (*path) {
		size_t n = strcspn(++path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') ||
		    (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
	}
	return true;
}

int ek_manifest_xattr_order(const struct ek_manifest_xattr *a,
			    const struct ek_manifest_xattr *b)
{
	size_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int order = memcmp(a->name, b->name, n);

	if (order)
		return order;
	return (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static ek_status check_xattrs(const struct ek_manifest_entry *e,
			      struct ek_err *err)
{
	if (e->n_xattrs > EK_MANIFEST_XATTRS_MAX)
		return ek_fail(err, EK_LIMIT, "%s: %zu attributes, at most %u",
			       e->path, e->n_xattrs, EK_MANIFEST_XATTRS_MAX);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct ek_manifest_xattr *x = &e->xattrs[i];

		if (x->name_len == 0 || memchr(x->name, 0, x->name_len))
			return ek_fail(err, EK_INVALID,
				       "%s: a wrong name of an attribute",
				       e->path);
		if (i && ek_manifest_xattr_order(x - 1, x) >= 0)
			return ek_fail(err, EK_INVALID,
				       "%s: attributes are not in order",
				       e->path);
	}
	return EK_OK;
}

ek_status ek_manifest_check(const struct ek_manifest_entry *e,
			    const char *before, struct ek_err *err)
{
	if (!ek_manifest_path_ok(e->path))
		return ek_fail(err, EK_INVALID, "\"%s\" is not a path",
			       e->path);
	if (before && ek_manifest_order(before, e->path) >= 0)
		return ek_fail(err, EK_INVALID, "%s: comes after %s", e->path,
			       before);
	if (e->link) {
		if (!ek_manifest_path_ok(e->link) ||
		    ek_manifest_order(e->link, e->path) >= 0)
			return ek_fail(err, EK_INVALID,
				       "%s: link of \"%s\", which is not "
				       "before it",
				       e->path, e->link);
		return EK_OK;
	}
	if (!ek_manifest_type(e->mode) || e->mode & ~(uint32_t)(S_IFMT | 07777))
		return ek_fail(err, EK_INVALID, "%s: mode 0%o is none", e->path,
			       (unsigned)e->mode);
	if (e->mtime_nsec > 999999999)
		return ek_fail(err, EK_INVALID, "%s: %u nanoseconds", e->path,
			       (unsigned)e->mtime_nsec);
	if (S_ISLNK(e->mode) && (!e->target || !*e->target))
		return ek_fail(err, EK_INVALID, "%s: link without a target",
			       e->path);
	return check_xattrs(e, err);
}
