/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_CODEC_DATA_H
#define UNIT_CODEC_DATA_H

/* Bytes to code: the same on every machine. */

#include "codec/codec.h"

struct rng {
	uint64_t state;
};

uint32_t rng_next(struct rng *rng);

enum kind {
	KIND_RANDOM, /* does not compress */
	KIND_TEXT,   /* words of a small alphabet */
	KIND_ZERO,   /* one run */
	KIND_MIXED,  /* runs of the others, near and far repeats */
	KIND_COUNT
};

void fill_data(uint8_t *to, size_t n, enum kind kind, uint64_t seed);

/* A decoder with usual parameters; the test fails when there is none. */
struct ek_decoder *new_decoder(enum ek_algorithm algorithm);

/* An encoder by name; the test fails when there is none. */
struct ek_encoder *new_encoder(const char *name, int level);

/*
 * One whole stream by the reference library of @algorithm; returns its length.
 */
size_t encode_whole(enum ek_algorithm algorithm, const uint8_t *in, size_t n_in,
		    uint8_t *out, size_t room);

#endif
