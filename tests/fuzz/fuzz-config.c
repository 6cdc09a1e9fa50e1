/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/config/config.h"
#include "cachefilesd/worker/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void config(const char *text, size_t n)
{
	struct ekd_config c, again;
	struct ek_err err;
	const char *key, *same;
	size_t len;

	if (ekd_config_parse(text, n, &c, &err) != EK_OK) {
		if (!*err.text)
			abort();
		return;
	}
	if (*c.state_dir != '/' || *c.run_dir != '/' || !c.uid || !c.gid ||
	    !c.threads || !c.plain_http || !c.mirrors)
		abort();
	/* Its own text is the same configuration. */
	same = ekd_config_text(&c, &len);
	if (ekd_config_parse(same, len, &again, &err) != EK_OK ||
	    !ekd_config_fits(&c, &again, &key))
		abort();
	ekd_config_release(&again);
	ekd_config_release(&c);
}

static void record(const char *text, size_t n)
{
	struct ekd_record r, again;
	struct ek_err err;
	char *printed, *twice;
	size_t len, m;

	if (ekd_record_parse(text, n, &r, &err) != EK_OK)
		return;
	for (uint32_t i = 0; i < r.n_parts; i++)
		for (uint32_t k = 0; k < r.parts[i].n_devices; k++)
			if (r.parts[i].devices[k] >= r.n_blobs)
				abort();
	/* What was printed reads as what it was printed from. */
	if (ekd_record_print(&r, &printed, &len, &err) != EK_OK ||
	    ekd_record_parse(printed, len, &again, &err) != EK_OK ||
	    ekd_record_print(&again, &twice, &m, &err) != EK_OK || len != m ||
	    memcmp(printed, twice, m) != 0)
		abort();
	ekd_record_free(&again);
	ekd_record_free(&r);
	free(printed);
	free(twice);
}

/* First byte: a configuration, or the record of an image. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!n)
		return 0;
	if (data[0] & 1)
		record((const char *)data + 1, n - 1);
	else
		config((const char *)data + 1, n - 1);
	return 0;
}
