/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

/*
 * A JSON writer. Text is ASCII: characters beyond are written \uXXXX (pairs of
 * surrogates above U+FFFF). A byte XX that is not part of valid UTF-8 is
 * written as the lone surrogate \udcXX, so every name of a file survives;
 * Python's json gives its bytes back with s.encode("utf-8", "surrogateescape").
 *
 *	cli_json_start(&j, stdout);
 *	cli_json_open(&j, NULL, '{');
 *	cli_json_text(&j, "name", "x");
 *	cli_json_open(&j, "list", '[');
 *	cli_json_unsigned(&j, NULL, 1);
 *	cli_json_close(&j);
 *	cli_json_close(&j);	(a newline follows the outermost one)
 *
 * Keys are plain ASCII; NULL inside arrays and for the outermost value. Write
 * errors stay in the FILE: see cli_finish().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_JSON_DEPTH 31

struct cli_json {
	FILE *out;
	unsigned depth;
	uint32_t filled;		/* bit: this level has a value */
	char close[CLI_JSON_DEPTH + 1]; /* what ends each level */
};

void cli_json_start(struct cli_json *j, FILE *out);
/* @bracket is '{' or '['. */
void cli_json_open(struct cli_json *j, const char *key, char bracket);
void cli_json_close(struct cli_json *j);

void cli_json_text(struct cli_json *j, const char *key, const char *text);
void cli_json_bytes(struct cli_json *j, const char *key, const void *bytes,
		    size_t n);
void cli_json_unsigned(struct cli_json *j, const char *key, uint64_t v);
void cli_json_signed(struct cli_json *j, const char *key, int64_t v);
/* @decimals digits after the point; not-a-number and infinities: null. */
void cli_json_real(struct cli_json *j, const char *key, double v, int decimals);
void cli_json_bool(struct cli_json *j, const char *key, bool v);
void cli_json_null(struct cli_json *j, const char *key);
/* Lower-case hexadecimal text of @n bytes. */
void cli_json_hex(struct cli_json *j, const char *key, const uint8_t *bytes,
		  size_t n);
/* As 8-4-4-4-12 of 16 bytes. */
void cli_json_uuid(struct cli_json *j, const char *key, const uint8_t uuid[16]);

/* The 36 characters of @uuid and a NUL. */
void cli_uuid_text(const uint8_t uuid[16], char text[37]);

#endif
