/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/source.h>

#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

ek_status ek_source_read(struct ek_source *src, uint64_t offset, void *to,
			 size_t n, struct ek_err *err)
{
	if (n > src->size || offset > src->size - n)
		return ek_fail(err, EK_CORRUPT,
			       "%s%s%zu bytes at %" PRIu64
			       " are beyond the end at %" PRIu64,
			       src->name ? src->name : "",
			       src->name ? ": " : "", n, offset, src->size);
	if (n == 0)
		return EK_OK;
	return src->ops->read(src, offset, to, n, err);
}

void ek_source_free(struct ek_source *src)
{
	if (src)
		src->ops->free(src);
}

struct memory {
	struct ek_source base;
	const uint8_t *bytes;
};

static ek_status memory_read(struct ek_source *src, uint64_t offset, void *to,
			     size_t n, struct ek_err *err)
{
	const struct memory *m = (struct memory *)src;

	(void)err;
	memcpy(to, m->bytes + (size_t)offset, n);
	return EK_OK;
}

static void plain_free(struct ek_source *src)
{
	free(src);
}

static const struct ek_source_ops memory_ops = {memory_read, plain_free};

ek_status ek_source_from_memory(const void *bytes, size_t n,
				struct ek_source **src, struct ek_err *err)
{
	struct memory *m = calloc(1, sizeof(*m));

	*src = NULL;
	if (!m)
		return ek_fail(err, EK_NOMEM, "no memory for a source");
	m->base.ops = &memory_ops;
	m->base.size = n;
	m->bytes = bytes;
	*src = &m->base;
	return EK_OK;
}

struct slice {
	struct ek_source base;
	struct ek_source *of;
	uint64_t offset;
};

static ek_status slice_read(struct ek_source *src, uint64_t offset, void *to,
			    size_t n, struct ek_err *err)
{
	const struct slice *s = (struct slice *)src;

	return ek_source_read(s->of, s->offset + offset, to, n, err);
}

static const struct ek_source_ops slice_ops = {slice_read, plain_free};

ek_status ek_source_slice(struct ek_source *base, uint64_t offset, uint64_t n,
			  struct ek_source **src, struct ek_err *err)
{
	struct slice *s;

	*src = NULL;
	if (n > base->size || offset > base->size - n)
		return ek_fail(err, EK_INVALID,
			       "%s%s%" PRIu64 " bytes at %" PRIu64
			       " are not inside of %" PRIu64,
			       base->name ? base->name : "",
			       base->name ? ": " : "", n, offset, base->size);
	s = calloc(1, sizeof(*s));
	if (!s)
		return ek_fail(err, EK_NOMEM, "no memory for a source");
	s->base.ops = &slice_ops;
	s->base.size = n;
	s->base.name = base->name;
	s->of = base;
	s->offset = offset;
	*src = &s->base;
	return EK_OK;
}
