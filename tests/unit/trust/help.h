/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_TRUST_HELP_H
#define UNIT_TRUST_HELP_H

#include <erofskit/manifest.h>
#include "base/buf.h"

/* For ek_manifest_writer_new(): appends to a struct ek_buf. */
ek_status to_buf(void *arg, const void *bytes, size_t n, struct ek_err *err);

/* A manifest over text in memory; free with close_text(). */
struct text {
	struct ek_source *src;
	struct ek_manifest *m;
};

void open_text(struct text *t, const char *text, size_t n);
void close_text(struct text *t);

/* Differences as "PATH|KIND|WORDS\n" lines in a struct ek_buf. */
ek_status note_diff(void *arg, const char *path, enum ek_manifest_diff diff,
		    const char *words, struct ek_err *err);

/* Fill @n bytes, the same everywhere: the data of the vectors. */
void pattern(uint8_t *to, size_t n);

#endif
