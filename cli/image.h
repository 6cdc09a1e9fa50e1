/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_IMAGE_H
#define CLI_IMAGE_H

/*
 * Values of the options by which every program that builds images is told what
 * they are to be: -z, -U, -T with SOURCE_DATE_EPOCH. On failure err->text is
 * the reason alone.
 */

#include "cli/options.h"

#include <erofskit/build.h>

#include <stdbool.h>

/* An algorithm with its parameters; codec.name points to @name. */
struct cli_codec {
	struct ek_build_codec codec;
	char name[32];
};

/*
 * NAME[,PARAMETER...] of @n bytes, where a parameter is LEVEL or KEY=VALUE
 * (level, dictsize; lc, lp, pb). @c may not be moved afterwards. EK_INVALID,
 * and what ek_build_check_options() says of it.
 */
ek_status cli_codec(const char *text, size_t n, struct cli_codec *c,
		    struct ek_err *err);

/* 16 bytes from their text of 36 characters. EK_INVALID. */
ek_status cli_uuid(const char *text, uint8_t uuid[16], struct ek_err *err);

/* "clear", "random" or a UUID: sets uuid_mode and uuid. EK_INVALID. */
ek_status cli_set_uuid(struct ek_build_options *build, const char *value,
		       struct ek_err *err);

/* A time given by an option or by the environment, in seconds. */
struct cli_time {
	bool given, by_option;
	int64_t at;
};

/* The value of an option. EK_INVALID. */
ek_status cli_time(const char *value, struct cli_time *time,
		   struct ek_err *err);

/*
 * Without the option, take SOURCE_DATE_EPOCH, if that is set. Tells on stderr
 * that it is no time. EK_INVALID.
 */
ek_status cli_time_finish(struct cli_time *time);

#endif
