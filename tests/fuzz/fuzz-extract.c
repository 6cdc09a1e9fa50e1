/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/extract.h>
#include <erofskit/source.h>

#include "base/bytes.h"
#include "format/sb.h"

#include <stdlib.h>
#include <string.h>

/*
 * The input is an image: extract it without a directory, and as a tar stream
 * that is thrown away. Bytes are bounded as fsck.erofs bounds them.
 */
#define INPUT_MAX ((size_t)4 << 20)
#define BYTES_MAX ((uint64_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct stream {
	uint64_t bytes;
	uint8_t sum;
};

static ek_status swallow(void *arg, const void *bytes, size_t n,
			 struct ek_err *err)
{
	struct stream *s = arg;
	const uint8_t *p = bytes;
	uint8_t sum = 0;
	size_t i;

	/* Every byte must be there: the sanitizer looks. */
	for (i = 0; i < n; i += 64)
		sum ^= p[i];
	s->sum ^= sum;
	s->bytes += n;
	/* Headers are bounded by names, not by max_bytes. */
	if (s->bytes > BYTES_MAX * 4)
		return ek_fail(err, EK_CANCELLED, "enough");
	return EK_OK;
}

static void extract(struct ek_image *image)
{
	struct ek_extract_options o = {.size = sizeof(o),
				       .dry_run = true,
				       .max_bytes = BYTES_MAX,
				       .workers = 1};
	struct stream stream = {0};
	struct ek_extract_result r;
	ek_status status;

	status = ek_extract(image, NULL, -1, NULL, &o, &r, NULL);
	if (status == EK_OK && r.failed)
		abort();
	status = ek_extract_tar(image, NULL, NULL, swallow, &stream, &o, &r,
				NULL);
	if (status == EK_OK && stream.bytes % 512)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ek_image_options io = {.size = sizeof(io),
				      .ignore_checksum = true};
	struct ek_image *image;
	struct ek_source *src;
	uint8_t *copy;

	if (size < EK_SB_OFFSET + EK_SB_SIZE_MIN || size > INPUT_MAX)
		return 0;
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	ek_put_le32(copy + EK_SB_OFFSET, EK_SB_MAGIC);
	if (ek_source_from_memory(copy, size, &src, NULL) == EK_OK) {
		if (ek_image_open(src, &io, &image, NULL) == EK_OK) {
			extract(image);
			ek_image_free(image);
		}
		ek_source_free(src);
	}
	free(copy);
	return 0;
}
