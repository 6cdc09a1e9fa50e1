/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_OS_TMP_H
#define UNIT_OS_TMP_H

/* A directory of the test's own, removed with all that is in it. */

#include <stddef.h>

struct tmp {
	char path[256];
	int fd;
};

void tmp_make(struct tmp *tmp);
void tmp_remove(struct tmp *tmp);

/* "<tmp>/<name>" in the caller's memory. */
const char *tmp_path(const struct tmp *tmp, const char *name, char to[512]);

void tmp_write(const struct tmp *tmp, const char *name, const char *text);

/* Compares the whole file with @text. */
void tmp_expect(const struct tmp *tmp, const char *name, const char *text);

/* Number of names in the directory. */
size_t tmp_count(const struct tmp *tmp);

#endif
