/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/status.h>

#include "base/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * Names in the text come from hostile images: no control character may reach
 * a terminal or break the line.
 */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void fill(struct ek_err *err, ek_status status, int sys, const char *fmt,
		 va_list ap)
{
	size_t n;

	if (!err)
		return;
	err->status = status;
	err->sys = sys;
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	one_line(err->text);
	if (!sys)
		return;
	n = strlen(err->text);
	if (n + 2 < sizeof(err->text)) {
		char words[128];
		const char *w = strerror_r(sys, words, sizeof(words));

		snprintf(err->text + n, sizeof(err->text) - n, ": %s", w);
	}
}

ek_status ek_fail(struct ek_err *err, ek_status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(err, status, 0, fmt, ap);
	va_end(ap);
	return status;
}

ek_status ek_fail_sys(struct ek_err *err, int sys, const char *fmt, ...)
{
	ek_status status = sys == ENOMEM   ? EK_NOMEM
			   : sys == ENOENT ? EK_NOTFOUND
			   : sys == EEXIST ? EK_EXISTS
					   : EK_IO;
	va_list ap;

	va_start(ap, fmt);
	fill(err, status, sys, fmt, ap);
	va_end(ap);
	return status;
}

ek_status ek_err_prefix(struct ek_err *err, const char *fmt, ...)
{
	char old[EK_ERR_TEXT];
	va_list ap;
	size_t n;

	if (!err)
		return EK_INVALID;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	one_line(err->text);
	n = strlen(err->text);
	snprintf(err->text + n, sizeof(err->text) - n, ": %s", old);
	return err->status;
}

const char *ek_status_name(ek_status status)
{
	static const char *const names[] = {
		"ok",	     "io",	  "corrupt",   "unsupported",
		"invalid",   "no-memory", "not-found", "limit",
		"cancelled", "changed",	  "exists",    "differs",
	};
	unsigned i = (unsigned)-status;

	return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}

bool ek_all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	return n == 0 || (b[0] == 0 && memcmp(b, b + 1, n - 1) == 0);
}
