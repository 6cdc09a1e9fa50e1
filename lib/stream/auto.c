/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/stream.h>

#include "base/bytes.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* An input whose first bytes were looked at and are given again. */
struct peeked {
	struct ek_tar_input base;
	struct ek_tar_input *in; /* owned */
	uint8_t head[EK_STREAM_MAGIC];
	size_t at, n;
};

static ek_status peeked_read(struct ek_tar_input *in, void *to, size_t n,
			     size_t *got, struct ek_err *err)
{
	struct peeked *p = (struct peeked *)in;

	if (p->at == p->n)
		return p->in->read(p->in, to, n, got, err);
	*got = (size_t)ek_min(n, p->n - p->at);
	memcpy(to, p->head + p->at, *got);
	p->at += *got;
	return EK_OK;
}

static ek_status peeked_skip(struct ek_tar_input *in, uint64_t n,
			     struct ek_err *err)
{
	struct peeked *p = (struct peeked *)in;
	size_t held = (size_t)ek_min(n, p->n - p->at);

	p->at += held;
	return n > held ? p->in->skip(p->in, n - held, err) : EK_OK;
}

static void peeked_free(struct ek_tar_input *in)
{
	struct peeked *p = (struct peeked *)in;

	ek_tar_input_free(p->in);
	free(p);
}

static ek_status peek(struct peeked *p, struct ek_err *err)
{
	while (p->n < sizeof(p->head)) {
		size_t got = 0;

		EK_TRY(p->in->read(p->in, p->head + p->n,
				   sizeof(p->head) - p->n, &got, err));
		if (!got)
			break;
		p->n += got;
	}
	return EK_OK;
}

ek_status ek_stream_auto(struct ek_tar_input *in, const char *name,
			 struct ek_tar_input **out, enum ek_stream_kind *kind,
			 struct ek_err *err)
{
	struct peeked *p = calloc(1, sizeof(*p));
	ek_status status;

	if (!p)
		return ek_fail(err, EK_NOMEM, "no memory for a stream");
	p->base.read = peeked_read;
	p->base.skip = in->skip ? peeked_skip : NULL;
	p->base.free = peeked_free;
	p->in = in;
	status = peek(p, err);
	if (status == EK_OK) {
		*kind = ek_stream_detect(p->head, p->n);
		*out = &p->base;
		if (*kind != EK_STREAM_PLAIN)
			status = ek_stream_decode(&p->base, *kind, name, out,
						  err);
	}
	if (status != EK_OK)
		free(p); /* @in stays the caller's */
	return status;
}
