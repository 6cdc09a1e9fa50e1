/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/config/steps.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ek_status ekd_steps_set(struct ekd_steps *steps, const char *text,
			struct ek_err *err)
{
	const char *colon = text ? strrchr(text, ':') : NULL;
	size_t n;
	char *end;
	long count;

	*steps->name = 0;
	atomic_init(&steps->left, 0);
	if (!text || !*text)
		return EK_OK;
	n = colon ? (size_t)(colon - text) : 0;
	count = colon ? strtol(colon + 1, &end, 10) : 0;
	if (count < 1 || *end || n >= sizeof(steps->name))
		return ek_fail(err, EK_INVALID, "EKD_KILL: not STEP:N");
	memcpy(steps->name, text, n);
	steps->name[n] = 0;
	atomic_store(&steps->left, count);
	return EK_OK;
}

void ekd_steps_pass(void *arg, const char *name)
{
	struct ekd_steps *steps = arg;

	if (!*steps->name || strcmp(steps->name, name) != 0)
		return;
	if (atomic_fetch_sub(&steps->left, 1) == 1)
		kill(getpid(), SIGKILL);
}
