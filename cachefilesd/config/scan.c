/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/config/scan.h"

#include "cachefilesd/config/json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct level {
	bool array;
	unsigned index;	 /* of the element */
	size_t path_end; /* of the object's own path */
	/* Keys so far, as they are written. */
	unsigned n;
	const char *key[EKD_JSON_KEYS];
	size_t length[EKD_JSON_KEYS];
};

struct scan {
	const char *p, *end;
	unsigned line;
	unsigned depth; /* levels in use */
	struct level levels[EKD_JSON_DEPTH + 2];
	char path[256];
};

/* A text from behind its opening quote: its length; p is then behind it. */
static size_t text_length(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p != '"') {
		if (*s->p == '\\' && s->p + 1 < s->end)
			s->p++;
		s->line += *s->p == '\n';
		s->p++;
	}
	if (s->p < s->end)
		s->p++;
	return (size_t)(s->p - from) - (s->p > from && s->p[-1] == '"');
}

static bool is_key(const struct scan *s)
{
	const char *p = s->p;

	while (p < s->end && strchr(" \t\r\n", *p))
		p++;
	return p < s->end && *p == ':';
}

/* The path of member @key of the innermost object. */
static void put_path(struct scan *s, const char *key, size_t n)
{
	const struct level *at = &s->levels[s->depth - 1];
	size_t end = at->path_end;

	if (n > 100 || end > 100)
		n = 0;
	snprintf(s->path + end, sizeof(s->path) - end, "%s%.*s", end ? "." : "",
		 (int)n, key);
}

static void enter(struct scan *s, bool array)
{
	struct level *up = s->depth ? &s->levels[s->depth - 1] : NULL;
	struct level *at;

	if (s->depth == EKD_JSON_DEPTH + 2)
		return;
	at = &s->levels[s->depth++];
	at->array = array;
	at->index = 0;
	at->n = 0;
	if (!up) {
		*s->path = 0;
	} else if (up->array) {
		if (up->path_end > 100)
			up->path_end = 0;
		snprintf(s->path + up->path_end, sizeof(s->path) - up->path_end,
			 "[%u]", up->index);
	}
	at->path_end = strlen(s->path);
}

/* Whether the key was there before. */
static bool add_key(struct level *at, const char *key, size_t n)
{
	for (unsigned i = 0; i < at->n; i++)
		if (at->length[i] == n && memcmp(at->key[i], key, n) == 0)
			return true;
	if (at->n < EKD_JSON_KEYS) {
		at->key[at->n] = key;
		at->length[at->n++] = n;
	}
	return false;
}

/*
 * Go on to the next key, whose path is then in s->path and whose line is
 * s->line. *twice: the object has had it. False at the end.
 */
static bool next_key(struct scan *s, bool *twice)
{
	while (s->p < s->end) {
		char c = *s->p++;
		const char *from = s->p;
		unsigned line = s->line;
		size_t n;

		s->line += c == '\n';
		if (c == '{' || c == '[') {
			enter(s, c == '[');
		} else if ((c == '}' || c == ']') && s->depth) {
			s->depth--;
		} else if (c == ',' && s->depth) {
			s->levels[s->depth - 1].index++;
		} else if (c == '"') {
			n = text_length(s);
			if (!s->depth || s->levels[s->depth - 1].array ||
			    !is_key(s))
				continue;
			s->line = line;
			put_path(s, from, n);
			*twice = add_key(&s->levels[s->depth - 1], from, n);
			return true;
		}
	}
	return false;
}

static void start(struct scan *s, const char *text, size_t n)
{
	s->p = text;
	s->end = text + n;
	s->line = 1;
	s->depth = 0;
	*s->path = 0;
}

unsigned ekd_scan_line(const char *text, size_t n, const char *path)
{
	struct scan s;
	bool twice;

	start(&s, text, n);
	while (next_key(&s, &twice))
		if (strcmp(s.path, path) == 0)
			return s.line;
	return 0;
}

unsigned ekd_scan_twice(const char *text, size_t n, char path[128])
{
	struct scan s;
	bool twice;

	start(&s, text, n);
	while (next_key(&s, &twice)) {
		if (!twice)
			continue;
		snprintf(path, 128, "%.127s", s.path);
		return s.line;
	}
	return 0;
}

unsigned ekd_scan_quote(const char *text, size_t n)
{
	struct scan s;

	start(&s, text, n);
	while (s.p < s.end) {
		char c = *s.p++;

		s.line += c == '\n';
		if (c == '\'')
			return s.line;
		if (c == '"')
			text_length(&s);
	}
	return 0;
}
