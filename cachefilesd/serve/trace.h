/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_TRACE_H
#define EKD_TRACE_H

/*
 * The file form of a trace. Text, one record a line, fields parted by one
 * space, numbers decimal without a sign or zeros before them:
 *
 *	erofskit trace 1
 *	blob NAME SIZE		for each blob: number 0, 1, ... in this order
 *	N OFFSET LENGTH		ranges of blob N, in order of first touch
 *	end RANGES		the count of ranges: it is whole
 *
 * Ranges lie inside their blob and are not empty; nothing follows the last
 * line. Names are those of the store. Nothing in it depends on the node, on
 * times or on the size of a leaf.
 *
 * Pure functions; any thread.
 */

#include <erofskit/status.h>

#include <stddef.h>
#include <stdint.h>

#define EKD_TRACE_BLOBS	 256u
#define EKD_TRACE_RANGES (1u << 20)
/* Most bytes of a file. */
#define EKD_TRACE_MAX (64u << 20)

struct ekd_trace_blob {
	char name[129];
	uint64_t size;
};

struct ekd_trace_range {
	uint32_t blob; /* index */
	uint64_t offset, n;
};

struct ekd_trace_file {
	uint32_t n_blobs, n_ranges;
	struct ekd_trace_blob *blobs;
	struct ekd_trace_range *ranges;
};

/* EK_CORRUPT: not a trace; the text tells the line. For ekd_trace_forget(). */
ek_status ekd_trace_parse(const char *text, size_t n,
			  struct ekd_trace_file *file, struct ek_err *err);
/* Frees what it holds. */
void ekd_trace_forget(struct ekd_trace_file *file);
/* The text of @file, closed by a NUL that *n does not count; free(*text). */
ek_status ekd_trace_print(const struct ekd_trace_file *file, char **text,
			  size_t *n, struct ek_err *err);

#endif
