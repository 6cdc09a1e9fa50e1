/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/pax.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/* A record's value, with a NUL behind it for the text forms. */
struct record {
	const char *key;
	const char *value;
	size_t value_len;
};

void ek_pax_clear(struct ek_pax *pax)
{
	free(pax->path.text);
	free(pax->link.text);
	free(pax->sparse_name.text);
	for (size_t i = 0; i < pax->xattrs.n; i++) {
		free(pax->xattrs.at[i].name);
		free(pax->xattrs.at[i].value);
	}
	ek_vec_free(&pax->xattrs);
	ek_vec_free(&pax->segments);
	memset(pax, 0, sizeof(*pax));
}

static ek_status set_text(struct ek_pax_text *t, const struct record *r,
			  struct ek_err *err)
{
	char *copy;

	if (memchr(r->value, 0, r->value_len))
		return ek_fail(err, EK_CORRUPT, "%s holds a NUL", r->key);
	if (r->value_len > EK_TAR_PATH_MAX)
		return ek_fail(err, EK_LIMIT, "%s of %zu bytes, more than %u",
			       r->key, r->value_len, EK_TAR_PATH_MAX);
	copy = strdup(r->value);
	if (!copy)
		return ek_fail(err, EK_NOMEM, "no memory for a record");
	free(t->text);
	t->text = copy;
	t->state = r->value_len ? EK_PAX_SET : EK_PAX_RESET;
	return EK_OK;
}

/* Decimal digits of @text up to a byte of @stops; end goes to *end. */
static ek_status decimal(const char *key, const char *text, const char *stops,
			 uint64_t *value, const char **end, struct ek_err *err)
{
	uint64_t v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (!ek_mul(v, 10, &v) ||
		    !ek_add(v, (uint64_t)(*p - '0'), &v) || v > INT64_MAX)
			return ek_fail(err, EK_CORRUPT, "%s beyond 63 bits",
				       key);
	if (p == text || (*p && !strchr(stops, *p)))
		return ek_fail(err, EK_CORRUPT, "%s=%.40s is no number", key,
			       text);
	*value = v;
	*end = p;
	return EK_OK;
}

static ek_status set_number(struct ek_pax_number *n, const struct record *r,
			    struct ek_err *err)
{
	const char *end;

	if (!r->value_len) {
		n->state = EK_PAX_RESET;
		return EK_OK;
	}
	EK_TRY(decimal(r->key, r->value, "", &n->value, &end, err));
	if ((size_t)(end - r->value) != r->value_len)
		return ek_fail(err, EK_CORRUPT, "%s is no number", r->key);
	n->state = EK_PAX_SET;
	return EK_OK;
}

/* Signed seconds with a fraction of any length; nine digits are kept. */
static ek_status set_mtime(struct ek_pax *pax, const struct record *r,
			   struct ek_err *err)
{
	bool negative = r->value[0] == '-';
	uint64_t seconds = 0;
	uint32_t nsec = 0, unit = 100000000;
	const char *p;

	if (!r->value_len) {
		pax->mtime_state = EK_PAX_RESET;
		return EK_OK;
	}
	EK_TRY(decimal(r->key, r->value + negative, ".", &seconds, &p, err));
	if (*p == '.')
		p++;
	for (; *p >= '0' && *p <= '9'; p++, unit /= 10)
		nsec += (uint32_t)(*p - '0') * unit;
	if ((size_t)(p - r->value) != r->value_len)
		return ek_fail(err, EK_CORRUPT, "%s=%.40s is no time", r->key,
			       r->value);
	pax->mtime = negative ? -(int64_t)seconds : (int64_t)seconds;
	if (negative && nsec) {
		/* -1.25 s is 0.75 s after second -2. */
		pax->mtime--;
		nsec = 1000000000 - nsec;
	}
	pax->mtime_nsec = nsec;
	pax->mtime_state = EK_PAX_SET;
	return EK_OK;
}

/* Keep one attribute; takes @value (malloc'ed) over, also when it fails. */
static ek_status keep_xattr(struct ek_pax *pax, const char *name,
			    uint8_t *value, size_t n, struct ek_err *err)
{
	struct ek_pax_xattr x = {.value = value, .value_len = n};
	ek_status status;

	for (size_t i = 0; i < pax->xattrs.n; i++) {
		struct ek_pax_xattr *old = &pax->xattrs.at[i];

		if (strcmp(old->name, name))
			continue;
		free(old->value);
		old->value = value;
		old->value_len = n;
		return EK_OK;
	}
	x.name = strdup(name);
	status = x.name ? ek_vec_push(&pax->xattrs, x, EK_TAR_XATTRS_MAX, err)
			: ek_fail(err, EK_NOMEM, "no memory for an attribute");
	if (status != EK_OK) {
		free(x.name);
		free(value);
	}
	return status;
}

