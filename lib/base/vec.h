/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BASE_VEC_H
#define EK_BASE_VEC_H

/*
 * Growing array of one type:  EK_VEC(struct foo) v = {0};
 * EK_TRY(ek_vec_push(&v, item, LIMIT, err)); free with ek_vec_free(&v).
 */

#include <erofskit/status.h>
#include <stddef.h>
#include <stdlib.h>

#define EK_VEC(type)                                                           \
	struct {                                                               \
		type *at;                                                      \
		size_t n, cap;                                                 \
	}

/* Room for one more item; EK_LIMIT beyond @limit items. */
ek_status ek_vec_grow(void *at, size_t n, size_t *cap, size_t item,
		      size_t limit, struct ek_err *err);

#define ek_vec_push(v, item, limit, err)                                       \
	({                                                                     \
		ek_status ek_vec_status =                                      \
			ek_vec_grow(&(v)->at, (v)->n, &(v)->cap,               \
				    sizeof(*(v)->at), (limit), (err));         \
		if (ek_vec_status == EK_OK)                                    \
			(v)->at[(v)->n++] = (item);                            \
		ek_vec_status;                                                 \
	})

#define ek_vec_free(v) (free((v)->at), (v)->at = NULL, (v)->n = (v)->cap = 0)

#endif
