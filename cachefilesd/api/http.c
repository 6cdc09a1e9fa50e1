/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/api/http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A line, without the CR LF at its end. */
struct line {
	const char *p;
	size_t n;
};

/* The line at *at; false when there is none that is whole. */
static bool next_line(const char *bytes, size_t n, size_t *at,
		      struct line *line)
{
	const char *from = bytes + *at;
	const char *end = memmem(from, n - *at, "\r\n", 2);

	if (!end)
		return false;
	line->p = from;
	line->n = (size_t)(end - from);
	*at += line->n + 2;
	return true;
}

static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Percent-decode [p, end) to *to, closed by a NUL; false when it is wrong or
 * has a NUL. It never grows.
 */
static bool decode(const char *p, const char *end, bool plus, char **to)
{
	char *out = *to;

	for (; p < end; p++) {
		char c = *p;

		if (c == '%') {
			int high, low;

			if (end - p < 3)
				return false;
			high = hex(p[1]);
			low = hex(p[2]);
			if (high < 0 || low < 0 || !(high | low))
				return false;
			c = (char)(high << 4 | low);
			p += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		*out++ = c;
	}
	*out++ = 0;
	*to = out;
	return true;
}

static bool put_params(struct ekd_http_request *r, const char *p,
		       const char *end, char **to)
{
	while (p < end) {
		const char *stop = memchr(p, '&', (size_t)(end - p));
		const char *is;
		struct ekd_http_param *param;

		stop = stop ? stop : end;
		is = memchr(p, '=', (size_t)(stop - p));
		if (r->n_params == EKD_HTTP_PARAMS)
			return false;
		param = &r->params[r->n_params++];
		param->name = *to;
		if (!decode(p, is ? is : stop, true, to))
			return false;
		param->value = *to;
		if (!decode(is ? is + 1 : stop, stop, true, to))
			return false;
		p = stop + (stop < end);
	}
	return true;
}

static enum ekd_http_method method_of(const char *p, size_t n)
{
	static const char *const names[] = {"GET", "PUT", "POST", "DELETE"};

	for (unsigned i = 0; i < 4; i++)
		if (strlen(names[i]) == n && memcmp(names[i], p, n) == 0)
			return (enum ekd_http_method)i;
	return EKD_HTTP_OTHER;
}

/* "GET /path?query HTTP/1.1"; the status of what is wrong, or 0. */
static unsigned request_line(struct ekd_http_request *r,
			     const struct line *line)
{
	const char *end = line->p + line->n, *target, *stop, *query;
	char *to = r->text;
	size_t n = 0;

	while (n < line->n && is_token(line->p[n]))
		n++;
	if (!n || n == line->n || line->p[n] != ' ')
		return 400;
	r->method = method_of(line->p, n);
	target = line->p + n + 1;
	stop = memchr(target, ' ', (size_t)(end - target));
	if (!stop || *target != '/')
		return 400;
	for (const char *p = target; p < stop; p++)
		if (*p < 0x21 || *p == 0x7f)
			return 400;
	/* One NUL more for each text than there are marks between them. */
	if ((size_t)(stop - target) + EKD_HTTP_PARAMS + 2 > sizeof(r->text))
		return 414;
	if (end - stop != 9 || memcmp(stop + 1, "HTTP/1.", 7) != 0)
		return end - stop > 5 && memcmp(stop + 1, "HTTP/", 5) == 0
			       ? 505
			       : 400;
	if (end[-1] != '0' && end[-1] != '1')
		return 505;
	r->keep_alive = end[-1] == '1';
	query = memchr(target, '?', (size_t)(stop - target));
	r->path = to;
	if (!decode(target, query ? query : stop, false, &to) ||
	    (query && !put_params(r, query + 1, stop, &to)))
		return 400;
	return 0;
}

static bool same(const struct line *a, const char *b)
{
	return a->n == strlen(b) && strncasecmp(a->p, b, a->n) == 0;
}

/* "Name: value"; false when it is none. */
static bool field(const struct line *line, struct line *name,
		  struct line *value)
{
	size_t n = 0;

	while (n < line->n && is_token(line->p[n]))
		n++;
	if (!n || n == line->n || line->p[n] != ':')
		return false;
	*name = (struct line){line->p, n};
	*value = (struct line){line->p + n + 1, line->n - n - 1};
	while (value->n && (*value->p == ' ' || *value->p == '\t')) {
		value->p++;
		value->n--;
	}
	while (value->n && (value->p[value->n - 1] == ' ' ||
			    value->p[value->n - 1] == '\t'))
		value->n--;
	for (size_t i = 0; i < value->n; i++)
		if ((unsigned char)value->p[i] < 0x20 && value->p[i] != '\t')
			return false;
	return true;
}

static bool length(const struct line *value, size_t *n)
{
	if (!value->n || value->n > 15)
		return false;
	*n = 0;
	for (size_t i = 0; i < value->n; i++) {
		if (value->p[i] < '0' || value->p[i] > '9')
			return false;
		*n = *n * 10 + (size_t)(value->p[i] - '0');
	}
	return true;
}

static unsigned request_field(struct ekd_http_request *r,
			      const struct line *line, bool *has_length)
{
	struct line name, value;
	size_t n;

	if (!field(line, &name, &value))
		return 400;
	if (same(&name, "Content-Length")) {
		if (!length(&value, &n) || (*has_length && n != r->body))
			return 400;
		*has_length = true;
		r->body = n;
	} else if (same(&name, "Transfer-Encoding")) {
		return 501;
	} else if (same(&name, "Connection")) {
		if (same(&value, "close"))
			r->keep_alive = false;
		else if (same(&value, "keep-alive"))
			r->keep_alive = true;
	} else if (same(&name, "Expect")) {
		r->expects_continue = same(&value, "100-continue");
	}
	return 0;
}

enum ekd_http_parsed ekd_http_parse(const char *bytes, size_t n,
				    struct ekd_http_request *request,
				    unsigned *status)
{
	bool has_length = false;
	struct line line;
	size_t at = 0;

	*status = 431;
	request->body = 0;
	request->n_params = 0;
	request->expects_continue = false;
	if (n > EKD_HTTP_HEAD_MAX)
		n = EKD_HTTP_HEAD_MAX;
	if (!memmem(bytes, n, "\r\n\r\n", 4))
		return n == EKD_HTTP_HEAD_MAX ? EKD_HTTP_WRONG : EKD_HTTP_MORE;
	if (!next_line(bytes, n, &at, &line))
		return EKD_HTTP_WRONG;
	*status = request_line(request, &line);
	while (!*status && next_line(bytes, n, &at, &line) && line.n)
		*status = request_field(request, &line, &has_length);
	if (!*status && request->body > EKD_HTTP_BODY_MAX)
		*status = 413;
	request->head = at;
	return *status ? EKD_HTTP_WRONG : EKD_HTTP_WHOLE;
}

const char *ekd_http_param(const struct ekd_http_request *request,
			   const char *name)
{
	for (uint32_t i = 0; i < request->n_params; i++)
		if (strcmp(request->params[i].name, name) == 0)
			return request->params[i].value;
	return NULL;
}

const char *ekd_http_words(unsigned status)
{
	static const struct {
		unsigned status;
		const char *words;
	} table[] = {
		{100, "Continue"},
		{200, "OK"},
		{204, "No Content"},
		{400, "Bad Request"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{422, "Unprocessable Content"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].status == status)
			return table[i].words;
	return "Unknown";
}

size_t ekd_http_answer(char *to, unsigned status, const char *type, size_t n,
		       bool keep_alive)
{
	int len = snprintf(to, EKD_HTTP_ANSWER,
			   "HTTP/1.1 %u %s\r\nServer: erofs-cachefilesd\r\n",
			   status, ekd_http_words(status));

	/* 204 may not even say that its body is empty. */
	if (status != 204)
		len += snprintf(to + len, EKD_HTTP_ANSWER - (size_t)len,
				"Content-Type: %.100s\r\n"
				"Content-Length: %zu\r\n",
				type, n);
	len += snprintf(to + len, EKD_HTTP_ANSWER - (size_t)len, "%s\r\n",
			keep_alive ? "" : "Connection: close\r\n");
	return (size_t)len;
}

unsigned ekd_http_status(ek_status status)
{
	switch (status) {
	case EK_OK:
		return 200;
	case EK_INVALID:
		return 400;
	case EK_NOTFOUND:
		return 404;
	case EK_EXISTS:
		return 409;
	case EK_CORRUPT:
	case EK_DIFFERS:
	case EK_LIMIT:
	case EK_UNSUPPORTED:
		return 422;
	case EK_CANCELLED:
		return 503;
	case EK_IO:
	case EK_NOMEM:
	case EK_CHANGED:
		break;
	}
	return 500;
}

enum ekd_http_parsed ekd_http_parse_answer(const char *bytes, size_t n,
					   unsigned *status, size_t *head,
					   size_t *body)
{
	struct line line, name, value;
	size_t at = 0;

	if (n > EKD_HTTP_HEAD_MAX)
		n = EKD_HTTP_HEAD_MAX;
	if (!memmem(bytes, n, "\r\n\r\n", 4))
		return n == EKD_HTTP_HEAD_MAX ? EKD_HTTP_WRONG : EKD_HTTP_MORE;
	if (!next_line(bytes, n, &at, &line) || line.n < 12 ||
	    memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[8] != ' ')
		return EKD_HTTP_WRONG;
	*status = 0;
	for (int i = 9; i < 12; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return EKD_HTTP_WRONG;
		*status = *status * 10 + (unsigned)(line.p[i] - '0');
	}
	*body = *status == 204 || *status / 100 == 1 ? 0 : SIZE_MAX;
	while (next_line(bytes, n, &at, &line) && line.n)
		if (!field(&line, &name, &value) ||
		    (same(&name, "Content-Length") && !length(&value, body)))
			return EKD_HTTP_WRONG;
	*head = at;
	return EKD_HTTP_WHOLE;
}
