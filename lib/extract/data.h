/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_EXTRACT_DATA_H
#define EK_EXTRACT_DATA_H

/*
 * The data of one regular file, piece by piece in order, holes told apart.
 * Pieces are as large as a buffer allows, whatever the extents are. Streams
 * that lie one after another are read at once, and so are the files of which
 * this is true. Each thread has its own struct ek_data_buf; zeroed it is
 * empty.
 */

#include <erofskit/image.h>

/* Extents that are mapped before the first of them is decoded. */
#define EK_DATA_RUN 64

struct ek_data_buf {
	uint8_t *out;
	size_t out_cap;
	/* Bytes [in_at, in_at + in_len) of device in_device. */
	uint8_t *in;
	size_t in_cap, in_len;
	uint64_t in_at;
	unsigned in_device;
	struct ek_extent run[EK_DATA_RUN];
};

/*
 * Takes @n bytes of the file at @offset; @bytes NULL: they are a hole. A
 * failure ends the walk with it.
 */
typedef ek_status (*ek_data_fn)(void *arg, uint64_t offset,
				const uint8_t *bytes, uint64_t n,
				struct ek_err *err);

/*
 * Walk all of @node with one image in the life of @buf. After a failure some
 * of what could be read before may not have been handed out.
 */
ek_status ek_data_walk(struct ek_image *image, const struct ek_node *node,
		       struct ek_data_buf *buf, ek_data_fn fn, void *arg,
		       struct ek_err *err);

void ek_data_buf_free(struct ek_data_buf *buf);

#endif
