/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FSCK_RESTORE_H
#define FSCK_RESTORE_H

/* --extract=DIR and --to-tar=FILE. */

#include "fsck/report.h"

/*
 * Restore what the options ask for from @image. Damage met is a finding of
 * @r; what fails outside of the image is a message and "unchecked".
 */
void fsck_restore(struct fsck_report *r, struct ek_image *image);

#endif
