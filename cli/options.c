/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include "cli/builtin.h"
#include "cli/message.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* getopt_long()'s values: above all letters, then by place in the table. */
#define FIRST_VALUE 256

const struct cli_option cli_builtin[CLI_BUILTINS] = {
	{.name = "help",
	 .letter = 'h',
	 .meaning = "show this text and exit",
	 .group = "Information"},
	{.name = "help-man", .meaning = "write the man page and exit"},
	{.name = "version", .letter = 'V', .meaning = "show versions and exit"},
};

const struct cli_option *cli_option_at(const struct cli_program *program,
				       size_t i)
{
	return i < program->n_options ? &program->options[i]
				      : &cli_builtin[i - program->n_options];
}

struct parser {
	const struct cli_program *program;
	struct option *longs;
	char *shorts;
	size_t n; /* options, the built-in ones too */
};

static void parser_free(struct parser *p)
{
	free(p->longs);
	free(p->shorts);
}

static int parser_init(struct parser *p, const struct cli_program *program)
{
	size_t n_longs = 0;
	char *s;

	p->program = program;
	p->n = program->n_options + CLI_BUILTINS;
	p->longs = calloc(p->n + 1, sizeof(*p->longs));
	p->shorts = malloc(3 * p->n + 2);
	if (!p->longs || !p->shorts)
		return -1;
	s = p->shorts;
	/* A missing value is told apart from an unknown option. */
	*s++ = ':';
	for (size_t i = 0; i < p->n; i++) {
		const struct cli_option *o = cli_option_at(program, i);

		if (o->letter) {
			*s++ = o->letter;
			for (int k = 0; k < (int)o->arg; k++)
				*s++ = ':';
		}
		if (o->name)
			p->longs[n_longs++] = (struct option){
				.name = o->name,
				.has_arg = (int)o->arg,
				.val = FIRST_VALUE + (int)i,
			};
	}
	*s = 0;
	return 0;
}

static const struct cli_option *by_value(const struct parser *p, int value)
{
	if (value >= FIRST_VALUE)
		return cli_option_at(p->program, (size_t)(value - FIRST_VALUE));
	for (size_t i = 0; i < p->n; i++) {
		const struct cli_option *o = cli_option_at(p->program, i);

		if (o->letter && o->letter == value)
			return o;
	}
	return NULL;
}

static int try_help(const struct cli_program *program)
{
	fprintf(stderr, "Try '%s --help' for the options.\n", program->name);
	return program->usage_status;
}

int cli_usage(const struct cli_program *program, const char *fmt, ...)
{
	char text[EK_ERR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli_error("%s", text);
	return try_help(program);
}

/* getopt_long() refused @word with @optopt_; say why. */
static int refuse_word(const struct parser *p, const char *word, int wrong)
{
	const struct cli_option *o = wrong ? by_value(p, wrong) : NULL;
	size_t len, hits = 0;

	if (o && wrong >= FIRST_VALUE)
		return cli_usage(p->program, "--%s takes no value", o->name);
	if (wrong)
		return cli_usage(p->program, "-%c: no such option", wrong);
	/* A long option: the part before '=' fits none or several. */
	len = strcspn(word + 2, "=");
	for (size_t i = 0; i < p->n; i++) {
		const char *name = cli_option_at(p->program, i)->name;

		hits += name && !strncmp(name, word + 2, len);
	}
	return cli_usage(p->program, "%.*s: %s", (int)len + 2, word,
			 hits > 1 ? "several options begin so"
				  : "no such option");
}

int cli_finish(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	cli_error("cannot write to standard output");
	return 1;
}

static int run_builtin(const struct cli_program *program, size_t which)
{
	switch (which) {
	case CLI_BUILTIN_HELP:
		cli_help(program, stdout);
		break;
	case CLI_BUILTIN_MAN:
		cli_man(program, stdout);
		break;
	default:
		cli_version(program, stdout);
		break;
	}
	return cli_finish();
}

static int run_option(const struct parser *p, const struct cli_option *o,
		      int by_letter, const char *value, cli_handler handler,
		      void *ctx)
{
	char shown[64];
	struct ek_err err;

	if (by_letter)
		snprintf(shown, sizeof(shown), "-%c", o->letter);
	else
		snprintf(shown, sizeof(shown), "--%s", o->name);
	if (o->refused)
		return cli_usage(p->program, "%s: %s", shown,
				 o->meaning ? o->meaning
					    : "not supported by this version");
	if (o >= cli_builtin && o < cli_builtin + CLI_BUILTINS)
		return run_builtin(p->program, (size_t)(o - cli_builtin));
	if (handler(ctx, o, value, &err) == EK_OK)
		return CLI_GO_ON;
	return cli_usage(p->program, "%s%s%s: %s", shown,
			 value && !by_letter ? "=" : "", value ? value : "",
			 err.text);
}

static int parse(const struct parser *p, int argc, char **argv,
		 cli_handler handler, void *ctx)
{
	int c, status = CLI_GO_ON;

	opterr = 0;
	/* 0 and not 1: glibc then starts afresh, so tests can parse twice. */
	optind = 0;
	while (status == CLI_GO_ON) {
		c = getopt_long(argc, argv, p->shorts, p->longs, NULL);
		if (c == -1)
			return CLI_GO_ON;
		if (c == '?')
			return refuse_word(p, argv[optind - 1], optopt);
		if (c == ':' && optopt >= FIRST_VALUE)
			return cli_usage(p->program, "--%s: a value is needed",
					 by_value(p, optopt)->name);
		if (c == ':')
			return cli_usage(p->program, "-%c: a value is needed",
					 optopt);
		status = run_option(p, by_value(p, c), c < FIRST_VALUE, optarg,
				    handler, ctx);
	}
	return status;
}

int cli_parse(const struct cli_program *program, int argc, char **argv,
	      cli_handler handler, void *ctx, int *first)
{
	struct parser p = {0};
	int status;

	if (argc < 1)
		return cli_usage(program, "no arguments at all");
	if (parser_init(&p, program)) {
		parser_free(&p);
		cli_error("no memory");
		return 1;
	}
	status = parse(&p, argc, argv, handler, ctx);
	*first = optind;
	parser_free(&p);
	return status;
}
