/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/decoder.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

#define INPUT_PIECE (256u << 10)

/*
 * Between streams a decoder is "fresh": the input may end there. Everywhere
 * else an end is a cut.
 */
struct stream {
	struct ek_tar_input base;
	struct ek_tar_input *in; /* owned */
	const struct ek_stream_ops *ops;
	void *state;
	char *name;
	uint8_t *buf;
	size_t at, n;
	bool in_end; /* the input has ended */
	bool fresh;  /* between two streams, after the first */
	bool ended;
};

static ek_status refill(struct stream *s, struct ek_err *err)
{
	if (s->at < s->n || s->in_end)
		return EK_OK;
	s->at = 0;
	EK_TRY(s->in->read(s->in, s->buf, INPUT_PIECE, &s->n, err));
	s->in_end = s->n == 0;
	return EK_OK;
}

/* Whether another stream follows; zeros after a stream are padding. */
static ek_status next_stream(struct stream *s, struct ek_err *err)
{
	for (;;) {
		EK_TRY(refill(s, err));
		if (s->at == s->n) {
			s->ended = true;
			return EK_OK;
		}
		if (s->buf[s->at])
			break;
		s->at++;
	}
	s->fresh = false;
	return s->ops->again(s->state, err);
}

static ek_status step(struct stream *s, uint8_t *to, size_t n, size_t *got,
		      struct ek_err *err)
{
	struct ek_stream_step st = {s->buf + s->at, s->n - s->at, to, n,
				    s->in_end};
	size_t before = st.in_left;
	bool done = false;

	EK_TRY(s->ops->run(s->state, &st, &done, err));
	s->at += before - st.in_left;
	*got = n - st.out_left;
	s->fresh = done;
	if (!done && !*got && before == st.in_left && s->in_end)
		return ek_fail(err, EK_CORRUPT, "the stream is cut");
	return EK_OK;
}

static ek_status stream_read(struct ek_tar_input *in, void *to, size_t n,
			     size_t *got, struct ek_err *err)
{
	struct stream *s = (struct stream *)in;
	ek_status status = EK_OK;

	*got = 0;
	while (status == EK_OK && !*got && !s->ended) {
		if (s->fresh)
			status = next_stream(s, err);
		if (status == EK_OK && !s->ended)
			status = refill(s, err);
		if (status == EK_OK && !s->ended)
			status = step(s, to, n, got, err);
	}
	if (status != EK_OK) {
		s->ended = true;
		ek_err_prefix(err, "%s", s->name);
	}
	return status;
}

static void stream_free(struct ek_tar_input *in)
{
	struct stream *s = (struct stream *)in;

	s->ops->close(s->state);
	ek_tar_input_free(s->in);
	free(s->buf);
	free(s->name);
	free(s);
}

static const struct ek_stream_ops *ops_of(enum ek_stream_kind kind)
{
	switch (kind) {
	case EK_STREAM_GZIP:
		return &ek_stream_gzip;
	case EK_STREAM_XZ:
		return &ek_stream_xz;
	case EK_STREAM_ZSTD:
		return &ek_stream_zstd;
	default:
		return NULL;
	}
}

const char *ek_stream_name(enum ek_stream_kind kind)
{
	static const char *const names[] = {"plain", "gzip", "xz", "zstd"};

	return names[kind];
}

enum ek_stream_kind ek_stream_detect(const uint8_t *p, size_t n)
{
	if (n >= 3 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8)
		return EK_STREAM_GZIP;
	if (n >= 6 && !memcmp(p,
			      "\xfd"
			      "7zXZ\0",
			      6))
		return EK_STREAM_XZ;
	if (n >= 4 && !memcmp(p, "\x28\xb5\x2f\xfd", 4))
		return EK_STREAM_ZSTD;
	/* A skippable zstd frame: pzstd begins so. */
	if (n >= 4 && (p[0] & 0xf0) == 0x50 &&
	    !memcmp(p + 1, "\x2a\x4d\x18", 3))
		return EK_STREAM_ZSTD;
	/* .lzma has no magic: usual properties, a power of two for the
	 * dictionary, and an unknown or sane size. */
	if (n >= 13 && p[0] == 0x5d && ek_is_pow2(ek_get_le32(p + 1)) &&
	    (ek_get_le64(p + 5) == UINT64_MAX || ek_get_le64(p + 5) >> 40 == 0))
		return EK_STREAM_XZ;
	return EK_STREAM_PLAIN;
}

static ek_status wrap(struct ek_tar_input *in, const struct ek_stream_ops *ops,
		      const char *name, struct stream **out, struct ek_err *err)
{
	struct stream *s = calloc(1, sizeof(*s));
	ek_status status;

	if (!s || !(s->name = strdup(name)) ||
	    !(s->buf = malloc(INPUT_PIECE))) {
		if (s)
			free(s->name);
		free(s);
		return ek_fail(err, EK_NOMEM, "no memory for a stream");
	}
	status = ops->open(&s->state, err);
	if (status != EK_OK) {
		free(s->buf);
		free(s->name);
		free(s);
		return status;
	}
	s->base.read = stream_read;
	s->base.free = stream_free;
	s->ops = ops;
	s->in = in;
	*out = s;
	return EK_OK;
}

ek_status ek_stream_decode(struct ek_tar_input *in, enum ek_stream_kind kind,
			   const char *name, struct ek_tar_input **out,
			   struct ek_err *err)
{
	const struct ek_stream_ops *ops = ops_of(kind);
	struct stream *s = NULL;

	if (!ops)
		return ek_fail(err, EK_INVALID, "no decoder for plain bytes");
	EK_TRY(wrap(in, ops, name, &s, err));
	*out = &s->base;
	return EK_OK;
}
