/* SPDX-License-Identifier: Apache-2.0 */
#include "io/fault.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>

struct bad_source {
	struct ek_source base;
	struct ek_source *of;
	struct ek_fault *fault;
};

struct bad_sink {
	struct ek_sink base;
	struct ek_sink *of;
	struct ek_fault *fault;
};

/* Bytes of [offset, offset + n) that come before the failing position. */
static size_t good_bytes(const struct ek_fault *fault, uint64_t offset,
			 size_t n)
{
	if (!fault->fail_errno || fault->fail_at >= offset + n)
		return n;
	return fault->fail_at > offset ? (size_t)(fault->fail_at - offset) : 0;
}

static bool flips(const struct ek_fault *fault, uint64_t offset, size_t n)
{
	return fault->flip_mask && fault->flip_at >= offset &&
	       fault->flip_at - offset < n;
}

static ek_status source_read(struct ek_source *src, uint64_t offset, void *to,
			     size_t n, struct ek_err *err)
{
	const struct bad_source *b = (struct bad_source *)src;
	struct ek_fault *fault = b->fault;

	__atomic_fetch_add(&fault->calls, 1, __ATOMIC_RELAXED);
	if (good_bytes(fault, offset, n) < n)
		return ek_fail_sys(err, fault->fail_errno, "fault on read");
	EK_TRY(ek_source_read(b->of, offset, to, n, err));
	if (flips(fault, offset, n))
		((uint8_t *)to)[fault->flip_at - offset] ^= fault->flip_mask;
	return EK_OK;
}

static void source_free(struct ek_source *src)
{
	free(src);
}

static const struct ek_source_ops source_ops = {source_read, source_free};

ek_status ek_fault_source(struct ek_source *of, struct ek_fault *fault,
			  struct ek_source **src, struct ek_err *err)
{
	struct bad_source *b = calloc(1, sizeof(*b));

	*src = NULL;
	if (!b)
		return ek_fail(err, EK_NOMEM, "no memory for a source");
	b->base.ops = &source_ops;
	b->base.size = of->size;
	b->base.name = of->name;
	b->of = of;
	b->fault = fault;
	*src = &b->base;
	return EK_OK;
}

static ek_status write_flipped(const struct bad_sink *b, uint64_t offset,
			       const uint8_t *from, size_t n,
			       struct ek_err *err)
{
	size_t at = (size_t)(b->fault->flip_at - offset);
	uint8_t bad = from[at] ^ b->fault->flip_mask;

	EK_TRY(ek_sink_write(b->of, offset, from, at, err));
	EK_TRY(ek_sink_write(b->of, b->fault->flip_at, &bad, 1, err));
	return ek_sink_write(b->of, b->fault->flip_at + 1, from + at + 1,
			     n - at - 1, err);
}

static ek_status sink_write(struct ek_sink *sink, uint64_t offset,
			    const void *from, size_t n, struct ek_err *err)
{
	const struct bad_sink *b = (struct bad_sink *)sink;
	size_t good = good_bytes(b->fault, offset, n);

	__atomic_fetch_add(&b->fault->calls, 1, __ATOMIC_RELAXED);
	if (flips(b->fault, offset, good))
		EK_TRY(write_flipped(b, offset, from, good, err));
	else
		EK_TRY(ek_sink_write(b->of, offset, from, good, err));
	if (good < n)
		return ek_fail_sys(err, b->fault->fail_errno, "fault on write");
	return EK_OK;
}

static ek_status sink_read(struct ek_sink *sink, uint64_t offset, void *to,
			   size_t n, struct ek_err *err)
{
	return ek_sink_read(((struct bad_sink *)sink)->of, offset, to, n, err);
}

static ek_status sink_resize(struct ek_sink *sink, uint64_t size,
			     struct ek_err *err)
{
	return ek_sink_resize(((struct bad_sink *)sink)->of, size, err);
}

static ek_status sink_flush(struct ek_sink *sink, struct ek_err *err)
{
	return ek_sink_flush(((struct bad_sink *)sink)->of, err);
}

static void sink_free(struct ek_sink *sink)
{
	free(sink);
}

static const struct ek_sink_ops sink_ops = {
	.write = sink_write,
	.read = sink_read,
	.resize = sink_resize,
	.flush = sink_flush,
	.free = sink_free,
};

ek_status ek_fault_sink(struct ek_sink *of, struct ek_fault *fault,
			struct ek_sink **sink, struct ek_err *err)
{
	struct bad_sink *b = calloc(1, sizeof(*b));

	*sink = NULL;
	if (!b)
		return ek_fail(err, EK_NOMEM, "no memory for a sink");
	b->base.ops = &sink_ops;
	b->of = of;
	b->fault = fault;
	*sink = &b->base;
	return EK_OK;
}
