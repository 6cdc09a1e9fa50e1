/* SPDX-License-Identifier: Apache-2.0 */
#include "extract/data.h"
#include "base/bytes.h"
#include "base/try.h"

/* Bytes read at once where no codec sets the unit. */
#define PIECE ((size_t)1 << 20)

static ek_status need(struct ek_data_buf *buf, size_t n, struct ek_err *err)
{
	uint8_t *bigger;

	if (n <= buf->cap)
		return EK_OK;
	bigger = realloc(buf->at, n);
	if (!bigger)
		return ek_fail(err, EK_NOMEM, "a buffer of %zu bytes", n);
	buf->at = bigger;
	buf->cap = n;
	return EK_OK;
}

/* A whole compressed extent, which is decoded once and in one piece. */
static ek_status one_extent(struct ek_image *image, const struct ek_node *node,
			    const struct ek_extent *e, struct ek_data_buf *buf,
			    ek_data_fn fn, void *arg, struct ek_err *err)
{
	EK_TRY(need(buf, (size_t)e->logical_length, err));
	EK_TRY(ek_image_read_extent(image, node, e, buf->at, err));
	return fn(arg, e->logical, buf->at, e->logical_length, err);
}

static ek_status in_pieces(struct ek_image *image, const struct ek_node *node,
			   uint64_t at, uint64_t end, struct ek_data_buf *buf,
			   ek_data_fn fn, void *arg, struct ek_err *err)
{
	EK_TRY(need(buf, PIECE, err));
	while (at < end) {
		size_t n = (size_t)ek_min(end - at, PIECE);

		EK_TRY(ek_image_read(image, node, at, buf->at, n, err));
		EK_TRY(fn(arg, at, buf->at, n, err));
		at += n;
	}
	return EK_OK;
}

ek_status ek_data_walk(struct ek_image *image, const struct ek_node *node,
		       struct ek_data_buf *buf, ek_data_fn fn, void *arg,
		       struct ek_err *err)
{
	struct ek_extent e;
	uint64_t at = 0;

	while (at < node->size) {
		uint64_t end;

		EK_TRY(ek_image_map(image, node, at, &e, err));
		if (e.logical > at ||
		    !ek_add(e.logical, e.logical_length, &end))
			return ek_fail(err, EK_CORRUPT,
				       "no extent at byte %llu",
				       (unsigned long long)at);
		end = ek_min(end, node->size);
		if (end <= at)
			return ek_fail(err, EK_CORRUPT,
				       "an empty extent at byte %llu",
				       (unsigned long long)at);
		if (!(e.flags & (EK_EXTENT_MAPPED | EK_EXTENT_FRAGMENT |
				 EK_EXTENT_INLINE)))
			EK_TRY(fn(arg, at, NULL, end - at, err));
		else if ((e.flags & EK_EXTENT_COMPRESSED) && e.logical == at &&
			 e.logical_length == end - at &&
			 e.logical_length <= EK_EXTENT_MAX)
			EK_TRY(one_extent(image, node, &e, buf, fn, arg, err));
		else
			EK_TRY(in_pieces(image, node, at, end, buf, fn, arg,
					 err));
		at = end;
	}
	return EK_OK;
}

void ek_data_buf_free(struct ek_data_buf *buf)
{
	free(buf->at);
	buf->at = NULL;
	buf->cap = 0;
}
