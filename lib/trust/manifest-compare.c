/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/manifest.h"

#include "base/try.h"

#include <erofskit/trust.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Bytes of a name or target that a difference shows. */
#define SHOWN 200
#define WORDS 1024

struct comparison {
	struct ek_manifest_sink base;
	struct ek_manifest *expected;
	ek_manifest_diff_fn fn;
	void *arg;
	struct ek_manifest_entry want; /* next of expected, when there is one */
	bool have_want;
	struct ek_buf last; /* path of the last entry, with its NUL */
	uint64_t differences;
};

/* One difference on its way: words are made in place. */
struct report {
	struct comparison *c;
	const char *path;
	struct ek_err *err;
};

static ek_status tell(const struct report *r, enum ek_manifest_diff diff,
		      const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static ek_status tell(const struct report *r, enum ek_manifest_diff diff,
		      const char *fmt, ...)
{
	char words[WORDS];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	r->c->differences++;
	return r->c->fn(r->c->arg, r->path, diff, words, r->err);
}

/* @text as it stands in a manifest, cut to what a line can show. */
static const char *show(const char *text, size_t n, char to[SHOWN * 3 + 4])
{
	struct ek_buf buf = EK_BUF_INIT(SHOWN * 3 + 4);
	bool cut = n > SHOWN;
	ek_status status =
		ek_manifest_escape(&buf, text, cut ? SHOWN : n, NULL);

	if (status == EK_OK && cut)
		status = ek_buf_append(&buf, "...", 3, NULL);
	if (status == EK_OK && buf.len)
		memcpy(to, buf.data, buf.len);
	to[status == EK_OK ? buf.len : 0] = 0;
	ek_buf_free(&buf);
	return to;
}

static ek_status next_expected(struct comparison *c, struct ek_err *err)
{
	return ek_manifest_next(c->expected, &c->want, &c->have_want, err);
}

static ek_status compare_number(const struct report *r, const char *what,
				uint64_t got, uint64_t want)
{
	if (got == want)
		return EK_OK;
	return tell(r, EK_DIFF_CHANGED, "%s is %" PRIu64 ", expected %" PRIu64,
		    what, got, want);
}

static ek_status compare_common(const struct report *r,
				const struct ek_manifest_entry *got,
				const struct ek_manifest_entry *want)
{
	unsigned a = got->mode & 07777, b = want->mode & 07777;

	if (a != b)
		EK_TRY(tell(r, EK_DIFF_CHANGED, "mode is %04o, expected %04o",
			    a, b));
	EK_TRY(compare_number(r, "uid", got->uid, want->uid));
	EK_TRY(compare_number(r, "gid", got->gid, want->gid));
	if (got->mtime != want->mtime || got->mtime_nsec != want->mtime_nsec)
		EK_TRY(tell(r, EK_DIFF_CHANGED,
			    "mtime is %" PRId64 ".%09u, expected %" PRId64
			    ".%09u",
			    got->mtime, (unsigned)got->mtime_nsec, want->mtime,
			    (unsigned)want->mtime_nsec));
	return EK_OK;
}

static ek_status compare_contents(const struct report *r,
				  const struct ek_manifest_entry *got,
				  const struct ek_manifest_entry *want)
{
	char a[SHOWN * 3 + 4], b[SHOWN * 3 + 4];

	if (S_ISREG(got->mode)) {
		EK_TRY(compare_number(r, "size", got->size, want->size));
		if (memcmp(got->sha256, want->sha256, sizeof(got->sha256))) {
			ek_digest_hex(got->sha256, a);
			ek_digest_hex(want->sha256, b);
			return tell(r, EK_DIFF_CHANGED,
				    "sha256 is %s, expected %s", a, b);
		}
	} else if (S_ISLNK(got->mode)) {
		if (strcmp(got->target, want->target))
			return tell(
				r, EK_DIFF_CHANGED, "target is %s, expected %s",
				show(got->target, strlen(got->target), a),
				show(want->target, strlen(want->target), b));
	} else if (S_ISCHR(got->mode) || S_ISBLK(got->mode)) {
		if (got->rdev_major != want->rdev_major ||
		    got->rdev_minor != want->rdev_minor)
			return tell(r, EK_DIFF_CHANGED,
				    "device is %u:%u, expected %u:%u",
				    (unsigned)got->rdev_major,
				    (unsigned)got->rdev_minor,
				    (unsigned)want->rdev_major,
				    (unsigned)want->rdev_minor);
	}
	return EK_OK;
}

static ek_status compare_xattrs(const struct report *r,
				const struct ek_manifest_entry *got,
				const struct ek_manifest_entry *want)
{
	size_t i = 0, k = 0;

	while (i < got->n_xattrs || k < want->n_xattrs) {
		const struct ek_manifest_xattr *a = &got->xattrs[i];
		const struct ek_manifest_xattr *b = &want->xattrs[k];
		char name[SHOWN * 3 + 4];
		int order;

		order = i == got->n_xattrs    ? 1
			: k == want->n_xattrs ? -1
					      : ek_manifest_xattr_order(a, b);
		if (order < 0)
			EK_TRY(tell(r, EK_DIFF_CHANGED,
				    "xattr %s is there, not expected",
				    show(a->name, a->name_len, name)));
		else if (order > 0)
			EK_TRY(tell(r, EK_DIFF_CHANGED, "xattr %s is missing",
				    show(b->name, b->name_len, name)));
		else if (a->value_len != b->value_len)
			EK_TRY(tell(r, EK_DIFF_CHANGED,
				    "xattr %s has %zu bytes, expected %zu",
				    show(a->name, a->name_len, name),
				    a->value_len, b->value_len));
		else if (a->value_len &&
			 memcmp(a->value, b->value, a->value_len))
			EK_TRY(tell(r, EK_DIFF_CHANGED,
				    "xattr %s has another value",
				    show(a->name, a->name_len, name)));
		i += order <= 0;
		k += order >= 0;
	}
	return EK_OK;
}

static ek_status compare_links(const struct report *r, const char *got,
			       const char *want)
{
	char a[SHOWN * 3 + 4], b[SHOWN * 3 + 4];

	if (!got)
		return tell(r, EK_DIFF_CHANGED,
			    "is a file of its own, expected a hard link of %s",
			    show(want, strlen(want), b));
	show(got, strlen(got), a);
	if (!want)
		return tell(r, EK_DIFF_CHANGED,
			    "is a hard link of %s, expected a file of its own",
			    a);
	return tell(r, EK_DIFF_CHANGED,
		    "is a hard link of %s, expected one of %s", a,
		    show(want, strlen(want), b));
}

static ek_status compare_entry(const struct report *r,
			       const struct ek_manifest_entry *got,
			       const struct ek_manifest_entry *want)
{
	if (got->link || want->link) {
		if (got->link && want->link && !strcmp(got->link, want->link))
			return EK_OK;
		return compare_links(r, got->link, want->link);
	}
	if ((got->mode ^ want->mode) & S_IFMT)
		EK_TRY(tell(r, EK_DIFF_CHANGED, "type is %c, expected %c",
			    ek_manifest_type(got->mode),
			    ek_manifest_type(want->mode)));
	EK_TRY(compare_common(r, got, want));
	/* Contents of different types have nothing to compare. */
	if (!((got->mode ^ want->mode) & S_IFMT))
		EK_TRY(compare_contents(r, got, want));
	return compare_xattrs(r, got, want);
}

static ek_status tell_missing(struct comparison *c, struct ek_err *err)
{
	struct report r = {c, c->want.path, err};

	EK_TRY(tell(&r, EK_DIFF_MISSING, "is missing"));
	return next_expected(c, err);
}

static ek_status add(struct ek_manifest_sink *sink,
		     const struct ek_manifest_entry *entry, struct ek_err *err)
{
	struct comparison *c = (struct comparison *)sink;
	const char *last = c->last.len ? (const char *)c->last.data : NULL;
	struct report r = {c, entry->path, err};
	int order = 1;

	EK_TRY(ek_manifest_check(entry, last, err));
	c->last.len = 0;
	EK_TRY(ek_buf_append(&c->last, entry->path, strlen(entry->path) + 1,
			     err));
	while (c->have_want &&
	       (order = ek_manifest_order(c->want.path, entry->path)) < 0)
		EK_TRY(tell_missing(c, err));
	if (!c->have_want || order > 0)
		return tell(&r, EK_DIFF_UNEXPECTED, "is not expected");
	EK_TRY(compare_entry(&r, entry, &c->want));
	return next_expected(c, err);
}

ek_status ek_manifest_comparison_new(struct ek_manifest *expected,
				     ek_manifest_diff_fn fn, void *arg,
				     struct ek_manifest_sink **sink,
				     struct ek_err *err)
{
	struct comparison *c = calloc(1, sizeof(*c));
	ek_status status;

	*sink = NULL;
	if (!c)
		return ek_fail(err, EK_NOMEM, "no memory for a comparison");
	c->base.add = add;
	c->expected = expected;
	c->fn = fn;
	c->arg = arg;
	c->last = EK_BUF_INIT(EK_MANIFEST_LINE_MAX);
	status = next_expected(c, err);
	if (status != EK_OK) {
		ek_manifest_comparison_free(&c->base);
		return status;
	}
	*sink = &c->base;
	return EK_OK;
}

ek_status ek_manifest_comparison_finish(struct ek_manifest_sink *comparison,
					uint64_t *differences,
					struct ek_err *err)
{
	struct comparison *c = (struct comparison *)comparison;

	while (c->have_want)
		EK_TRY(tell_missing(c, err));
	*differences = c->differences;
	return EK_OK;
}

void ek_manifest_comparison_free(struct ek_manifest_sink *comparison)
{
	struct comparison *c = (struct comparison *)comparison;

	if (!c)
		return;
	ek_buf_free(&c->last);
	free(c);
}
