/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/decoder.h"

#include "base/bytes.h"

#include <lzma.h>
#include <stdlib.h>

static ek_status xz_begin(lzma_stream *s, struct ek_err *err)
{
	/* liblzma itself goes on over members and their padding (.xz). */
	lzma_ret rc = lzma_auto_decoder(s, EK_STREAM_WINDOW_MAX + (8u << 20),
					LZMA_CONCATENATED);

	if (rc != LZMA_OK)
		return ek_fail(err, EK_NOMEM, "no memory for xz");
	return EK_OK;
}

static ek_status xz_open(void **state, struct ek_err *err)
{
	static const lzma_stream empty = LZMA_STREAM_INIT;
	lzma_stream *s = malloc(sizeof(*s));
	ek_status status;

	if (!s)
		return ek_fail(err, EK_NOMEM, "no memory for xz");
	*s = empty;
	status = xz_begin(s, err);
	if (status == EK_OK)
		*state = s;
	else
		free(s);
	return status;
}

static ek_status xz_run(void *state, struct ek_stream_step *step, bool *done,
			struct ek_err *err)
{
	lzma_stream *s = state;
	lzma_ret rc;

	s->next_in = step->in;
	s->avail_in = step->in_left;
	s->next_out = step->out;
	s->avail_out = step->out_left;
	rc = lzma_code(s, step->at_end ? LZMA_FINISH : LZMA_RUN);
	step->in = s->next_in;
	step->in_left = s->avail_in;
	step->out = s->next_out;
	step->out_left = s->avail_out;
	*done = rc == LZMA_STREAM_END;
	switch (rc) {
	case LZMA_OK:
	case LZMA_STREAM_END:
	case LZMA_BUF_ERROR:
		return EK_OK;
	case LZMA_MEM_ERROR:
		return ek_fail(err, EK_NOMEM, "no memory for xz");
	case LZMA_MEMLIMIT_ERROR:
		return ek_fail(err, EK_LIMIT,
			       "xz: a window of more than %u bytes",
			       EK_STREAM_WINDOW_MAX);
	case LZMA_OPTIONS_ERROR:
		return ek_fail(err, EK_UNSUPPORTED, "xz: unknown filter");
	default:
		return ek_fail(err, EK_CORRUPT, "xz: broken stream");
	}
}

static ek_status xz_again(void *state, struct ek_err *err)
{
	return xz_begin(state, err);
}

static void xz_close(void *state)
{
	lzma_end(state);
	free(state);
}

const struct ek_stream_ops ek_stream_xz = {xz_open, xz_run, xz_again, xz_close};
