/* SPDX-License-Identifier: Apache-2.0 */
#include "extract/data.h"
#include "base/bytes.h"
#include "base/try.h"
#include "reader/reader.h"

/*
 * Bytes handed out at once. They are decoded and copied twice, so they should
 * stay in the cache of one core.
 */
#define OUT_BYTES ((size_t)256 << 10)

/* Bytes of streams read at once. */
#define IN_BYTES ((uint64_t)256 << 10)

struct walk {
	struct ek_image *image;
	const struct ek_node *node;
	struct ek_data_buf *buf;
	ek_data_fn fn;
	void *arg;
	uint64_t next; /* byte of the file that is to be mapped */
	uint64_t at;   /* byte of the file that is first in buf->out */
	size_t n;      /* bytes in buf->out */
	bool have;     /* @ahead holds the extent of @next */
	struct ek_extent ahead;
};

static ek_status grow(uint8_t **at, size_t *cap, size_t n, struct ek_err *err)
{
	uint8_t *bigger;

	if (n <= *cap)
		return EK_OK;
	bigger = realloc(*at, n);
	if (!bigger)
		return ek_fail(err, EK_NOMEM, "a buffer of %zu bytes", n);
	*at = bigger;
	*cap = n;
	return EK_OK;
}

static ek_status hand_out(struct walk *w, struct ek_err *err)
{
	size_t n = w->n;

	w->n = 0;
	return n ? w->fn(w->arg, w->at, w->buf->out, n, err) : EK_OK;
}

/* Where the next @n bytes of the file go, which begin at @at. */
static ek_status room(struct walk *w, uint64_t at, size_t n, uint8_t **to,
		      struct ek_err *err)
{
	struct ek_data_buf *buf = w->buf;

	if (w->n && n > buf->out_cap - w->n)
		EK_TRY(hand_out(w, err));
	EK_TRY(grow(&buf->out, &buf->out_cap, ek_max(n, OUT_BYTES), err));
	if (w->n == 0)
		w->at = at;
	*to = buf->out + w->n;
	w->n += n;
	return EK_OK;
}

/* The extent of the next byte and the end of what the file has of it. */
static ek_status peek(struct walk *w, struct ek_extent *e, uint64_t *end,
		      struct ek_err *err)
{
	uint64_t at = w->next;

	if (!w->have)
		EK_TRY(ek_image_map(w->image, w->node, at, &w->ahead, err));
	w->have = true;
	*e = w->ahead;
	if (e->logical > at || !ek_add(e->logical, e->logical_length, end))
		return ek_fail(err, EK_CORRUPT, "no extent at byte %llu",
			       (unsigned long long)at);
	*end = ek_min(*end, w->node->size);
	if (*end <= at)
		return ek_fail(err, EK_CORRUPT, "an empty extent at byte %llu",
			       (unsigned long long)at);
	return EK_OK;
}

static void pass(struct walk *w, uint64_t end)
{
	w->next = end;
	w->have = false;
}

/* Whether @e is a stream of which the file has all, up to @end. */
static bool whole_stream(const struct walk *w, const struct ek_extent *e,
			 uint64_t end)
{
	return (e->flags & EK_EXTENT_COMPRESSED) &&
	       (e->flags & EK_EXTENT_MAPPED) && e->logical == w->next &&
	       e->logical_length == end - w->next &&
	       e->logical_length <= EK_EXTENT_MAX &&
	       e->physical_length <= EK_PCLUSTER_MAX;
}

/* Map what follows @buf->run[0] on the device and in the file. */
static ek_status find_run(struct walk *w, size_t *n, uint64_t *len,
			  struct ek_err *err)
{
	struct ek_extent *run = w->buf->run;
	uint64_t end;

	*n = 1;
	*len = run->physical_length;
	while (*n < EK_DATA_RUN && w->next < w->node->size) {
		struct ek_extent *e = &run[*n];

		EK_TRY(peek(w, e, &end, err));
		if (!whole_stream(w, e, end) || (e->flags & EK_EXTENT_INLINE) ||
		    e->device != run->device ||
		    e->physical != run->physical + *len ||
		    e->physical_length > IN_BYTES - ek_min(*len, IN_BYTES))
			return EK_OK;
		*len += e->physical_length;
		++*n;
		pass(w, end);
	}
	return EK_OK;
}

