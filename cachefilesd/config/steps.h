/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_STEPS_H
#define EKD_STEPS_H

/*
 * Kill points for tests. EKD_KILL=STEP:N in the environment ends the process
 * with SIGKILL when it passes step STEP ("store:...", "serve:...") the N-th
 * time.
 */

#include <erofskit/status.h>

#include <stdatomic.h>

struct ekd_steps {
	char name[64]; /* "": none */
	atomic_long left;
};

/* From the text of the variable, NULL: no step. EK_INVALID. */
ek_status ekd_steps_set(struct ekd_steps *steps, const char *text,
			struct ek_err *err);
/* The hook: @arg is the struct ekd_steps. Any thread. */
void ekd_steps_pass(void *arg, const char *name);

#endif
