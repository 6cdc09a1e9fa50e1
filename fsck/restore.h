/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FSCK_RESTORE_H
#define FSCK_RESTORE_H

/* --extract=DIR and --to-tar=FILE. */

#include "fsck/report.h"

/*
 * Restore what the options @o ask for from @image. All that is not right is
 * told to @tell, node by node; @path NULL: what ended it all.
 */
void fsck_restore(const struct fsck_options *o, struct ek_image *image,
		  struct ek_extract_result *result, ek_extract_note_fn tell,
		  void *arg);

/*
 * An ek_extract_note_fn whose argument is a struct fsck_report: damage met is
 * a finding, what fails outside of the image is "unchecked", the rest is a
 * message.
 */
void fsck_restore_tell(void *arg, const char *path, ek_status status,
		       const char *words);

#endif
