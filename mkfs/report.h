/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MKFS_REPORT_H
#define MKFS_REPORT_H

#include "mkfs/opts.h"

/* The line of progress on a terminal. */
struct progress {
	bool shown; /* there is a line to be wiped */
	uint64_t next_ns;
	unsigned width;
};

/* Nanoseconds of a clock that never goes back. */
uint64_t now_ns(void);

/* Wanted only when standard output is a terminal. */
bool progress_wanted(const struct mkfs_options *o);
/* As ek_build_options.progress; @arg is a struct progress of zeros. */
void progress_step(void *arg, const char *path, uint64_t done, uint64_t total);
/* Wipe the line. */
void progress_end(struct progress *p);

/* First line of standard output, unless quiet or JSON. */
void report_start(const struct mkfs_options *o);
/* What was built, in the form that @o asks for. */
void report_done(const struct mkfs_options *o,
		 const struct ek_build_stats *stats, uint64_t total_ns,
		 uint64_t finish_ns);

#endif
