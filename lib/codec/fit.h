/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_CODEC_FIT_H
#define EK_CODEC_FIT_H

/*
 * Filling a room with a codec that has streaming state but no fixed output, by
 * flush points: each part is guessed a little short and topped up, and what is
 * too much is left out.
 *
 * All arithmetic is on integers, so that every machine cuts alike.
 */

#include "codec/impl.h"

/* A stream that grows part by part. */
struct ek_flush_ops {
	/* Begin a stream in @out, of which @room bytes may be used. */
	ek_status (*start)(struct ek_encoder *enc, uint8_t *out, size_t room,
			   struct ek_err *err);
	/*
	 * Encode @n more bytes and flush. *@total gets the bytes of the stream
	 * up to there, without its end; more than the room means that this
	 * part did not fit: about how many it would be.
	 */
	ek_status (*push)(struct ek_encoder *enc, const uint8_t *in, size_t n,
			  size_t *total, struct ek_err *err);
	/*
	 * End the stream behind the last part that fit, which ends at @total;
	 * returns its bytes, at most room + end.
	 */
	size_t (*seal)(struct ek_encoder *enc, size_t total);
	size_t end;  /* bytes that seal adds at most */
	size_t head; /* about what each part costs beyond its data */
	size_t part; /* largest part */
};

/* Contract of ek_encoder_ops.fill. */
ek_status ek_fit_flush(struct ek_encoder *enc, const struct ek_flush_ops *ops,
		       const uint8_t *in, size_t *n_in, uint8_t *out,
		       size_t n_out, size_t *n_used, struct ek_err *err);

#endif
