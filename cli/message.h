/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_MESSAGE_H
#define CLI_MESSAGE_H

/*
 * Messages on stderr, one line each: "<E> erofs: text", the letter being one
 * of E W I D. Control characters of the text are written \xNN, so that a name
 * from an image can neither forge a line nor steer a terminal.
 */

#include <erofskit/status.h>

/* Numbers are the levels of -d: a message is shown when its level <= -d. */
enum cli_level {
	CLI_ERROR = 0,
	CLI_WARNING = 2,
	CLI_INFO = 3,
	CLI_DEBUG = 7,
};

#define CLI_LEVEL_DEFAULT CLI_WARNING
#define CLI_LEVEL_MAX	  9

/* Show the message when @level <= @shown (the program's -d). */
void cli_message(int shown, enum cli_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* cli_message() of CLI_ERROR. */
void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
