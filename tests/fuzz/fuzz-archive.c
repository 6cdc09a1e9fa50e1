/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/image.h"

#include <erofskit/stream.h>

#include "tests/fuzz/seal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The input is an archive as `docker save` and `podman save` make them, or an
 * archive of one layer: look at its members, find each, and choose an image.
 * Checksums of headers are put right first, so that damage gets further.
 */
#define BLOCK	  512u
#define INPUT_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void look_at(struct archive *a, const struct tarfs_options *o)
{
	struct image image;
	struct range range;
	struct ek_err err;

	for (size_t i = 0; i < a->n_members; i++) {
		ek_status s = archive_find(a, a->members[i].name, &range, &err);

		if (s == EK_OK && (range.offset > a->whole.bytes ||
				   range.bytes > a->whole.bytes - range.offset))
			abort();
	}
	if (a->kind == ARCHIVE_LAYER)
		return;
	if (image_open(&image, a, o, &err) == EK_OK)
		for (size_t i = 0; i < image.n; i++)
			if (image.layers[i].same > i)
				abort();
	image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char path[] = "/tmp/fuzz-archive-XXXXXX", *operands[] = {path};
	const struct tarfs_options o = {.platform = "linux/amd64",
					.operands = operands,
					.n_operands = 1};
	struct archive a;
	struct ek_err err;
	uint8_t *copy;
	int fd;

	/* What is compressed goes to a store first: see fuzz-stream. */
	if (n < BLOCK || n > INPUT_MAX ||
	    ek_stream_detect(data, n) != EK_STREAM_PLAIN)
		return 0;
	copy = malloc(n);
	fd = mkstemp(path); /* its real path is asked for */
	if (!copy || fd < 0)
		abort();
	memcpy(copy, data, n);
	fuzz_seal_headers(copy, n);
	if (ek_stream_detect(copy, n) == EK_STREAM_PLAIN) {
		if (write(fd, copy, n) != (ssize_t)n)
			abort();
		if (archive_open(&a, &o, NULL, &err) == EK_OK)
			look_at(&a, &o);
		archive_close(&a);
	}
	close(fd);
	unlink(path);
	free(copy);
	return 0;
}
