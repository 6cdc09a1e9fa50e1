/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_FIELDS_H
#define EKD_FETCH_FIELDS_H

/* Fields of answers, from bytes of anybody to checked values. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EKD_SIZE_UNKNOWN UINT64_MAX

struct ekd_content_range {
	uint64_t first, last; /* inclusive, first <= last */
	uint64_t size;	      /* of the whole, above last; or unknown */
};

/* "bytes 0-99/200", and with an asterisk for the size; false for all else. */
bool ekd_content_range_parse(const char *text, size_t n,
			     struct ekd_content_range *range);

/*
 * Retry-After: seconds, or a date against @now (seconds of CLOCK_REALTIME; a
 * date that has passed gives 0). At most a day; false when it is neither.
 */
bool ekd_retry_after_parse(const char *text, int64_t now, uint32_t *seconds);

/* The type without parameters and blanks, in lower case; cut at @room. */
void ekd_media_parse(const char *text, char *to, size_t room);

#endif
