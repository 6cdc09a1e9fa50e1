/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/maketar.h"

#include <stdio.h>

uint8_t *maketar_header(struct maketar *t, const char *name, char flag,
			size_t size)
{
	uint8_t *b = t->bytes + t->n;

	assert_true(t->n + 512 <= sizeof(t->bytes));
	memset(b, 0, 512);
	memcpy(b, name, strnlen(name, 100));
	memcpy(b + 100, "0000644", 8);
	memcpy(b + 108, "0001750", 8);
	memcpy(b + 116, "0000144", 8);
	snprintf((char *)b + 124, 12, "%011zo", size);
	memcpy(b + 136, "00000000017", 12);
	b[156] = (uint8_t)flag;
	memcpy(b + 257, "ustar", 6);
	memcpy(b + 263, "00", 2);
	t->n += 512;
	maketar_seal(b);
	return b;
}

void maketar_seal(uint8_t *block)
{
	unsigned sum = 0;

	memset(block + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += block[i];
	snprintf((char *)block + 148, 8, "%06o", sum);
}

void maketar_data(struct maketar *t, const void *data, size_t n)
{
	size_t padded = (n + 511) / 512 * 512;

	assert_true(t->n + padded <= sizeof(t->bytes));
	memset(t->bytes + t->n, 0, padded);
	memcpy(t->bytes + t->n, data, n);
	t->n += padded;
}

void maketar_file(struct maketar *t, const char *name, const char *data)
{
	maketar_header(t, name, '0', strlen(data));
	maketar_data(t, data, strlen(data));
}

void maketar_pax(struct maketar *t, char flag, const void *records, size_t n)
{
	maketar_header(t, "PaxHeaders/x", flag, n);
	maketar_data(t, records, n);
}

void maketar_end(struct maketar *t)
{
	static const uint8_t zeros[1024];

	maketar_data(t, zeros, sizeof(zeros));
}

void maketar_open(struct maketar_reader *r, const struct maketar *t)
{
	memset(r, 0, sizeof(*r));
	assert_int_equal(
		ek_source_from_memory(t->bytes, t->n, &r->src, &r->err), EK_OK);
	assert_int_equal(ek_tar_input_from_source(r->src, &r->in, &r->err),
			 EK_OK);
	assert_int_equal(ek_tar_open(r->in, "t.tar", NULL, &r->tar, &r->err),
			 EK_OK);
}

ek_status maketar_next(struct maketar_reader *r)
{
	return ek_tar_next(r->tar, &r->e, &r->err);
}

void maketar_close(struct maketar_reader *r)
{
	ek_tar_free(r->tar);
	ek_tar_input_free(r->in);
	ek_source_free(r->src);
}
