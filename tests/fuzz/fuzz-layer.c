/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/check.h>
#include <erofskit/layer.h>

#include "base/bytes.h"
#include "format/sb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The input is an image that mkfs.erofs takes as a layer: its tree is merged
 * (with itself on top of itself: nothing changes) and built as an index and
 * with all data. What could be built has no fault by the rules of fsck.
 */
#define INPUT_MAX ((size_t)1 << 20)
#define BYTES_MAX ((uint64_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A tree that claims more than can be copied here is given up. */
static void on_progress(void *arg, const char *path, uint64_t done,
			uint64_t total)
{
	volatile int *cancel = arg;

	(void)path;
	(void)total;
	if (done > BYTES_MAX)
		*cancel = 1;
}

static void check(int fd)
{
	struct ek_check_options o = {
		.size = sizeof(o), .strict = true, .workers = 1};
	struct ek_source *src;
	struct ek_check_result r;

	if (ek_source_from_fd(fd, "image", 0, &src, NULL) != EK_OK)
		abort();
	if (ek_check(src, &o, &r, NULL) != EK_OK || r.errors || !r.opened)
		abort();
	ek_source_free(src);
}

static void build(struct ek_layer *layer, bool index)
{
	volatile int cancel = 0;
	struct ek_build_options o = {
		.size = sizeof(o),
		.index = index,
		.block_size = index ? 0 : 4096,
		.level = EK_LEVEL_DEFAULT,
		.xattr_share = EK_XATTR_SHARE_DEFAULT,
		.workers = 1,
		.cancel = &cancel,
		.progress = on_progress,
		.progress_arg = (void *)&cancel,
	};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0)
		abort();
	if (ek_build_layer(layer, &o, fd, "image", NULL, NULL) == EK_OK)
		check(fd);
	close(fd);
}

static void run(int fd)
{
	struct ek_layer *layers[2] = {NULL}, *merged = NULL;
	volatile int cancel = 0;
	char path[32];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	while (n < 2 &&
	       ek_layer_from_image(path, NULL, 0, &layers[n], NULL) == EK_OK)
		n++;
	if (n == 1)
		abort();
	if (n == 2)
		build(layers[0], false);
	if (n == 2 &&
	    ek_layer_merge(layers, n, false, &cancel, &merged, NULL) == EK_OK) {
		build(merged, true);
		ek_layer_free(merged);
		return;
	}
	for (size_t i = 0; i < n; i++)
		ek_layer_free(layers[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	int fd;

	if (size < EK_SB_OFFSET + EK_SB_SIZE_MIN || size > INPUT_MAX)
		return 0;
	copy = malloc(size);
	fd = memfd_create("layer", MFD_CLOEXEC);
	if (!copy || fd < 0)
		abort();
	memcpy(copy, data, size);
	ek_put_le32(copy + EK_SB_OFFSET, EK_SB_MAGIC);
	/* Without a checksum: damage gets further. */
	copy[EK_SB_OFFSET + 8] &= 0xfe;
	if (write(fd, copy, size) != (ssize_t)size)
		abort();
	free(copy);
	run(fd);
	close(fd);
	return 0;
}
