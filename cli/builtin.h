/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BUILTIN_H
#define CLI_BUILTIN_H

/* What options.c and help.c share: the options that every program has. */

#include "cli/options.h"

enum { CLI_BUILTIN_HELP, CLI_BUILTIN_MAN, CLI_BUILTIN_VERSION, CLI_BUILTINS };

extern const struct cli_option cli_builtin[CLI_BUILTINS];

/* Option @i of the program's own, followed by the built-in ones. */
const struct cli_option *cli_option_at(const struct cli_program *program,
				       size_t i);

#endif
