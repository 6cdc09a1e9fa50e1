/* SPDX-License-Identifier: Apache-2.0 */

/* Time, jitter, log lines, secrets, errors of one kind, threads. */

#include "cachefilesd/fetch/priv.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static uint64_t read_clock(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t ekd_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t ekd_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

uint64_t ekd_jitter(struct ekd_fetch *f, uint64_t ms)
{
	/* Marsaglia's xorshift: spread is all that is asked of it. */
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return ms / 2 + f->random % (ms / 2 + 1);
}

void ekd_fetch_say(struct ekd_fetch *f, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	if (!f->config.log)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	f->config.log(f->config.log_arg, line);
}

void ekd_wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

ek_status ekd_fail_io(struct ek_err *err, int sys, const char *fmt, ...)
{
	char text[EK_ERR_TEXT];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	ek_fail(err, EK_IO, "%s", text);
	if (err)
		err->sys = sys;
	return EK_IO;
}

int ekd_thread(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t all;
	int sys = pthread_attr_init(&attr);

	if (sys != 0)
		return sys;
	sigfillset(&all);
	sys = pthread_attr_setsigmask_np(&attr, &all);
	if (sys == 0)
		sys = pthread_create(thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return sys;
}
