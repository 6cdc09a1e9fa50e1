/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/decoder.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <zlib.h>

static ek_status gzip_open(void **state, struct ek_err *err)
{
	z_stream *z = calloc(1, sizeof(*z));

	/* 15 + 16: the largest window, gzip header and trailer checked. */
	if (!z || inflateInit2(z, 15 + 16) != Z_OK) {
		free(z);
		return ek_fail(err, EK_NOMEM, "no memory for gzip");
	}
	*state = z;
	return EK_OK;
}

static ek_status gzip_run(void *state, struct ek_stream_step *step, bool *done,
			  struct ek_err *err)
{
	z_stream *z = state;
	uInt in = (uInt)ek_min(step->in_left, UINT32_MAX);
	uInt out = (uInt)ek_min(step->out_left, UINT32_MAX);
	int rc;

	z->next_in = (Bytef *)(uintptr_t)step->in;
	z->avail_in = in;
	z->next_out = step->out;
	z->avail_out = out;
	rc = inflate(z, Z_NO_FLUSH);
	step->in += in - z->avail_in;
	step->in_left -= in - z->avail_in;
	step->out += out - z->avail_out;
	step->out_left -= out - z->avail_out;
	*done = rc == Z_STREAM_END;
	if (rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR)
		return EK_OK;
	if (rc == Z_MEM_ERROR)
		return ek_fail(err, EK_NOMEM, "no memory for gzip");
	return ek_fail(err, EK_CORRUPT, "gzip: %s",
		       z->msg ? z->msg : "broken stream");
}

static ek_status gzip_again(void *state, struct ek_err *err)
{
	if (inflateReset(state) != Z_OK)
		return ek_fail(err, EK_INVALID, "gzip cannot begin again");
	return EK_OK;
}

static void gzip_close(void *state)
{
	inflateEnd(state);
	free(state);
}

const struct ek_stream_ops ek_stream_gzip = {gzip_open, gzip_run, gzip_again,
					     gzip_close};
