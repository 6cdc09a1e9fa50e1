/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include "unit.h"

ek_status to_buf(void *arg, const void *bytes, size_t n, struct ek_err *err)
{
	return ek_buf_append(arg, bytes, n, err);
}

void open_text(struct text *t, const char *text, size_t n)
{
	struct ek_err err = {.text = ""};

	assert_int_equal(ek_source_from_memory(text, n, &t->src, &err), EK_OK);
	assert_int_equal(ek_manifest_open(t->src, &t->m, &err), EK_OK);
}

void close_text(struct text *t)
{
	ek_manifest_free(t->m);
	ek_source_free(t->src);
}

ek_status note_diff(void *arg, const char *path, enum ek_manifest_diff diff,
		    const char *words, struct ek_err *err)
{
	return ek_buf_printf(arg, err, "%s|%d|%s\n", path, (int)diff, words);
}

void pattern(uint8_t *to, size_t n)
{
	uint32_t x = 1;

	for (size_t i = 0; i < n; i++) {
		x = (x * 1103515245u + 12345u) & 0x7fffffffu;
		to[i] = (uint8_t)(x >> 16);
	}
}
