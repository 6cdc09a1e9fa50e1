/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/message.h"

#include <stdarg.h>
#include <stdio.h>

static char letter(enum cli_level level)
{
	switch (level) {
	case CLI_ERROR:
		return 'E';
	case CLI_WARNING:
		return 'W';
	case CLI_INFO:
		return 'I';
	case CLI_DEBUG:
		break;
	}
	return 'D';
}

static void show(enum cli_level level, const char *fmt, va_list ap)
{
	char text[EK_ERR_TEXT + 256];

	vsnprintf(text, sizeof(text), fmt, ap);
	/* Locked, so that lines of several threads do not mix. */
	flockfile(stderr);
	fprintf(stderr, "<%c> erofs: ", letter(level));
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f)
			fprintf(stderr, "\\x%02x", c);
		else
			putc_unlocked(c, stderr);
	}
	putc_unlocked('\n', stderr);
	funlockfile(stderr);
}

void cli_message(int shown, enum cli_level level, const char *fmt, ...)
{
	va_list ap;

	if ((int)level > shown)
		return;
	va_start(ap, fmt);
	show(level, fmt, ap);
	va_end(ap);
}

void cli_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	show(CLI_ERROR, fmt, ap);
	va_end(ap);
}
