/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FSCK_REPORT_H
#define FSCK_REPORT_H

/* What fsck.erofs tells: findings as they come, then the summary. */

#include "cli/json.h"
#include "fsck/opts.h"

#include <stdio.h>

struct fsck_report {
	const struct fsck_options *options;
	FILE *out; /* stdout, or stderr when a tar stream goes there */
	struct cli_json json;
	/* Beyond the counts of the check: of evidence and extraction. */
	uint64_t errors, unchecked;
	struct ek_check_result check;
	bool have_extract;
	struct ek_extract_result extract;
	double extract_cpu; /* seconds of its own thread, if it had one */
	/* Evidence that held, for the last line: "digest, manifest". */
	char proved[128];
	bool evidence_failed;  /* it did not hold, for whatever reason */
	bool evidence_differs; /* it was compared and does not fit */
	char made_root[129];   /* root hash of --make-verity */
};

void fsck_report_start(struct fsck_report *r);
/* A finding of the check, or of fsck itself. */
void fsck_report_finding(void *arg, const struct ek_finding *finding);
/* A finding of fsck itself; @code is static text. */
void fsck_report_add(struct fsck_report *r, const char *code,
		     enum ek_severity severity, const char *path,
		     const char *words);
void fsck_report_proved(struct fsck_report *r, const char *what);
/* Summary; returns the exit status. */
int fsck_report_end(struct fsck_report *r);
/* The exit status as things stand. */
int fsck_report_status(const struct fsck_report *r);

#endif