static ek_status raw_xattr(struct ek_pax *pax, const char *name,
			   const struct record *r, struct ek_err *err)
{
	uint8_t *value = malloc(r->value_len + 1);

	if (!value)
		return ek_fail(err, EK_NOMEM, "no memory for an attribute");
	memcpy(value, r->value, r->value_len);
	return keep_xattr(pax, name, value, r->value_len, err);
}

/*
 * RHT.security.selinux (GNU tar --selinux): the label as text. On a disk it
 * has the NUL that one_record() put behind it.
 */
static ek_status selinux_label(struct ek_pax *pax, const struct record *r,
			       struct ek_err *err)
{
	struct record label = *r;

	if (!r->value_len)
		return EK_OK;
	label.value_len++;
	return raw_xattr(pax, "security.selinux", &label, err);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undo "%2F" in place; a '%' without two digits stands for itself. */
static void undo_percent(char *name)
{
	char *to = name;

	for (const char *p = name; *p; p++) {
		int a = *p == '%' ? hex(p[1]) : -1;
		int b = a >= 0 ? hex(p[2]) : -1;

		if (b >= 0 && (a | b)) {
			*to++ = (char)(a << 4 | b);
			p += 2;
		} else {
			*to++ = *p;
		}
	}
	*to = 0;
}

static ek_status base64(const struct record *r, uint8_t *to, size_t *n,
			struct ek_err *err)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	unsigned have = 0;
	size_t len = r->value_len;

	while (len && r->value[len - 1] == '=')
		len--;
	*n = 0;
	for (size_t i = 0; i < len; i++) {
		const char *d =
			r->value[i] ? strchr(digits, r->value[i]) : NULL;

		if (!d)
			return ek_fail(err, EK_CORRUPT, "%s is not base64",
				       r->key);
		bits = bits << 6 | (uint32_t)(d - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			to[(*n)++] = (uint8_t)(bits >> have);
		}
	}
	return EK_OK;
}

/* LIBARCHIVE.xattr.NAME: percent-escaped name, base64 value. */
static ek_status coded_xattr(struct ek_pax *pax, const char *coded,
			     const struct record *r, struct ek_err *err)
{
	EK_AUTO_FREE char *name = strdup(coded);
	uint8_t *value = malloc(r->value_len + 1);
	size_t n = 0;
	ek_status status;

	if (!name || !value) {
		free(value);
		return ek_fail(err, EK_NOMEM, "no memory for an attribute");
	}
	undo_percent(name);
	status = base64(r, value, &n, err);
	if (status != EK_OK) {
		free(value);
		return status;
	}
	return keep_xattr(pax, name, value, n, err);
}

static ek_status text_acl(struct ek_pax *pax, bool is_default,
			  const struct record *r, struct ek_err *err)
{
	uint8_t *value = NULL;
	size_t n = 0;
	ek_status status;

	status = ek_acl_from_text(r->value, !is_default, &value, &n, err);
	if (status == EK_NOTFOUND) {
		pax->dropped++;
		return EK_OK;
	}
	if (status != EK_OK || !value)
		return status;
	return keep_xattr(pax,
			  is_default ? "system.posix_acl_default"
				     : "system.posix_acl_access",
			  value, n, err);
}

/* GNU.sparse.offset and .numbytes (0.0) come in turn. */
static ek_status sparse_pair(struct ek_pax *pax, bool offset,
			     const struct record *r, struct ek_err *err)
{
	struct ek_pax_number n = {EK_PAX_UNSET, 0};
	struct ek_tar_segment s = {0, 0, 0};

	EK_TRY(set_number(&n, r, err));
	pax->sparse_map = true;
	if (!offset) {
		if (!pax->segments.n)
			return ek_fail(err, EK_CORRUPT, "%s before any offset",
				       r->key);
		pax->segments.at[pax->segments.n - 1].length = n.value;
		return EK_OK;
	}
	s.at = n.value;
	return ek_vec_push(&pax->segments, s, EK_TAR_SEGMENTS_MAX, err);
}

/* GNU.sparse.map (0.1): "offset,length,offset,length,...". */
static ek_status sparse_list(struct ek_pax *pax, const struct record *r,
			     struct ek_err *err)
{
	const char *p = r->value;

