/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/manifest.h>

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

/*
 * What the reader takes, the writer writes back byte for byte; anything else
 * is a second spelling of the same tree.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ek_status to_buf(void *arg, const void *bytes, size_t n,
			struct ek_err *err)
{
	return ek_buf_append(arg, bytes, n, err);
}

static ek_status no_difference(void *arg, const char *path,
			       enum ek_manifest_diff diff, const char *words,
			       struct ek_err *err)
{
	(void)arg;
	(void)path;
	(void)diff;
	(void)words;
	(void)err;
	abort();
}

static bool must(ek_status status)
{
	if (status == EK_NOMEM)
		return false;
	if (status != EK_OK)
		abort();
	return true;
}

static ek_status rewrite(struct ek_source *src, struct ek_buf *out)
{
	struct ek_manifest_sink *writer = NULL;
	struct ek_manifest *m = NULL;
	ek_status status = ek_manifest_open(src, &m, NULL);

	if (status == EK_OK)
		status = ek_manifest_writer_new(to_buf, out, &writer, NULL);
	if (status == EK_OK)
		status = ek_manifest_copy(m, writer, NULL);
	if (status == EK_OK)
		status = ek_manifest_writer_finish(writer, NULL);
	ek_manifest_writer_free(writer);
	ek_manifest_free(m);
	return status;
}

static void compare_with_itself(struct ek_source *src)
{
	struct ek_manifest_sink *c = NULL;
	struct ek_manifest *a = NULL, *b = NULL;
	uint64_t n = 0;

	if (must(ek_manifest_open(src, &a, NULL)) &&
	    must(ek_manifest_open(src, &b, NULL)) &&
	    must(ek_manifest_comparison_new(a, no_difference, NULL, &c, NULL)))
		if (must(ek_manifest_copy(b, c, NULL)))
			must(ek_manifest_comparison_finish(c, &n, NULL));
	ek_manifest_comparison_free(c);
	ek_manifest_free(a);
	ek_manifest_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ek_buf out = EK_BUF_INIT(64u << 20);
	struct ek_source *src;

	if (ek_source_from_memory(data, size, &src, NULL) != EK_OK)
		return 0;
	if (rewrite(src, &out) == EK_OK) {
		if (out.len != size || memcmp(out.data, data, size) != 0)
			abort();
		compare_with_itself(src);
	}
	ek_buf_free(&out);
	ek_source_free(src);
	return 0;
}
