/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_API_KEEP_H
#define EKD_API_KEEP_H

/*
 * Tells somebody else, who may be slow, which connections there are: in order,
 * on a thread of its own, so that the API's loop never waits for him. Who
 * handles a request may wait, for a while: see ekd_keep_wait().
 */

#include <erofskit/status.h>

#include <stdint.h>

struct ekd_keep;

/* @keep and @drop may be NULL. */
ek_status ekd_keep_new(void (*keep)(void *arg, uint64_t id, int fd),
		       void (*drop)(void *arg, uint64_t id), void *arg,
		       struct ekd_keep **made, struct ek_err *err);
/* Tells what is left, then ends. NULL allowed. */
void ekd_keep_free(struct ekd_keep *keep);

/*
 * A duplicate of @fd is handed on and closed here. What ekd_keep_wait() takes;
 * 0: it is not kept.
 */
uint64_t ekd_keep_add(struct ekd_keep *keep, uint64_t id, int fd);
/* Until that one was told, @seconds at most. Any thread. */
void ekd_keep_wait(struct ekd_keep *keep, uint64_t added, unsigned seconds);
void ekd_keep_drop(struct ekd_keep *keep, uint64_t id);

#endif
