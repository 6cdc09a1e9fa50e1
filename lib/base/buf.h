/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BASE_BUF_H
#define EK_BASE_BUF_H

/* A growing run of bytes with a limit that its maker must give. */

#include <erofskit/status.h>
#include "base/bytes.h"

struct ek_buf {
	uint8_t *data;
	size_t len, cap;
	size_t limit; /* bytes; more is EK_LIMIT */
};

#define EK_BUF_INIT(max)                                                       \
	(struct ek_buf)                                                        \
	{                                                                      \
		.limit = (max)                                                 \
	}

/* Make room for @n more bytes after len; does not change len. */
ek_status ek_buf_reserve(struct ek_buf *buf, size_t n, struct ek_err *err);
ek_status ek_buf_append(struct ek_buf *buf, const void *from, size_t n,
			struct ek_err *err);
ek_status ek_buf_append_zeros(struct ek_buf *buf, size_t n, struct ek_err *err);
/* printf into the buffer; no NUL is counted, but one follows. */
ek_status ek_buf_printf(struct ek_buf *buf, struct ek_err *err, const char *fmt,
			...) __attribute__((format(printf, 3, 4)));
/* Frees the bytes; the buffer is empty and usable again. */
void ek_buf_free(struct ek_buf *buf);

#endif
