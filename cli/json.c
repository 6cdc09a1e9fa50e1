/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void cli_json_start(struct cli_json *j, FILE *out)
{
	*j = (struct cli_json){.out = out};
}

static void indent(struct cli_json *j)
{
	putc('\n', j->out);
	for (unsigned i = 0; i < j->depth; i++)
		fputs("  ", j->out);
}

/* Comma, indentation and key before a value. */
static void before(struct cli_json *j, const char *key)
{
	if (j->depth > 0) {
		if (j->filled & 1u << j->depth)
			putc(',', j->out);
		j->filled |= 1u << j->depth;
		indent(j);
	}
	if (key)
		fprintf(j->out, "\"%s\": ", key);
}

void cli_json_open(struct cli_json *j, const char *key, char bracket)
{
	/* Nesting is the program's own, never an input's. */
	if (j->depth >= CLI_JSON_DEPTH)
		abort();
	before(j, key);
	putc(bracket, j->out);
	j->depth++;
	j->filled &= ~(1u << j->depth);
	j->close[j->depth] = bracket == '{' ? '}' : ']';
}

void cli_json_close(struct cli_json *j)
{
	bool filled = j->filled & 1u << j->depth;
	char close = j->close[j->depth];

	j->depth--;
	if (filled)
		indent(j);
	putc(close, j->out);
	if (j->depth == 0)
		putc('\n', j->out);
}

/*
 * Length of the valid UTF-8 sequence at @p and its character; 0 when there is
 * none. Overlong forms, surrogates and numbers above U+10FFFF are not valid.
 */
static size_t utf8(const uint8_t *p, size_t n, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len;

	if (p[0] < 0x80) {
		*c = p[0];
		return 1;
	}
	len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
	if (len == 0 || len > n || p[0] > 0xf4)
		return 0;
	*c = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	if (*c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
		return 0;
	return len;
}

static void put_char(FILE *out, uint32_t c)
{
	if (c == '"' || c == '\\')
		fprintf(out, "\\%c", (char)c);
	else if (c == '\n')
		fputs("\\n", out);
	else if (c == '\t')
		fputs("\\t", out);
	else if (c >= 0x20 && c < 0x7f)
		putc((int)c, out);
	else if (c < 0x10000)
		fprintf(out, "\\u%04" PRIx32, c);
	else
		fprintf(out, "\\u%04" PRIx32 "\\u%04" PRIx32,
			0xd800 + ((c - 0x10000) >> 10),
			0xdc00 + ((c - 0x10000) & 0x3ff));
}

void cli_json_bytes(struct cli_json *j, const char *key, const void *bytes,
		    size_t n)
{
	const uint8_t *p = bytes;

	before(j, key);
	putc('"', j->out);
	for (size_t i = 0; i < n;) {
		uint32_t c;
		size_t len = utf8(p + i, n - i, &c);

		if (len == 0) {
			fprintf(j->out, "\\udc%02x", p[i]);
			i++;
			continue;
		}
		put_char(j->out, c);
		i += len;
	}
	putc('"', j->out);
}

void cli_json_text(struct cli_json *j, const char *key, const char *text)
{
	cli_json_bytes(j, key, text, strlen(text));
}

void cli_json_unsigned(struct cli_json *j, const char *key, uint64_t v)
{
	before(j, key);
	fprintf(j->out, "%" PRIu64, v);
}

void cli_json_signed(struct cli_json *j, const char *key, int64_t v)
{
	before(j, key);
	fprintf(j->out, "%" PRId64, v);
}

void cli_json_real(struct cli_json *j, const char *key, double v, int decimals)
{
	if (!isfinite(v)) {
		cli_json_null(j, key);
		return;
	}
	before(j, key);
	fprintf(j->out, "%.*f", decimals, v);
}

void cli_json_bool(struct cli_json *j, const char *key, bool v)
{
	before(j, key);
	fputs(v ? "true" : "false", j->out);
}

void cli_json_null(struct cli_json *j, const char *key)
{
	before(j, key);
	fputs("null", j->out);
}

void cli_json_hex(struct cli_json *j, const char *key, const uint8_t *bytes,
		  size_t n)
{
	before(j, key);
	putc('"', j->out);
	for (size_t i = 0; i < n; i++)
		fprintf(j->out, "%02x", bytes[i]);
	putc('"', j->out);
}

void cli_uuid_text(const uint8_t uuid[16], char text[37])
{
	static const char digits[] = "0123456789abcdef";
	char *p = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digits[uuid[i] >> 4];
		*p++ = digits[uuid[i] & 15];
	}
	*p = 0;
}

void cli_json_uuid(struct cli_json *j, const char *key, const uint8_t uuid[16])
{
	char text[37];

	cli_uuid_text(uuid, text);
	cli_json_text(j, key, text);
}
