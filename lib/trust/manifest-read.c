/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/manifest.h"

#include "base/try.h"
#include "base/vec.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* Bytes read from the source at once. */
#define PIECE (256u << 10)

struct ek_manifest {
	struct ek_source *src;
	uint64_t offset; /* of what is read next */
	struct ek_buf text;
	size_t at; /* of the next line within text */
	uint64_t line;
	struct ek_buf strings; /* of the entry, unescaped */
	struct ek_buf last;    /* path of the last entry, with its NUL */
	EK_VEC(struct ek_manifest_xattr) xattrs;
};

/* What is left of a line. */
struct cursor {
	const char *at, *end;
	uint8_t *strings; /* room for all that is unescaped, with NULs */
};

static ek_status wrong(const struct ek_manifest *m, const char *what,
		       struct ek_err *err)
{
	return ek_fail(err, EK_CORRUPT, "%s%sline %" PRIu64 ": %s",
		       m->src->name ? m->src->name : "",
		       m->src->name ? ": " : "", m->line, what);
}

static ek_status read_more(struct ek_manifest *m, struct ek_err *err)
{
	uint64_t left = m->src->size - m->offset;
	size_t n = (size_t)ek_min(PIECE, left);

	/* Drop the lines that are done with before making room. */
	memmove(m->text.data, m->text.data + m->at, m->text.len - m->at);
	m->text.len -= m->at;
	m->at = 0;
	EK_TRY(ek_buf_reserve(&m->text, n, err));
	EK_TRY(ek_source_read(m->src, m->offset, m->text.data + m->text.len, n,
			      err));
	m->text.len += n;
	m->offset += n;
	return EK_OK;
}

/* The next line without its newline; *more is false at the end. */
static ek_status next_line(struct ek_manifest *m, struct cursor *c, bool *more,
			   struct ek_err *err)
{
	size_t seen = 0;

	m->line++;
	for (;;) {
		const char *start = (char *)m->text.data + m->at;
		size_t n = m->text.len - m->at;
		const char *end = NULL;

		if (n > seen)
			end = memchr(start + seen, '\n', n - seen);
		if (end) {
			c->at = start;
			c->end = end;
			m->at += (size_t)(end + 1 - start);
			*more = true;
			break;
		}
		if (n >= EK_MANIFEST_LINE_MAX)
			return wrong(m, "is too long", err);
		if (m->offset == m->src->size) {
			*more = false;
			return n ? wrong(m, "has no newline", err) : EK_OK;
		}
		seen = n;
		EK_TRY(read_more(m, err));
	}
	/* Unescaping shortens; a NUL takes the place of what ends a string. */
	m->strings.len = 0;
	EK_TRY(ek_buf_reserve(&m->strings, (size_t)(c->end - c->at) + 2, err));
	c->strings = m->strings.data;
	return EK_OK;
}

/* Whether @word comes next; then it is passed. */
static bool take(struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
		return false;
	c->at += n;
	return true;
}

/* A number in its one shortest decimal form, at most @most. */
static bool take_number(struct cursor *c, uint64_t most, uint64_t *value)
{
	const char *start = c->at;
	uint64_t v = 0;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
		unsigned d = (unsigned)(*c->at - '0');

		if (v > (most - d) / 10 || d > most)
			return false;
		v = v * 10 + d;
		c->at++;
	}
	*value = v;
	return c->at > start && (*start != '0' || c->at == start + 1);
}

static bool take_u32(struct cursor *c, const char *word, uint32_t *value)
{
	uint64_t v;

	if (!take(c, word) || !take_number(c, UINT32_MAX, &v))
		return false;
	*value = (uint32_t)v;
	return true;
}

