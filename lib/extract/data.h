/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_EXTRACT_DATA_H
#define EK_EXTRACT_DATA_H

/*
 * The data of one regular file, piece by piece in order, holes told apart.
 * Each thread has its own struct ek_data_buf.
 */

#include <erofskit/image.h>

struct ek_data_buf {
	uint8_t *at;
	size_t cap;
};

/*
 * Takes @n bytes of the file at @offset; @bytes NULL: they are a hole. A
 * failure ends the walk with it.
 */
typedef ek_status (*ek_data_fn)(void *arg, uint64_t offset,
				const uint8_t *bytes, uint64_t n,
				struct ek_err *err);

ek_status ek_data_walk(struct ek_image *image, const struct ek_node *node,
		       struct ek_data_buf *buf, ek_data_fn fn, void *arg,
		       struct ek_err *err);

void ek_data_buf_free(struct ek_data_buf *buf);

#endif
