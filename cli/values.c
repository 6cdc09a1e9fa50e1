/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Digits at @text; *end is what follows. */
static ek_status digits(const char *text, const char **end, uint64_t *out,
			struct ek_err *err)
{
	int base =
		text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *p = base == 16 ? text + 2 : text;
	char *stop;

	if (text[0] == '-' && isdigit((unsigned char)text[1]))
		return ek_fail(err, EK_INVALID, "must not be negative");
	/* strtoull() would take spaces and signs. */
	if (!(base == 16 ? isxdigit((unsigned char)*p)
			 : isdigit((unsigned char)*p)))
		return ek_fail(err, EK_INVALID,
			       *text ? "not a number" : "a number is needed");
	errno = 0;
	*out = strtoull(p, &stop, base);
	if (errno)
		return ek_fail(err, EK_INVALID, "the number is too large");
	*end = stop;
	return EK_OK;
}

static ek_status in_range(uint64_t v, uint64_t min, uint64_t max,
			  struct ek_err *err)
{
	if (v < min || v > max)
		return ek_fail(err, EK_INVALID,
			       "must be from %" PRIu64 " to %" PRIu64, min,
			       max);
	return EK_OK;
}

ek_status cli_unsigned(const char *value, uint64_t min, uint64_t max,
		       uint64_t *out, struct ek_err *err)
{
	const char *end;
	uint64_t v;
	ek_status s = digits(value, &end, &v, err);

	if (s == EK_OK && *end)
		s = ek_fail(err, EK_INVALID, "not a number");
	if (s == EK_OK)
		s = in_range(v, min, max, err);
	if (s == EK_OK)
		*out = v;
	return s;
}

ek_status cli_size(const char *value, uint64_t min, uint64_t max, uint64_t *out,
		   struct ek_err *err)
{
	static const char units[] = "kKmMgGtT";
	const char *end, *unit;
	uint64_t v;
	ek_status s = digits(value, &end, &v, err);

	if (s != EK_OK)
		return s;
	if (*end) {
		unsigned shift;

		unit = strchr(units, *end);
		if (!unit || end[1])
			return ek_fail(err, EK_INVALID,
				       "not a size (a number and perhaps one "
				       "of k, m, g, t)");
		shift = 10 * ((unsigned)(unit - units) / 2 + 1);
		if (v > UINT64_MAX >> shift)
			return ek_fail(err, EK_INVALID,
				       "the size is too large");
		v <<= shift;
	}
	s = in_range(v, min, max, err);
	if (s == EK_OK)
		*out = v;
	return s;
}

ek_status cli_signed(const char *value, int64_t min, int64_t max, int64_t *out,
		     struct ek_err *err)
{
	int negative = value[0] == '-';
	uint64_t v, most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
	const char *end;
	int64_t r;
	ek_status s =
		digits(value + (negative || value[0] == '+'), &end, &v, err);

	if (s == EK_OK && *end)
		s = ek_fail(err, EK_INVALID, "not a number");
	if (s == EK_OK && v > most)
		s = ek_fail(err, EK_INVALID, "the number is too large");
	if (s != EK_OK)
		return s;
	/* -INT64_MIN does not exist: negate below zero. */
	r = negative && v ? -(int64_t)(v - 1) - 1 : (int64_t)v;
	if (r < min || r > max)
		return ek_fail(err, EK_INVALID,
			       "must be from %" PRId64 " to %" PRId64, min,
			       max);
	*out = r;
	return EK_OK;
}
