/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BASE_TRY_H
#define EK_BASE_TRY_H

#include <erofskit/status.h>

#include <stdlib.h>

/* Forward a failing status to the caller. */
#define EK_TRY(expr)                                                           \
	do {                                                                   \
		ek_status ek_try_status = (expr);                              \
		if (ek_try_status != EK_OK)                                    \
			return ek_try_status;                                  \
	} while (0)

/* A bug of the programmer, never of the input: stops release builds too. */
#define EK_BUG_ON(cond)                                                        \
	do {                                                                   \
		if (cond)                                                      \
			abort();                                               \
	} while (0)

/* What a function owns and frees on every way out. */
#define EK_CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void ek_cleanup_free(void *p)
{
	free(*(void **)p);
}

#define EK_AUTO_FREE EK_CLEANUP(ek_cleanup_free)

#define EK_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
