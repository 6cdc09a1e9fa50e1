/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stdio.h>
#include <stdlib.h>

/* A FILE into memory: open, write, end; then text is to be freed. */
struct capture {
	FILE *file;
	char *text;
	size_t n;
};

static inline FILE *capture_start(struct capture *c)
{
	c->text = NULL;
	c->file = open_memstream(&c->text, &c->n);
	if (!c->file)
		abort();
	return c->file;
}

static inline const char *capture_end(struct capture *c)
{
	fclose(c->file);
	return c->text;
}

#endif