	pax->sparse_map = true;
	pax->segments.n = 0;
	while (*p) {
		struct ek_tar_segment s = {0, 0, 0};

		EK_TRY(decimal(r->key, p, ",", &s.at, &p, err));
		if (*p != ',')
			return ek_fail(err, EK_CORRUPT, "%s ends in a pair",
				       r->key);
		EK_TRY(decimal(r->key, p + 1, ",", &s.length, &p, err));
		EK_TRY(ek_vec_push(&pax->segments, s, EK_TAR_SEGMENTS_MAX,
				   err));
		if (*p == ',')
			p++;
	}
	return EK_OK;
}

static ek_status take_sparse(struct ek_pax *pax, const char *key,
			     const struct record *r, struct ek_err *err)
{
	if (!strcmp(key, "major"))
		return set_number(&pax->sparse_major, r, err);
	if (!strcmp(key, "minor"))
		return set_number(&pax->sparse_minor, r, err);
	if (!strcmp(key, "realsize") || !strcmp(key, "size"))
		return set_number(&pax->sparse_size, r, err);
	if (!strcmp(key, "name"))
		return set_text(&pax->sparse_name, r, err);
	if (!strcmp(key, "offset") || !strcmp(key, "numbytes"))
		return sparse_pair(pax, key[0] == 'o', r, err);
	if (!strcmp(key, "map"))
		return sparse_list(pax, r, err);
	return EK_OK; /* numblocks: said again by the list itself */
}

static const char *after(const char *text, const char *head)
{
	size_t n = strlen(head);

	return strncmp(text, head, n) ? NULL : text + n;
}

static ek_status take(struct ek_pax *pax, const struct record *r,
		      struct ek_err *err)
{
	const char *rest;

	if (!strcmp(r->key, "path"))
		return set_text(&pax->path, r, err);
	if (!strcmp(r->key, "linkpath"))
		return set_text(&pax->link, r, err);
	if (!strcmp(r->key, "size"))
		return set_number(&pax->size, r, err);
	if (!strcmp(r->key, "uid"))
		return set_number(&pax->uid, r, err);
	if (!strcmp(r->key, "gid"))
		return set_number(&pax->gid, r, err);
	if (!strcmp(r->key, "mtime"))
		return set_mtime(pax, r, err);
	if ((rest = after(r->key, "GNU.sparse.")))
		return take_sparse(pax, rest, r, err);
	if ((rest = after(r->key, "SCHILY.xattr.")))
		return *rest ? raw_xattr(pax, rest, r, err) : EK_OK;
	if ((rest = after(r->key, "LIBARCHIVE.xattr.")))
		return *rest ? coded_xattr(pax, rest, r, err) : EK_OK;
	if (!strcmp(r->key, "RHT.security.selinux"))
		return selinux_label(pax, r, err);
	if (!strcmp(r->key, "SCHILY.acl.access"))
		return text_acl(pax, false, r, err);
	if (!strcmp(r->key, "SCHILY.acl.default"))
		return text_acl(pax, true, r, err);
	return EK_OK;
}

/* Length of the record at @p, digits and blank included; 0: broken. */
static size_t record_length(const uint8_t *p, size_t n, size_t *digits)
{
	size_t len = 0, i = 0;

	for (; i < n && i < 10 && p[i] >= '0' && p[i] <= '9'; i++)
		len = len * 10 + (size_t)(p[i] - '0');
	*digits = i;
	if (!i || i >= n || p[i] != ' ' || len > n || len < i + 3)
		return 0;
	return p[len - 1] == '\n' ? len : 0;
}

static ek_status one_record(struct ek_pax *pax, const uint8_t *p, size_t len,
			    struct ek_err *err)
{
	EK_AUTO_FREE char *copy = malloc(len);
	struct record r;
	char *equals;

	if (!copy)
		return ek_fail(err, EK_NOMEM, "no memory for a record");
	memcpy(copy, p, len);
	copy[len - 1] = 0; /* over the newline */
	equals = memchr(copy, '=', len - 1);
	if (!equals || memchr(copy, 0, (size_t)(equals - copy)))
		return ek_fail(err, EK_CORRUPT, "PAX record without '='");
	*equals = 0;
	r.key = copy;
	r.value = equals + 1;
	r.value_len = len - 1 - (size_t)(r.value - copy);
	return take(pax, &r, err);
}

ek_status ek_pax_parse(struct ek_pax *pax, const uint8_t *data, size_t n,
		       struct ek_err *err)
{
	while (n) {
		size_t digits = 0, len = record_length(data, n, &digits);

		if (!len)
			return ek_fail(err, EK_CORRUPT, "broken PAX record");
		EK_TRY(one_record(pax, data + digits + 1, len - digits - 1,
				  err));
		data += len;
		n -= len;
	}
	return EK_OK;
}
