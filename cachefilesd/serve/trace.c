/* SPDX-License-Identifier: Apache-2.0 */

/* Traces as text: read with every rule of trace.h checked, and written. */

#include "cachefilesd/serve/trace.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_LINE "erofskit trace 1"
/* No line is longer: "blob ", a name, a number; or three numbers. */
#define LINE_MAX_BYTES 192

struct parser {
	const char *p, *end;
	char line[LINE_MAX_BYTES];
	unsigned long number; /* of the line, from 1 */
	struct ekd_trace_file *file;
	size_t room_blobs, room_ranges;
	struct ek_err *err;
};

static ek_status bad(struct parser *a, const char *why)
{
	return ek_fail(a->err, EK_CORRUPT, "trace, line %lu: %s", a->number,
		       why);
}

static ek_status next_line(struct parser *a)
{
	size_t left = (size_t)(a->end - a->p);
	const char *nl = memchr(a->p, '\n', left);
	size_t n;

	a->number++;
	if (!nl)
		return bad(a, left ? "does not end" : "missing");
	n = (size_t)(nl - a->p);
	if (n >= sizeof(a->line))
		return bad(a, "too long");
	if (memchr(a->p, '\0', n))
		return bad(a, "holds a NUL");
	memcpy(a->line, a->p, n);
	a->line[n] = '\0';
	a->p = nl + 1;
	return EK_OK;
}

/* A number at *p, which is moved behind it. */
static bool number(const char **p, uint64_t *v)
{
	const char *s = *p;
	uint64_t n = 0;

	if (*s < '0' || *s > '9' || (s[0] == '0' && s[1] >= '0' && s[1] <= '9'))
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*p = s;
	*v = n;
	return true;
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static ek_status parse_blob(struct parser *a)
{
	struct ekd_trace_file *f = a->file;
	const char *p = a->line + strlen("blob ");
	struct ekd_trace_blob b = {.size = 0};
	size_t n = 0;

	while (name_char(p[n]))
		n++;
	if (!n || n >= sizeof(b.name) || p[0] == '.' || p[n] != ' ')
		return bad(a, "no name of a blob");
	memcpy(b.name, p, n);
	p += n + 1;
	if (!number(&p, &b.size) || *p)
		return bad(a, "no size of a blob");
	for (uint32_t i = 0; i < f->n_blobs; i++)
		if (strcmp(f->blobs[i].name, b.name) == 0)
			return bad(a, "a blob for the second time");
	if (f->n_blobs == EKD_TRACE_BLOBS)
		return bad(a, "too many blobs");
	if (f->n_blobs == a->room_blobs) {
		size_t room = a->room_blobs ? 2 * a->room_blobs : 8;
		void *more = realloc(f->blobs, room * sizeof(*f->blobs));

		if (!more)
			return ek_fail(a->err, EK_NOMEM,
				       "no memory for a trace");
		f->blobs = more;
		a->room_blobs = room;
	}
	f->blobs[f->n_blobs++] = b;
	return EK_OK;
}

static ek_status parse_range(struct parser *a)
{
	struct ekd_trace_file *f = a->file;
	struct ekd_trace_range r;
	const char *p = a->line;
	uint64_t blob;

	if (!number(&p, &blob) || *p++ != ' ' || !number(&p, &r.offset) ||
	    *p++ != ' ' || !number(&p, &r.n) || *p)
		return bad(a, "not three numbers");
	if (blob >= f->n_blobs)
		return bad(a, "no such blob");
	if (!r.n || r.offset > f->blobs[blob].size ||
	    r.n > f->blobs[blob].size - r.offset)
		return bad(a, "a range that is not inside its blob");
	r.blob = (uint32_t)blob;
	if (f->n_ranges == EKD_TRACE_RANGES)
		return bad(a, "too many ranges");
	if (f->n_ranges == a->room_ranges) {
		size_t room = a->room_ranges ? 2 * a->room_ranges : 256;
		void *more = realloc(f->ranges, room * sizeof(*f->ranges));

		if (!more)
			return ek_fail(a->err, EK_NOMEM,
				       "no memory for a trace");
		f->ranges = more;
		a->room_ranges = room;
	}
	f->ranges[f->n_ranges++] = r;
	return EK_OK;
}

static ek_status parse_end(struct parser *a)
{
	const char *p = a->line + strlen("end ");
	uint64_t n;

	if (!number(&p, &n) || *p || n != a->file->n_ranges)
		return bad(a, "not the count of ranges");
	if (a->p != a->end)
		return bad(a, "something follows it");
	return EK_OK;
}

static ek_status parse(struct parser *a)
{
	ek_status status = next_line(a);
	bool ranges = false;

	if (status == EK_OK && strcmp(a->line, FIRST_LINE) != 0)
		status = bad(a, "not \"" FIRST_LINE "\"");
	while (status == EK_OK) {
		status = next_line(a);
		if (status != EK_OK)
			break;
		if (strncmp(a->line, "end ", 4) == 0)
			return parse_end(a);
		if (strncmp(a->line, "blob ", 5) == 0) {
			status = ranges ? bad(a, "a blob after ranges")
					: parse_blob(a);
		} else {
			ranges = true;
			status = parse_range(a);
		}
	}
	return status;
}

ek_status ekd_trace_parse(const char *text, size_t n,
			  struct ekd_trace_file *file, struct ek_err *err)
{
	struct parser a = {
		.p = text, .end = text + n, .file = file, .err = err};
	ek_status status;

	memset(file, 0, sizeof(*file));
	if (n > EKD_TRACE_MAX)
		return ek_fail(err, EK_LIMIT, "a trace of more than %u bytes",
			       EKD_TRACE_MAX);
	status = parse(&a);
	if (status != EK_OK)
		ekd_trace_forget(file);
	return status;
}

void ekd_trace_forget(struct ekd_trace_file *file)
{
	free(file->blobs);
	free(file->ranges);
	memset(file, 0, sizeof(*file));
}

struct printer {
	char *text;
	size_t n, room;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void print(struct printer *o,
							const char *fmt, ...)
{
	va_list ap;

	if (o->failed)
		return;
	if (o->room - o->n < LINE_MAX_BYTES) {
		size_t room = 2 * o->room + LINE_MAX_BYTES;
		char *more = realloc(o->text, room);

		if (!more) {
			o->failed = true;
			return;
		}
		o->text = more;
		o->room = room;
	}
	va_start(ap, fmt);
	o->n += (size_t)vsnprintf(o->text + o->n, LINE_MAX_BYTES, fmt, ap);
	va_end(ap);
}

ek_status ekd_trace_print(const struct ekd_trace_file *f, char **text,
			  size_t *n, struct ek_err *err)
{
	struct printer o = {.text = NULL};

	print(&o, FIRST_LINE "\n");
	for (uint32_t i = 0; i < f->n_blobs; i++)
		print(&o, "blob %s %llu\n", f->blobs[i].name,
		      (unsigned long long)f->blobs[i].size);
	for (uint32_t i = 0; i < f->n_ranges; i++)
		print(&o, "%u %llu %llu\n", f->ranges[i].blob,
		      (unsigned long long)f->ranges[i].offset,
		      (unsigned long long)f->ranges[i].n);
	print(&o, "end %u\n", f->n_ranges);
	if (o.failed) {
		free(o.text);
		return ek_fail(err, EK_NOMEM, "no memory for a trace");
	}
	*text = o.text;
	*n = o.n;
	return EK_OK;
}
