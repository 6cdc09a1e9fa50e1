/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/manifest.h"

#include "base/try.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* Text that is handed on at once. */
#define PIECE (256u << 10)

struct writer {
	struct ek_manifest_sink base;
	ek_manifest_write_fn write;
	void *arg;
	struct ek_buf text;
	struct ek_buf last; /* path of the last entry, with its NUL */
};

static ek_status hand_on(struct writer *w, struct ek_err *err)
{
	size_t n = w->text.len;

	w->text.len = 0;
	return n ? w->write(w->arg, w->text.data, n, err) : EK_OK;
}

static ek_status put_text(struct writer *w, const char *text,
			  struct ek_err *err)
{
	return ek_buf_append(&w->text, text, strlen(text), err);
}

static ek_status put_escaped(struct writer *w, const char *text,
			     struct ek_err *err)
{
	return ek_manifest_escape(&w->text, text, strlen(text), err);
}

static ek_status put_contents(struct writer *w,
			      const struct ek_manifest_entry *e,
			      struct ek_err *err)
{
	struct ek_buf *t = &w->text;

	if (S_ISREG(e->mode)) {
		EK_TRY(ek_buf_printf(t, err,
				     " size=%" PRIu64 " sha256=", e->size));
		for (size_t i = 0; i < sizeof(e->sha256); i++)
			EK_TRY(ek_buf_printf(t, err, "%02x", e->sha256[i]));
	} else if (S_ISLNK(e->mode)) {
		EK_TRY(put_text(w, " target=", err));
		EK_TRY(put_escaped(w, e->target, err));
	} else if (S_ISCHR(e->mode) || S_ISBLK(e->mode)) {
		EK_TRY(ek_buf_printf(t, err, " device=%u:%u",
				     (unsigned)e->rdev_major,
				     (unsigned)e->rdev_minor));
	}
	return EK_OK;
}

static ek_status put_entry(struct writer *w, const struct ek_manifest_entry *e,
			   struct ek_err *err)
{
	struct ek_buf *t = &w->text;

	EK_TRY(put_escaped(w, e->path, err));
	if (e->link) {
		EK_TRY(put_text(w, " link=", err));
		return put_escaped(w, e->link, err);
	}
	EK_TRY(ek_buf_printf(
		t, err,
		" type=%c mode=%04o uid=%u gid=%u mtime=%" PRId64 ".%09u",
		ek_manifest_type(e->mode), (unsigned)(e->mode & 07777),
		(unsigned)e->uid, (unsigned)e->gid, e->mtime,
		(unsigned)e->mtime_nsec));
	EK_TRY(put_contents(w, e, err));
	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct ek_manifest_xattr *x = &e->xattrs[i];

		EK_TRY(put_text(w, " xattr:", err));
		EK_TRY(ek_manifest_escape(t, x->name, x->name_len, err));
		EK_TRY(put_text(w, "=", err));
		EK_TRY(ek_manifest_escape(t, x->value, x->value_len, err));
	}
	return EK_OK;
}

static ek_status add(struct ek_manifest_sink *sink,
		     const struct ek_manifest_entry *e, struct ek_err *err)
{
	struct writer *w = (struct writer *)sink;
	const char *last = w->last.len ? (const char *)w->last.data : NULL;
	size_t start = w->text.len;
	ek_status status;

	EK_TRY(ek_manifest_check(e, last, err));
	status = put_entry(w, e, err);
	if (status == EK_OK)
		status = put_text(w, "\n", err);
	if (status == EK_OK && w->text.len - start > EK_MANIFEST_LINE_MAX)
		status = ek_fail(err, EK_LIMIT, "a line of %zu bytes",
				 w->text.len - start);
	if (status != EK_OK) {
		w->text.len = start;
		ek_err_prefix(err, "manifest: %s", e->path);
		return status;
	}
	w->last.len = 0;
	EK_TRY(ek_buf_append(&w->last, e->path, strlen(e->path) + 1, err));
	return w->text.len < PIECE ? EK_OK : hand_on(w, err);
}

ek_status ek_manifest_writer_new(ek_manifest_write_fn write, void *arg,
				 struct ek_manifest_sink **sink,
				 struct ek_err *err)
{
	struct writer *w = calloc(1, sizeof(*w));
	ek_status status;

	*sink = NULL;
	if (!w)
		return ek_fail(err, EK_NOMEM, "no memory for a manifest");
	w->base.add = add;
	w->write = write;
	w->arg = arg;
	w->text = EK_BUF_INIT(PIECE + EK_MANIFEST_LINE_MAX + 1024);
	w->last = EK_BUF_INIT(EK_MANIFEST_LINE_MAX);
	status = put_text(w, EK_MANIFEST_HEADER EK_MANIFEST_VERSION "\n", err);
	if (status != EK_OK) {
		ek_manifest_writer_free(&w->base);
		return status;
	}
	*sink = &w->base;
	return EK_OK;
}

ek_status ek_manifest_writer_finish(struct ek_manifest_sink *writer,
				    struct ek_err *err)
{
	return hand_on((struct writer *)writer, err);
}

void ek_manifest_writer_free(struct ek_manifest_sink *writer)
{
	struct writer *w = (struct writer *)writer;

	if (!w)
		return;
	ek_buf_free(&w->text);
	ek_buf_free(&w->last);
	free(w);
}