/*
 * Have [@pos, @pos + @len) of a device in memory. What follows what was read
 * last is likely to be followed too: as much again is read with it.
 */
static ek_status load(struct walk *w, unsigned device, uint64_t pos, size_t len,
		      const uint8_t **bytes, struct ek_err *err)
{
	struct ek_data_buf *b = w->buf;
	bool same = b->in_len && device == b->in_device && pos >= b->in_at;
	size_t have = b->in_len, want = len;

	if (same && pos - b->in_at <= have &&
	    len <= have - (size_t)(pos - b->in_at)) {
		*bytes = b->in + (pos - b->in_at);
		return EK_OK;
	}
	if (same && pos - b->in_at <= have)
		want = (size_t)ek_max(len, ek_min(have * 2, IN_BYTES));
	EK_TRY(grow(&b->in, &b->in_cap, (size_t)ek_max(want, IN_BYTES), err));
	b->in_len = 0;
	/* What lies behind may be damaged or not there: not our matter. */
	if (want > len &&
	    ek_device_read(w->image, device, pos, b->in, want, NULL) != EK_OK)
		want = len;
	if (want == len)
		EK_TRY(ek_device_read(w->image, device, pos, b->in, len, err));
	b->in_device = device;
	b->in_at = pos;
	b->in_len = want;
	*bytes = b->in;
	return EK_OK;
}

static ek_status coded(struct walk *w, uint64_t end, struct ek_err *err)
{
	struct ek_extent *run = w->buf->run;
	const uint8_t *in;
	uint64_t len;
	uint8_t *to;
	size_t i, n;

	pass(w, end);
	EK_TRY(find_run(w, &n, &len, err));
	EK_TRY(load(w, run->device, run->physical, (size_t)len, &in, err));
	for (i = 0; i < n; i++) {
		EK_TRY(room(w, run[i].logical, (size_t)run[i].logical_length,
			    &to, err));
		EK_TRY(ek_decode_bytes(w->image, &run[i], in, to, err));
		in += run[i].physical_length;
	}
	return EK_OK;
}

static ek_status in_pieces(struct walk *w, uint64_t end, struct ek_err *err)
{
	uint64_t at = w->next;
	uint8_t *to;

	while (at < end) {
		size_t n = (size_t)ek_min(end - at, OUT_BYTES);

		EK_TRY(room(w, at, n, &to, err));
		EK_TRY(ek_image_read(w->image, w->node, at, to, n, err));
		at += n;
	}
	pass(w, end);
	return EK_OK;
}

static ek_status next(struct walk *w, struct ek_err *err)
{
	struct ek_extent *e = &w->buf->run[0];
	uint64_t end, at = w->next;
	uint8_t *to;

	EK_TRY(peek(w, e, &end, err));
	if (!(e->flags &
	      (EK_EXTENT_MAPPED | EK_EXTENT_FRAGMENT | EK_EXTENT_INLINE))) {
		EK_TRY(hand_out(w, err));
		pass(w, end);
		return w->fn(w->arg, at, NULL, end - at, err);
	}
	if (!whole_stream(w, e, end))
		return in_pieces(w, end, err);
	if (!(e->flags & EK_EXTENT_INLINE))
		return coded(w, end, err);
	EK_TRY(room(w, at, (size_t)e->logical_length, &to, err));
	EK_TRY(ek_image_read_extent(w->image, w->node, e, to, err));
	pass(w, end);
	return EK_OK;
}

ek_status ek_data_walk(struct ek_image *image, const struct ek_node *node,
		       struct ek_data_buf *buf, ek_data_fn fn, void *arg,
		       struct ek_err *err)
{
	struct walk w = {
		.image = image, .node = node, .buf = buf, .fn = fn, .arg = arg};

	while (w.next < node->size)
		EK_TRY(next(&w, err));
	return hand_out(&w, err);
}

void ek_data_buf_free(struct ek_data_buf *buf)
{
	free(buf->out);
	free(buf->in);
	buf->out = buf->in = NULL;
	buf->out_cap = buf->in_cap = buf->in_len = 0;
}
