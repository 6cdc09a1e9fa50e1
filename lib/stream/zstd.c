/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/decoder.h"

#include "base/bytes.h"

#include <zstd.h>
#include <zstd_errors.h>

#define WINDOW_LOG_MAX 27 /* EK_STREAM_WINDOW_MAX */

static ek_status zstd_open(void **state, struct ek_err *err)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();

	if (!d)
		return ek_fail(err, EK_NOMEM, "no memory for zstd");
	ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	*state = d;
	return EK_OK;
}

static ek_status zstd_run(void *state, struct ek_stream_step *step, bool *done,
			  struct ek_err *err)
{
	ZSTD_inBuffer in = {step->in, step->in_left, 0};
	ZSTD_outBuffer out = {step->out, step->out_left, 0};
	size_t rc = ZSTD_decompressStream(state, &out, &in);

	if (ZSTD_isError(rc)) {
		ZSTD_ErrorCode code = ZSTD_getErrorCode(rc);

		return ek_fail(
			err,
			code == ZSTD_error_memory_allocation ? EK_NOMEM
			: code == ZSTD_error_frameParameter_windowTooLarge
				? EK_LIMIT
				: EK_CORRUPT,
			"zstd: %s", ZSTD_getErrorName(rc));
	}
	step->in += in.pos;
	step->in_left -= in.pos;
	step->out += out.pos;
	step->out_left -= out.pos;
	*done = rc == 0;
	return EK_OK;
}

static ek_status zstd_again(void *state, struct ek_err *err)
{
	if (ZSTD_isError(ZSTD_DCtx_reset(state, ZSTD_reset_session_only)))
		return ek_fail(err, EK_INVALID, "zstd cannot begin again");
	return EK_OK;
}

static void zstd_close(void *state)
{
	ZSTD_freeDCtx(state);
}

const struct ek_stream_ops ek_stream_zstd = {zstd_open, zstd_run, zstd_again,
					     zstd_close};