/* Bytes up to a space (or '=' too), unescaped, with a NUL behind. */
static bool take_string(struct cursor *c, const uint8_t **string, size_t *n)
{
	const char *start = c->at;

	while (c->at < c->end && *c->at != ' ' && *c->at != '=')
		c->at++;
	if (!ek_manifest_unescape(start, (size_t)(c->at - start), c->strings,
				  n))
		return false;
	*string = c->strings;
	c->strings += *n;
	*c->strings++ = 0;
	return true;
}

/* The same for text that may neither be empty nor hold NULs. */
static bool take_text(struct cursor *c, const char **text, size_t *n)
{
	const uint8_t *bytes = NULL;

	if (!take_string(c, &bytes, n) || *n == 0 || memchr(bytes, 0, *n))
		return false;
	*text = (const char *)bytes;
	return true;
}

static bool take_mode(struct cursor *c, uint32_t *mode)
{
	uint32_t type, bits = 0;

	if (!take(c, " type=") || c->at == c->end)
		return false;
	type = ek_manifest_type_bits(*c->at++);
	if (!type || !take(c, " mode=") || c->end - c->at < 4)
		return false;
	for (int i = 0; i < 4; i++, c->at++) {
		if (*c->at < '0' || *c->at > '7')
			return false;
		bits = bits << 3 | (uint32_t)(*c->at - '0');
	}
	*mode = type | bits;
	return true;
}

static bool take_mtime(struct cursor *c, struct ek_manifest_entry *e)
{
	bool negative;
	uint64_t v;

	if (!take(c, " mtime="))
		return false;
	negative = take(c, "-");
	if (!take_number(c, (uint64_t)INT64_MAX + negative, &v) ||
	    (negative && v == 0))
		return false;
	e->mtime = negative ? -(int64_t)(v - 1) - 1 : (int64_t)v;
	if (!take(c, ".") || c->end - c->at < 9)
		return false;
	for (int i = 0; i < 9; i++, c->at++) {
		if (*c->at < '0' || *c->at > '9')
			return false;
		e->mtime_nsec = e->mtime_nsec * 10 + (uint32_t)(*c->at - '0');
	}
	return true;
}

static bool take_digest(struct cursor *c, uint8_t digest[32])
{
	if (!take(c, " sha256=") || c->end - c->at < 64)
		return false;
	for (int i = 0; i < 64; i++, c->at++) {
		char d = *c->at;
		int v = d >= '0' && d <= '9'   ? d - '0'
			: d >= 'a' && d <= 'f' ? d - 'a' + 10
					       : -1;

		if (v < 0)
			return false;
		digest[i / 2] = (uint8_t)(digest[i / 2] << 4 | v);
	}
	return true;
}

static bool take_contents(struct cursor *c, struct ek_manifest_entry *e)
{
	size_t n;

	if (S_ISREG(e->mode))
		return take(c, " size=") &&
		       take_number(c, UINT64_MAX, &e->size) &&
		       take_digest(c, e->sha256);
	if (S_ISLNK(e->mode))
		return take(c, " target=") && take_text(c, &e->target, &n);
	if (S_ISCHR(e->mode) || S_ISBLK(e->mode))
		return take_u32(c, " device=", &e->rdev_major) &&
		       take_u32(c, ":", &e->rdev_minor);
	return true;
}

static ek_status take_xattrs(struct ek_manifest *m, struct cursor *c,
			     struct ek_manifest_entry *e, struct ek_err *err)
{
	m->xattrs.n = 0;
	while (take(c, " xattr:")) {
		struct ek_manifest_xattr x = {0};

		if (!take_text(c, &x.name, &x.name_len) || !take(c, "=") ||
		    !take_string(c, &x.value, &x.value_len))
			return wrong(m, "an attribute is wrong", err);
		EK_TRY(ek_vec_push(&m->xattrs, x, EK_MANIFEST_XATTRS_MAX, err));
	}
	e->xattrs = m->xattrs.at;
	e->n_xattrs = m->xattrs.n;
	return EK_OK;
}

