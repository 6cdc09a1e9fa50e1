/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_LOG_H
#define EKD_LOG_H

/*
 * Log lines on a descriptor: pairs of key=value, or one JSON object a line.
 * More than 50 lines a second (200 at once) are left out and counted. Bytes
 * that could forge a line or steer a terminal are escaped. Any thread.
 */

#include "cachefilesd/config/config.h"

#include <erofskit/status.h>

struct ekd_log;

/* @who ("holder", "worker") is copied; @fd is borrowed. */
ek_status ekd_log_new(int fd, const char *who, struct ekd_log **log,
		      struct ek_err *err);
void ekd_log_free(struct ekd_log *log);
void ekd_log_set(struct ekd_log *log, enum ekd_log_level level, bool json);

/*
 * Event @event with pairs of key and value, closed by NULL. A value that is
 * NULL leaves its pair out. NULL @log: nothing happens.
 */
void ekd_log_event(struct ekd_log *log, enum ekd_log_level level,
		   const char *event, ...) __attribute__((sentinel));

/*
 * A line that is made of key=value already, as the parts of the daemon tell
 * it; values with spaces are in double quotes.
 */
void ekd_log_line(struct ekd_log *log, enum ekd_log_level level,
		  const char *line);

#endif
