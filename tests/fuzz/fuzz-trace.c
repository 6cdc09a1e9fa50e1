/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Traces of the daemon: what is taken as one is printed as the same bytes, and
 * every range lies inside its blob.
 */

#include "cachefilesd/serve/trace.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ekd_trace_file file;
	char *text;
	size_t n;

	if (ekd_trace_parse((const char *)data, size, &file, NULL) != EK_OK)
		return 0;
	for (uint32_t i = 0; i < file.n_ranges; i++) {
		const struct ekd_trace_range *r = &file.ranges[i];

		if (r->blob >= file.n_blobs || !r->n ||
		    r->offset + r->n > file.blobs[r->blob].size ||
		    r->offset + r->n < r->n)
			abort();
	}
	if (ekd_trace_print(&file, &text, &n, NULL) != EK_OK)
		abort();
	if (n != size || memcmp(text, data, n) != 0)
		abort();
	free(text);
	ekd_trace_forget(&file);
	return 0;
}
