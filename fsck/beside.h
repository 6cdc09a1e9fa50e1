/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FSCK_BESIDE_H
#define FSCK_BESIDE_H

/*
 * Extraction beside the check. It needs nothing of the check but that the
 * superblock could be followed, so it starts then, on a thread of its own, and
 * what it has to tell waits until the check has told everything. The output
 * is that of one after the other.
 */

#include "fsck/report.h"

struct fsck_beside;

/*
 * Start it: open the image in @source with @io and extract as @r's options
 * say. NULL when that cannot be; then nothing was done. Sources and options
 * are borrowed until fsck_beside_end().
 */
struct fsck_beside *fsck_beside_start(const struct fsck_report *r,
				      struct ek_source *source,
				      const struct ek_image_options *io);

/*
 * Wait for the end and free it. @r: who is told, while it goes on; NULL: it
 * is of no interest any more, and nobody.
 */
void fsck_beside_end(struct fsck_beside *b, struct fsck_report *r);

#endif
