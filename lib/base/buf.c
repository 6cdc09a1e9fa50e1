/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/try.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ek_status ek_buf_reserve(struct ek_buf *buf, size_t n, struct ek_err *err)
{
	size_t need, cap;
	uint8_t *data;

	if (n > buf->limit || buf->len > buf->limit - n)
		return ek_fail(err, EK_LIMIT, "more than %zu bytes",
			       buf->limit);
	need = buf->len + n;
	if (need <= buf->cap)
		return EK_OK;
	cap = buf->cap < 64 ? 64 : buf->cap;
	while (cap < need)
		cap = cap > buf->limit / 2 ? buf->limit : cap * 2;
	data = realloc(buf->data, cap);
	if (!data)
		return ek_fail(err, EK_NOMEM, "no memory for %zu bytes", cap);
	buf->data = data;
	buf->cap = cap;
	return EK_OK;
}

ek_status ek_buf_append(struct ek_buf *buf, const void *from, size_t n,
			struct ek_err *err)
{
	EK_TRY(ek_buf_reserve(buf, n, err));
	if (n)
		memcpy(buf->data + buf->len, from, n);
	buf->len += n;
	return EK_OK;
}

ek_status ek_buf_append_zeros(struct ek_buf *buf, size_t n, struct ek_err *err)
{
	EK_TRY(ek_buf_reserve(buf, n, err));
	if (n)
		memset(buf->data + buf->len, 0, n);
	buf->len += n;
	return EK_OK;
}

ek_status ek_buf_printf(struct ek_buf *buf, struct ek_err *err, const char *fmt,
			...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return ek_fail(err, EK_INVALID, "text cannot be formatted");
	EK_TRY(ek_buf_reserve(buf, (size_t)n + 1, err));
	va_start(ap, fmt);
	vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf->len += (size_t)n;
	return EK_OK;
}

void ek_buf_free(struct ek_buf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->cap = 0;
}