static ek_status parse(struct ek_manifest *m, struct cursor *c,
		       struct ek_manifest_entry *e, struct ek_err *err)
{
	size_t n;

	if (!take_text(c, &e->path, &n))
		return wrong(m, "the path is wrong", err);
	if (take(c, " link=")) {
		if (!take_text(c, &e->link, &n))
			return wrong(m, "the link is wrong", err);
	} else {
		if (!take_mode(c, &e->mode) || !take_u32(c, " uid=", &e->uid) ||
		    !take_u32(c, " gid=", &e->gid) || !take_mtime(c, e))
			return wrong(m, "type, mode, owner or time is wrong",
				     err);
		if (!take_contents(c, e))
			return wrong(m,
				     "size, digest, target or device is "
				     "wrong",
				     err);
		EK_TRY(take_xattrs(m, c, e, err));
	}
	if (c->at != c->end)
		return wrong(m, "more than belongs there", err);
	return EK_OK;
}

ek_status ek_manifest_next(struct ek_manifest *m,
			   struct ek_manifest_entry *entry, bool *more,
			   struct ek_err *err)
{
	const char *last = m->last.len ? (const char *)m->last.data : NULL;
	struct cursor c = {0};
	struct ek_err why;

	memset(entry, 0, sizeof(*entry));
	EK_TRY(next_line(m, &c, more, err));
	if (!*more)
		return EK_OK;
	EK_TRY(parse(m, &c, entry, err));
	if (ek_manifest_check(entry, last, &why) != EK_OK)
		return wrong(m, why.text, err);
	m->last.len = 0;
	return ek_buf_append(&m->last, entry->path, strlen(entry->path) + 1,
			     err);
}

static ek_status read_header(struct ek_manifest *m, struct ek_err *err)
{
	struct cursor c = {0};
	bool more;

	EK_TRY(next_line(m, &c, &more, err));
	if (!more || !take(&c, EK_MANIFEST_HEADER))
		return wrong(m, "not a manifest of erofskit", err);
	if (take(&c, EK_MANIFEST_VERSION) && c.at == c.end)
		return EK_OK;
	return ek_fail(err, EK_UNSUPPORTED,
		       "%s%sanother version of the manifest than %s",
		       m->src->name ? m->src->name : "",
		       m->src->name ? ": " : "", EK_MANIFEST_VERSION);
}

ek_status ek_manifest_open(struct ek_source *src, struct ek_manifest **mp,
			   struct ek_err *err)
{
	struct ek_manifest *m = calloc(1, sizeof(*m));
	ek_status status;

	*mp = NULL;
	if (!m)
		return ek_fail(err, EK_NOMEM, "no memory for a manifest");
	m->src = src;
	m->text = EK_BUF_INIT(EK_MANIFEST_LINE_MAX + PIECE);
	m->strings = EK_BUF_INIT(EK_MANIFEST_LINE_MAX + PIECE + 2);
	m->last = EK_BUF_INIT(EK_MANIFEST_LINE_MAX + 1);
	/* So that there is memory to move within. */
	status = ek_buf_reserve(&m->text, 1, err);
	if (status == EK_OK)
		status = read_header(m, err);
	if (status != EK_OK) {
		ek_manifest_free(m);
		return status;
	}
	*mp = m;
	return EK_OK;
}

void ek_manifest_free(struct ek_manifest *m)
{
	if (!m)
		return;
	ek_buf_free(&m->text);
	ek_buf_free(&m->strings);
	ek_buf_free(&m->last);
	ek_vec_free(&m->xattrs);
	free(m);
}

ek_status ek_manifest_copy(struct ek_manifest *m, struct ek_manifest_sink *sink,
			   struct ek_err *err)
{
	struct ek_manifest_entry entry;
	bool more;

	for (;;) {
		EK_TRY(ek_manifest_next(m, &entry, &more, err));
		if (!more)
			return EK_OK;
		EK_TRY(sink->add(sink, &entry, err));
	}
}
