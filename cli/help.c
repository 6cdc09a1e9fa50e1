/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "cli/builtin.h"

#include <ctype.h>
#include <string.h>

/* Columns of --help. */
#define WIDTH  79
#define COLUMN 28

void cli_version(const struct cli_program *program, FILE *out)
{
	/* Callers parse the first line: it must keep the peer's form. */
	fprintf(out, "%s (erofs-utils) %s\n", program->name, CLI_PEER_VERSION);
	fprintf(out,
		"erofskit %s, command line compatible with erofs-utils %s\n",
		PACKAGE_VERSION, CLI_PEER_VERSION);
	if (program->version)
		program->version(out);
}

/* Words of @text from column @at on, later lines indented by @left. */
static void wrap(FILE *out, const char *text, size_t at, size_t left)
{
	int fresh = 1;

	while (*text) {
		size_t n = strcspn(text, " \n");

		if (!fresh && at + 1 + n > WIDTH) {
			fprintf(out, "\n%*s", (int)left, "");
			at = left;
			fresh = 1;
		}
		if (!fresh) {
			putc(' ', out);
			at++;
		}
		fwrite(text, 1, n, out);
		at += n;
		fresh = 0;
		text += n + strspn(text + n, " \n");
	}
	putc('\n', out);
}

/* Next paragraph of @text, its length in *n; NULL at the end. */
static const char *paragraph(const char *text, size_t *n)
{
	const char *end;

	text += strspn(text, "\n");
	if (!*text)
		return NULL;
	end = strstr(text, "\n\n");
	*n = end ? (size_t)(end - text) : strlen(text);
	return text;
}

/* "-x, --name=VALUE" and the like, without mark-up; its length. */
static size_t spell(const struct cli_option *o, char *to, size_t size)
{
	const char *value = o->value ? o->value : "VALUE";
	char letter[96] = "", name[96] = "";

	if (o->letter && (o->name || o->arg == CLI_NONE))
		snprintf(letter, sizeof(letter), "-%c", o->letter);
	else if (o->letter)
		snprintf(letter, sizeof(letter),
			 o->arg == CLI_OPTIONAL ? "-%c[%s]" : "-%c%s",
			 o->letter, value);
	if (o->name && o->arg == CLI_NONE)
		snprintf(name, sizeof(name), "--%s", o->name);
	else if (o->name)
		snprintf(name, sizeof(name),
			 o->arg == CLI_OPTIONAL ? "--%s[=%s]" : "--%s=%s",
			 o->name, value);
	snprintf(to, size, "%s%s%s", letter,
		 o->letter && o->name ? ", " : (o->letter ? "" : "    "), name);
	return strlen(to);
}

static void help_option(FILE *out, const struct cli_option *o)
{
	char left[256], text[1024];
	size_t n = spell(o, left, sizeof(left));

	fprintf(out, "  %s", left);
	if (n + 4 > COLUMN)
		fprintf(out, "\n%*s", COLUMN, "");
	else
		fprintf(out, "%*s", (int)(COLUMN - 2 - n), "");
	snprintf(text, sizeof(text), o->def ? "%s (default: %s)" : "%s",
		 o->meaning, o->def);
	wrap(out, text, COLUMN, COLUMN);
}

void cli_help(const struct cli_program *program, FILE *out)
{
	const char *line = program->synopsis, *lead = "Usage: ";
	size_t n;

	while (*line) {
		n = strcspn(line, "\n");
		fprintf(out, "%s%s %.*s\n", lead, program->name, (int)n, line);
		line += n + (line[n] == '\n');
		lead = "       ";
	}
	fprintf(out, "\n%c%s.\n", toupper((unsigned char)program->purpose[0]),
		program->purpose + 1);
	for (size_t i = 0; i < program->n_options + CLI_BUILTINS; i++) {
		const struct cli_option *o = cli_option_at(program, i);

		if (o->refused)
			continue;
		if (o->group)
			fprintf(out, "\n%s:\n", o->group);
		help_option(out, o);
	}
}

/* Text for roff: no escapes, no requests, real hyphens. */
static void roff(FILE *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if ((i == 0 || text[i - 1] == '\n') && (c == '.' || c == '\''))
			fputs("\\&", out);
		if (c == '\\')
			fputs("\\e", out);
		else if (c == '-')
			fputs("\\-", out);
		else
			putc(c, out);
	}
}

static void roff_text(FILE *out, const char *text)
{
	roff(out, text, strlen(text));
}

