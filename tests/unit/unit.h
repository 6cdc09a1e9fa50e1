/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_H
#define UNIT_H

/*
 * One test program a module: each test-NAME.c defines `NAME_tests`, an array
 * closed by UNIT_END; the module's main.c lists the arrays for unit_run().
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define UNIT_END                                                               \
	{                                                                      \
		NULL, NULL, NULL, NULL, NULL                                   \
	}

/* Run all groups, closed by NULL, as one; the exit status of main(). */
int unit_run(const char *module, const struct CMUnitTest *const groups[]);

#endif
