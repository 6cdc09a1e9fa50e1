/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_CODEC_DEFLCUT_H
#define EK_CODEC_DEFLCUT_H

/*
 * Ending a raw DEFLATE stream early. Its bits are read once, without decoding
 * what they stand for, to find the last symbol that leaves room for the end of
 * its block: then a codec that knows nothing of a room fills it to the last
 * byte in one pass.
 */

#include "base/bytes.h"

/*
 * @stream holds @n bytes of a stream, which may go on behind them. Make its
 * first blocks and symbols that fit @room bytes (at most @n) a stream of its
 * own: *@n_used gets its bytes and *@n_out how many it decodes to, both 0 when
 * nothing fits or when @stream is not one. Changes no byte from @room on.
 */
void ek_deflate_cut(uint8_t *stream, size_t n, size_t room, size_t *n_out,
		    size_t *n_used);

/*
 * No stream may begin with a byte of 0, as a stored block does that is not the
 * last. Behind its three bits are some that nobody reads.
 */
static inline void ek_deflate_mark_start(uint8_t *out, size_t n)
{
	if (n && out[0] == 0)
		out[0] = 8;
}

#endif