static void roff_paragraphs(FILE *out, const char *text)
{
	size_t n;

	for (int first = 1; (text = paragraph(text, &n)); first = 0) {
		if (!first)
			fputs(".PP\n", out);
		roff(out, text, n);
		putc('\n', out);
		text += n;
	}
}

static void man_synopsis(const struct cli_program *program, FILE *out)
{
	const char *line = program->synopsis;

	fputs(".SH SYNOPSIS\n", out);
	while (*line) {
		size_t n = strcspn(line, "\n");

		fputs(".B ", out);
		roff_text(out, program->name);
		fputs("\n", out);
		roff(out, line, n);
		putc('\n', out);
		line += n + (line[n] == '\n');
		if (*line)
			fputs(".br\n", out);
	}
}

static void man_option(FILE *out, const struct cli_option *o)
{
	const char *value = o->value ? o->value : "VALUE";
	const char *open = o->arg == CLI_OPTIONAL ? "[" : "";
	const char *close = o->arg == CLI_OPTIONAL ? "]" : "";

	fputs(".TP\n", out);
	if (o->letter) {
		fprintf(out, "\\fB\\-%c\\fR", o->letter);
		if (!o->name && o->arg != CLI_NONE) {
			fprintf(out, "%s\\fI", open);
			roff_text(out, value);
			fprintf(out, "\\fR%s", close);
		}
	}
	if (o->name) {
		fputs(o->letter ? ", \\fB\\-\\-" : "\\fB\\-\\-", out);
		roff_text(out, o->name);
		fputs("\\fR", out);
		if (o->arg != CLI_NONE) {
			fprintf(out, "%s=\\fI", open);
			roff_text(out, value);
			fprintf(out, "\\fR%s", close);
		}
	}
	putc('\n', out);
	if (isalpha((unsigned char)o->meaning[0])) {
		putc(toupper((unsigned char)o->meaning[0]), out);
		roff_text(out, o->meaning + 1);
	} else {
		roff_text(out, o->meaning);
	}
	fputs(".\n", out);
	if (o->def) {
		fputs("The default is ", out);
		roff_text(out, o->def);
		fputs(".\n", out);
	}
}

static void man_options(const struct cli_program *program, FILE *out)
{
	fputs(".SH OPTIONS\n"
	      "Options may stand before and after operands. A long one may be\n"
	      "cut short as long as no other begins so. Of several identical\n"
	      "ones the last counts, unless they are said to add up. Sizes\n"
	      "are in bytes; a letter k, m, g or t after the number stands\n"
	      "for 1024 bytes, 1024 k and so on.\n",
	      out);
	for (size_t i = 0; i < program->n_options + CLI_BUILTINS; i++) {
		const struct cli_option *o = cli_option_at(program, i);

		if (o->refused)
			continue;
		if (o->group) {
			fputs(".SS ", out);
			roff_text(out, o->group);
			putc('\n', out);
		}
		man_option(out, o);
	}
}

static void man_tail(const struct cli_program *program, FILE *out)
{
	for (const struct cli_section *s = program->sections; s && s->title;
	     s++) {
		fprintf(out, ".SH %s\n", s->title);
		roff_paragraphs(out, s->text);
	}
	fputs(".SH EXIT STATUS\n", out);
	for (const struct cli_exit *e = program->exits; e && e->status; e++) {
		fprintf(out, ".TP\n.B %s\n", e->status);
		roff_text(out, e->meaning);
		putc('\n', out);
	}
	fputs(".SH SEE ALSO\n", out);
	roff_text(out, program->see_also);
	putc('\n', out);
}

void cli_man(const struct cli_program *program, FILE *out)
{
	fputs(".\\\" SPDX-License-Identifier: Apache-2.0\n"
	      ".\\\" Made from the table of options by --help-man.\n.TH ",
	      out);
	for (const char *p = program->name; *p; p++)
		putc(toupper((unsigned char)*p), out);
	/* No date: the page depends on the version alone. */
	fprintf(out, " 8 \"\" \"erofskit %s\" \"EROFS tools\"\n",
		PACKAGE_VERSION);
	fputs(".SH NAME\n", out);
	roff_text(out, program->name);
	fputs(" \\- ", out);
	roff_text(out, program->purpose);
	putc('\n', out);
	man_synopsis(program, out);
	fputs(".SH DESCRIPTION\n", out);
	roff_paragraphs(out, program->description);
	man_options(program, out);
	man_tail(program, out);
}
