/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_CODEC_LZ4CUT_H
#define EK_CODEC_LZ4CUT_H

/* Shorter LZ4 streams made of longer ones, without encoding again. */

#include <stddef.h>
#include <stdint.h>

/*
 * @stream of @size bytes is one that an encoder has made of the @len bytes at
 * @in. Change it so that it decodes to the first @want of them, 0 < @want <
 * @len. Returns its new size; 0 when that would be more than @room bytes:
 * then nothing has changed. The end of the stream obeys the rules of the
 * format: it has 5 literals at least, and no match begins in the last 12
 * bytes. Not for streams from outside, which are not checked.
 */
size_t ek_lz4_shorten(const uint8_t *in, size_t len, uint8_t *stream,
		      size_t size, size_t room, size_t want);

#endif
