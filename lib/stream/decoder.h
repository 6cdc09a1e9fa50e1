/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_STREAM_DECODER_H
#define EK_STREAM_DECODER_H

/* What a decoder gives to the loop of stream.c: one file a format. */

#include <erofskit/stream.h>

struct ek_stream_step {
	const uint8_t *in;
	size_t in_left;
	uint8_t *out;
	size_t out_left;
	bool at_end; /* no input follows what is in @in */
};

struct ek_stream_ops {
	ek_status (*open)(void **state, struct ek_err *err);
	/*
	 * Move both ends of @step on. *done when a whole stream ended just
	 * before step->in: the next byte, if any, begins another.
	 */
	ek_status (*run)(void *state, struct ek_stream_step *step, bool *done,
			 struct ek_err *err);
	/* Make ready for a further member; zeros between are padding. */
	ek_status (*again)(void *state, struct ek_err *err);
	void (*close)(void *state);
};

extern const struct ek_stream_ops ek_stream_gzip, ek_stream_xz, ek_stream_zstd;

#endif
