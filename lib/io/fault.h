/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_IO_FAULT_H
#define EK_IO_FAULT_H

/*
 * The fault seam: a source or sink in front of another that fails or damages
 * bytes as it is told. For tests of everything that reads or writes.
 */

#include <erofskit/source.h>
#include "io/sink.h"

#include <stdbool.h>

struct ek_fault {
	/* The byte at this position is changed by ^= mask (0: none). */
	uint64_t flip_at;
	uint8_t flip_mask;
	/*
	 * Calls that touch a byte from here on fail with EK_IO and this errno
	 * (0: none). A write keeps what is before the position.
	 */
	uint64_t fail_at;
	int fail_errno;
	/* Calls that were made so far; counted by the wrapper. */
	unsigned calls;
};

/*
 * A source over @of, both @of and @fault borrowed until it is freed; @fault
 * may be changed between calls.
 */
ek_status ek_fault_source(struct ek_source *of, struct ek_fault *fault,
			  struct ek_source **src, struct ek_err *err);

/* The same for a sink: the damage is written, reads are passed on. */
ek_status ek_fault_sink(struct ek_sink *of, struct ek_fault *fault,
			struct ek_sink **sink, struct ek_err *err);

#endif
