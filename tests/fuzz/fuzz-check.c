/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/check.h>
#include <erofskit/source.h>

#include "base/bytes.h"
#include "format/sb.h"

#include <stdlib.h>
#include <string.h>

/*
 * The input is an image: check it, strictly and not. Magic and checksum are
 * put right first, so that damage gets further. Whatever the image, the check
 * comes to an end within its budgets, and every finding is well formed.
 */
#define INPUT_MAX  ((size_t)4 << 20)
#define DECODE_MAX ((uint64_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_finding(void *arg, const struct ek_finding *f)
{
	const struct ek_check_code *row;
	bool known = false;
	size_t i;

	(void)arg;
	for (i = 0; (row = ek_check_code(i)); i++)
		known |= row->code == f->code;
	if (!known || !f->words || !*f->words)
		abort();
	if (f->path && *f->path != '/' && *f->path != '<')
		abort();
}

static void check(struct ek_source *src, bool strict)
{
	struct ek_check_options o = {.size = sizeof(o),
				     .strict = strict,
				     .max_decode = DECODE_MAX,
				     .workers = 1,
				     .max_findings = 500,
				     .finding = on_finding};
	struct ek_check_result r;
	struct ek_err err;
	ek_status status = ek_check(src, &o, &r, &err);

	/* What is wrong with an image is never a failure of the check. */
	if (status != EK_OK && status != EK_NOMEM)
		abort();
	if (r.decoded_bytes > DECODE_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ek_source *src;
	uint8_t *copy;

	if (size < EK_SB_OFFSET + EK_SB_SIZE_MIN || size > INPUT_MAX)
		return 0;
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	ek_put_le32(copy + EK_SB_OFFSET, EK_SB_MAGIC);
	if (size >= EK_SB_OFFSET + 3072)
		ek_sb_seal(copy + EK_SB_OFFSET, 3072);
	if (ek_source_from_memory(copy, size, &src, NULL) == EK_OK) {
		check(src, false);
		check(src, true);
		ek_source_free(src);
	}
	free(copy);
	return 0;
}
