/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/check.h>
#include <erofskit/image.h>
#include <erofskit/layer.h>

#include "tests/fuzz/seal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The first block says how many archives the rest holds and what is done with
 * them; they are merged and built, as an index and, when asked for, with their
 * data. Checksums of headers are put right first, so that damage gets further.
 * Whatever could be built is an image without a fault, of which all can be
 * read.
 */
#define BLOCK	  512u
#define LAYERS	  3u
#define INPUT_MAX ((size_t)1 << 20)
#define BYTES_MAX ((uint64_t)16 << 20)

enum { AUFS = 1, STRIP = 2, LARGE_BLOCKS = 4, COPY = 8, CHUNKS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct merge {
	uint8_t flags;
	struct ek_source *archives[LAYERS];
	struct ek_layer *layers[LAYERS];
	size_t n;
	volatile int cancel;
};

/* A tree that claims more than can be copied here is given up. */
static void on_progress(void *arg, const char *path, uint64_t done,
			uint64_t total)
{
	struct merge *m = arg;

	(void)path;
	(void)total;
	if (done > BYTES_MAX)
		m->cancel = 1;
}

static void load(struct merge *m, const uint8_t *bytes, size_t n)
{
	struct ek_layer_options o = {
		.size = sizeof(o),
		.aufs = m->flags & AUFS,
		.strip_overlay = m->flags & STRIP,
		.device_bytes = n,
	};
	struct ek_source **archive = &m->archives[m->n];
	struct ek_tar_input *in;

	if (ek_source_from_memory(bytes, n, archive, NULL) != EK_OK ||
	    ek_tar_input_from_source(*archive, &in, NULL) != EK_OK)
		abort();
	if (ek_layer_from_tar(in, *archive, "fuzz", &o, &m->layers[m->n], NULL,
			      NULL) == EK_OK) {
		m->n++;
	} else {
		ek_source_free(*archive);
		*archive = NULL;
	}
	ek_tar_input_free(in);
}

static ek_status read_below(struct ek_image *image, const struct ek_node *dir,
			    unsigned depth);

struct visit {
	struct ek_image *image;
	unsigned depth;
};

static ek_status visit(void *arg, const struct ek_dirent *e, struct ek_err *err)
{
	struct visit *v = arg;
	static uint8_t piece[65536];
	struct ek_node node;

	if (e->name[0] == '.' &&
	    (e->name_len == 1 || (e->name_len == 2 && e->name[1] == '.')))
		return EK_OK;
	if (ek_image_node(v->image, e->nid, &node, err) != EK_OK)
		abort();
	if ((node.mode & 0170000) == 0100000) {
		size_t n = node.size < sizeof(piece) ? (size_t)node.size
						     : sizeof(piece);

		if (ek_image_read(v->image, &node, node.size - n, piece, n,
				  err) != EK_OK)
			abort();
	}
	if ((node.mode & 0170000) == 0040000)
		return read_below(v->image, &node, v->depth + 1);
	return EK_OK;
}

static ek_status read_below(struct ek_image *image, const struct ek_node *dir,
			    unsigned depth)
{
	struct visit v = {.image = image, .depth = depth};

	/* The stack is ours to bound; the check walked all of it. */
	if (depth > 200)
		return EK_OK;
	if (ek_image_readdir(image, dir, visit, &v, NULL) != EK_OK)
		abort();
	return EK_OK;
}

static void check_image(struct merge *m, int fd, bool index)
{
	struct ek_image_options io = {.size = sizeof(io)};
	struct ek_check_options co = {
		.size = sizeof(co), .strict = true, .workers = 1};
	struct ek_check_result r;
	struct ek_source *src;
	struct ek_image *image;
	struct ek_node root;

	if (index) {
		io.devices = co.devices = m->archives;
		io.n_devices = co.n_devices = m->n;
	}
	if (ek_source_from_fd(fd, "image", 0, &src, NULL) != EK_OK ||
	    ek_check(src, &co, &r, NULL) != EK_OK)
		abort();
	if (r.errors || !r.opened)
		abort();
	if (ek_image_open(src, &io, &image, NULL) != EK_OK ||
	    ek_image_root(image, &root, NULL) != EK_OK)
		abort();
	read_below(image, &root, 0);
	ek_image_free(image);
	ek_source_free(src);
}

static void build(struct merge *m, struct ek_layer *layer, bool index)
{
	struct ek_build_options o = {
		.size = sizeof(o),
		.index = index,
		.chunk_size = !index && m->flags & CHUNKS ? 4096 : 0,
		.block_size = m->flags & LARGE_BLOCKS ? 4096 : 512,
		.level = EK_LEVEL_DEFAULT,
		.xattr_share = EK_XATTR_SHARE_DEFAULT,
		.workers = 1,
		.cancel = &m->cancel,
		.progress = on_progress,
		.progress_arg = m,
	};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0)
		abort();
	if (ek_build_layer(layer, &o, fd, "image", NULL, NULL) == EK_OK)
		check_image(m, fd, index);
	close(fd);
}

static void merge(struct merge *m)
{
	struct ek_layer *merged;

	if (!m->n)
		return;
	if (ek_layer_merge(m->layers, m->n, m->flags & STRIP, &m->cancel,
			   &merged, NULL) != EK_OK)
		return;
	memset(m->layers, 0, sizeof(m->layers));
	build(m, merged, true);
	if (m->flags & (COPY | CHUNKS))
		build(m, merged, false);
	ek_layer_free(merged);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct merge m = {0};
	size_t n, each;
	uint8_t *copy;

	if (size < 2 * BLOCK || size > INPUT_MAX)
		return 0;
	n = data[0] % LAYERS + 1;
	m.flags = data[1];
	each = (size - BLOCK) / n / BLOCK * BLOCK;
	copy = malloc(n * each + 1);
	if (!copy)
		return 0;
	memcpy(copy, data + BLOCK, n * each);
	fuzz_seal_headers(copy, n * each);
	for (size_t i = 0; i < n; i++)
		load(&m, copy + i * each, each);
	merge(&m);
	for (size_t i = 0; i < LAYERS; i++) {
		ek_layer_free(m.layers[i]);
		ek_source_free(m.archives[i]);
	}
	free(copy);
	return 0;
}
