/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FSCK_EVIDENCE_H
#define FSCK_EVIDENCE_H

/* --digest, --verity-root, --make-verity, --manifest. */

#include "fsck/report.h"

#include <erofskit/source.h>

/*
 * Compare the image with all evidence that the options give. What does not
 * fit is a finding and sets r->evidence_failed; what held is noted.
 */
void fsck_evidence(struct fsck_report *r, struct ek_source *image,
		   struct ek_source *const *devices, size_t n_devices);

#endif
