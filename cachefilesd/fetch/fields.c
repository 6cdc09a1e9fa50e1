/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/fields.h"

#include <curl/curl.h>

#include <string.h>
#include <strings.h>

#define DAY 86400

/* Decimal digits alone, @n of them; false on overflow. */
static bool parse_number(const char *text, size_t n, uint64_t *value)
{
	uint64_t v = 0;

	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
			return false;
	}
	*value = v;
	return true;
}

/* Digits up to @stop (0: to the end); moves on behind it. */
static bool take_number(const char **at, const char *end, char stop,
			uint64_t *value)
{
	const char *to = end;

	if (stop) {
		to = memchr(*at, stop, (size_t)(end - *at));
		if (!to)
			return false;
	}
	if (!parse_number(*at, (size_t)(to - *at), value))
		return false;
	*at = stop ? to + 1 : to;
	return true;
}

bool ekd_content_range_parse(const char *text, size_t n,
			     struct ekd_content_range *range)
{
	static const char unit[] = "bytes";
	const char *at = text, *end = text + n;
	size_t blanks = 0;

	if (n < sizeof(unit) || strncasecmp(at, unit, sizeof(unit) - 1) != 0)
		return false;
	for (at += sizeof(unit) - 1; at < end && *at == ' '; at++)
		blanks++;
	if (blanks == 0 || !take_number(&at, end, '-', &range->first) ||
	    !take_number(&at, end, '/', &range->last))
		return false;
	if (range->first > range->last)
		return false;
	if (end - at == 1 && *at == '*') {
		range->size = EKD_SIZE_UNKNOWN;
		return range->last < EKD_SIZE_UNKNOWN;
	}
	return take_number(&at, end, '\0', &range->size) &&
	       range->size < EKD_SIZE_UNKNOWN && range->last < range->size;
}

bool ekd_retry_after_parse(const char *text, int64_t now, uint32_t *seconds)
{
	size_t n = strlen(text);
	uint64_t value;
	int64_t date;

	if (n > 0 && strspn(text, "0123456789") == n) {
		if (!parse_number(text, n, &value) || value > DAY)
			value = DAY;
		*seconds = (uint32_t)value;
		return true;
	}
	date = (int64_t)curl_getdate(text, NULL);
	if (date < 0)
		return false;
	if (date <= now)
		*seconds = 0;
	else
		*seconds = date - now > DAY ? DAY : (uint32_t)(date - now);
	return true;
}

void ekd_media_parse(const char *text, char *to, size_t room)
{
	size_t n = strcspn(text, "; \t");

	if (n >= room)
		n = room - 1;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		to[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	to[n] = '\0';
}
