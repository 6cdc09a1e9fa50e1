/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

/*
 * Command lines of all programs. One table a program gives the parser, the
 * text of --help and the man page, so that the three cannot disagree.
 *
 * Options may stand before and after operands, long ones may be abbreviated
 * as long as only one fits, short ones take their value attached or in the
 * next word. Of several identical options the last wins, which is up to the
 * handler. -h --help --help-man -V --version are built in.
 *
 * Not for threads: the parser is getopt_long(3).
 */

#include <erofskit/status.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Numbers of the erofs-utils whose command line ours follows. */
#define CLI_PEER_VERSION "1.9.3"

enum cli_arg {
	CLI_NONE = 0,
	CLI_REQUIRED,
	CLI_OPTIONAL, /* only attached: --x=Y, -xY */
};

struct cli_option {
	int id;		  /* for the handler's switch; any number */
	const char *name; /* long form without dashes, or NULL */
	char letter;	  /* short form, or 0 */
	enum cli_arg arg;
	const char *value;   /* what stands for the value: "SIZE", "PATH" */
	const char *meaning; /* a sentence without its full stop */
	const char *def;     /* default as text, or NULL: none worth telling */
	const char *group;   /* heading; NULL: that of the option before */
	/*
	 * Known from the peer, but not by this version: refused by name, not
	 * shown. Such an option needs name or letter and arg alone.
	 */
	int refused;
};

struct cli_exit {
	const char *status; /* "0" */
	const char *meaning;
};

/* A further section of the man page. */
struct cli_section {
	const char *title;
	const char *text; /* paragraphs apart by an empty line */
};

struct cli_program {
	const char *name;	 /* "mkfs.erofs" */
	const char *synopsis;	 /* "[OPTIONS] IMAGE SOURCE"; lines apart */
	const char *purpose;	 /* half a line, after "name - " */
	const char *description; /* paragraphs apart by an empty line */
	const struct cli_option *options;
	size_t n_options;
	const struct cli_section *sections; /* closed by a NULL title */
	const struct cli_exit *exits;	    /* closed by a NULL status */
	const char *see_also;		    /* "dump.erofs(8), fsck.erofs(8)" */
	int usage_status; /* exit status of a wrong command line */
	/* Further lines of -V (versions of codecs); may be NULL. */
	void (*version)(FILE *out);
};

/*
 * Called for each option in order. @value is NULL when none was given; it
 * lives as long as argv. On failure err->text is the reason alone, such as
 * "must be a power of two": the parser puts "-b3000: " before it.
 */
typedef ek_status (*cli_handler)(void *ctx, const struct cli_option *option,
				 const char *value, struct ek_err *err);

/* What cli_parse() returns when the program is to go on. */
#define CLI_GO_ON (-1)

/*
 * Parse. CLI_GO_ON, or the status to exit with: 0 after --help, --help-man or
 * --version, 1 when they could not be written, usage_status after an error,
 * which has been told on stderr. Operands are argv[*first] to the end; argv is
 * permuted.
 */
int cli_parse(const struct cli_program *program, int argc, char **argv,
	      cli_handler handler, void *ctx, int *first);

/* Tell on stderr what is wrong with the operands; returns usage_status. */
int cli_usage(const struct cli_program *program, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Forward a failing status to the caller. */
#define CLI_TRY(expr)                                                          \
	do {                                                                   \
		ek_status cli_try_status = (expr);                             \
		if (cli_try_status != EK_OK)                                   \
			return cli_try_status;                                 \
	} while (0)

/*
 * Values. Each fails with EK_INVALID and a reason; *out is then untouched.
 * Numbers are decimal or, with 0x, hexadecimal; no spaces.
 */

/* Bytes: a number and perhaps one of k K m M g G t T (powers of 1024). */
ek_status cli_size(const char *value, uint64_t min, uint64_t max, uint64_t *out,
		   struct ek_err *err);
ek_status cli_unsigned(const char *value, uint64_t min, uint64_t max,
		       uint64_t *out, struct ek_err *err);
/* As cli_unsigned(), a sign allowed. */
ek_status cli_signed(const char *value, int64_t min, int64_t max, int64_t *out,
		     struct ek_err *err);

/* The texts, for tests and for programs that want them elsewhere. */
void cli_help(const struct cli_program *program, FILE *out);
void cli_man(const struct cli_program *program, FILE *out);
void cli_version(const struct cli_program *program, FILE *out);

/* Flush stdout; 0, or 1 after telling on stderr that it failed. */
int cli_finish(void);

#endif
