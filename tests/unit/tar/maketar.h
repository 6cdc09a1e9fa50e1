/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MAKETAR_H
#define MAKETAR_H

/* Small archives in memory, byte by byte, for the tests of the tar reader. */

#include "unit.h"

#include <erofskit/tar.h>

struct maketar {
	uint8_t bytes[64 * 1024];
	size_t n;
};

/* Append a ustar header; returns its block for changes before seal(). */
uint8_t *maketar_header(struct maketar *t, const char *name, char flag,
			size_t size);
/* Compute the checksum of the block at @block. */
void maketar_seal(uint8_t *block);
/* Append data with its padding. */
void maketar_data(struct maketar *t, const void *data, size_t n);
/* Header and data. */
void maketar_file(struct maketar *t, const char *name, const char *data);
/* A PAX header ('x' or 'g') with @n bytes of records. */
void maketar_pax(struct maketar *t, char flag, const void *records, size_t n);
/* Two blocks of zeros. */
void maketar_end(struct maketar *t);

/* An open reader over @t; close with maketar_close(). */
struct maketar_reader {
	struct ek_source *src;
	struct ek_tar_input *in;
	struct ek_tar *tar;
	struct ek_err err;
	const struct ek_tar_entry *e;
};
void maketar_open(struct maketar_reader *r, const struct maketar *t);
/* The status of the next member. */
ek_status maketar_next(struct maketar_reader *r);
void maketar_close(struct maketar_reader *r);

#endif
