/* SPDX-License-Identifier: Apache-2.0 */
#include "base/vec.h"

#include <stdint.h>
#include <string.h>

ek_status ek_vec_grow(void *at, size_t n, size_t *cap, size_t item,
		      size_t limit, struct ek_err *err)
{
	size_t more = *cap < 8 ? 8 : *cap * 2;
	void *old, *grown;

	if (n >= limit)
		return ek_fail(err, EK_LIMIT, "more than %zu items", limit);
	if (n < *cap)
		return EK_OK;
	if (more > SIZE_MAX / item)
		return ek_fail(err, EK_NOMEM, "no memory for %zu items", more);
	memcpy(&old, at, sizeof(old));
	grown = realloc(old, more * item);
	if (!grown)
		return ek_fail(err, EK_NOMEM, "no memory for %zu items", more);
	memcpy(at, &grown, sizeof(grown));
	*cap = more;
	return EK_OK;
}
