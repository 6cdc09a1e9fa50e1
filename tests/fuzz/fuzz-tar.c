/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/tar.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Every member of the input as an archive, its data read in odd pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ek_source *src = NULL;
	struct ek_tar_input *in = NULL;
	struct ek_tar *tar = NULL;
	const struct ek_tar_entry *e = NULL;
	uint8_t piece[999];
	size_t got = 0;

	if (ek_source_from_memory(data, n, &src, NULL) != EK_OK)
		return 0;
	if (ek_tar_input_from_source(src, &in, NULL) != EK_OK ||
	    ek_tar_open(in, "fuzz", NULL, &tar, NULL) != EK_OK)
		abort();
	while (ek_tar_next(tar, &e, NULL) == EK_OK && e) {
		for (size_t i = 0; i < e->n_segments; i++)
			if (e->segments[i].length > n)
				abort();
		while (ek_tar_read(tar, piece, sizeof(piece), &got, NULL) ==
			       EK_OK &&
		       got)
			;
	}
	ek_tar_free(tar);
	ek_tar_input_free(in);
	ek_source_free(src);
	return 0;
}
