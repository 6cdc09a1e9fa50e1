/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sink.h"

#include "base/buf.h"
#include "base/try.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static ek_status check_end(uint64_t offset, size_t n, struct ek_err *err)
{
	if (offset > INT64_MAX || n > INT64_MAX - offset)
		return ek_fail(err, EK_LIMIT,
			       "%zu bytes at %" PRIu64 ": beyond any file", n,
			       offset);
	return EK_OK;
}

ek_status ek_sink_write(struct ek_sink *sink, uint64_t offset, const void *from,
			size_t n, struct ek_err *err)
{
	EK_TRY(check_end(offset, n, err));
	return n ? sink->ops->write(sink, offset, from, n, err) : EK_OK;
}

ek_status ek_sink_read(struct ek_sink *sink, uint64_t offset, void *to,
		       size_t n, struct ek_err *err)
{
	EK_TRY(check_end(offset, n, err));
	return n ? sink->ops->read(sink, offset, to, n, err) : EK_OK;
}

ek_status ek_sink_resize(struct ek_sink *sink, uint64_t size,
			 struct ek_err *err)
{
	EK_TRY(check_end(size, 0, err));
	return sink->ops->resize(sink, size, err);
}

ek_status ek_sink_flush(struct ek_sink *sink, struct ek_err *err)
{
	return sink->ops->flush ? sink->ops->flush(sink, err) : EK_OK;
}

void ek_sink_free(struct ek_sink *sink)
{
	if (sink)
		sink->ops->free(sink);
}

struct memory {
	struct ek_sink base;
	struct ek_buf buf;
};

static ek_status memory_resize(struct ek_sink *sink, uint64_t size,
			       struct ek_err *err)
{
	struct ek_buf *buf = &((struct memory *)sink)->buf;

	if (size > buf->limit)
		return ek_fail(err, EK_LIMIT,
			       "%" PRIu64 " bytes in memory, at most %zu", size,
			       buf->limit);
	if (size > buf->len)
		return ek_buf_append_zeros(buf, (size_t)size - buf->len, err);
	buf->len = (size_t)size;
	return EK_OK;
}

static ek_status memory_write(struct ek_sink *sink, uint64_t offset,
			      const void *from, size_t n, struct ek_err *err)
{
	struct ek_buf *buf = &((struct memory *)sink)->buf;

	if (offset + n > buf->len)
		EK_TRY(memory_resize(sink, offset + n, err));
	memcpy(buf->data + (size_t)offset, from, n);
	return EK_OK;
}

static ek_status memory_read(struct ek_sink *sink, uint64_t offset, void *to,
			     size_t n, struct ek_err *err)
{
	const struct ek_buf *buf = &((struct memory *)sink)->buf;

	if (offset + n > buf->len)
		return ek_fail(err, EK_INVALID,
			       "%zu bytes at %" PRIu64 " were never written", n,
			       offset);
	memcpy(to, buf->data + (size_t)offset, n);
	return EK_OK;
}

static void memory_free(struct ek_sink *sink)
{
	struct memory *m = (struct memory *)sink;

	ek_buf_free(&m->buf);
	free(m);
}

static const struct ek_sink_ops memory_ops = {
	.write = memory_write,
	.read = memory_read,
	.resize = memory_resize,
	.free = memory_free,
};

ek_status ek_sink_in_memory(size_t limit, struct ek_sink **sink,
			    struct ek_err *err)
{
	struct memory *m = calloc(1, sizeof(*m));

	*sink = NULL;
	if (!m)
		return ek_fail(err, EK_NOMEM, "no memory for a sink");
	m->base.ops = &memory_ops;
	m->buf = EK_BUF_INIT(limit);
	*sink = &m->base;
	return EK_OK;
}

const uint8_t *ek_sink_memory(const struct ek_sink *sink, size_t *n)
{
	const struct memory *m = (const struct memory *)sink;

	EK_BUG_ON(sink->ops != &memory_ops);
	*n = m->buf.len;
	return m->buf.data;
}
