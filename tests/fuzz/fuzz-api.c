/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/api/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void inside(const struct ekd_http_request *r, const char *text)
{
	if (text < r->text || text >= r->text + sizeof(r->text) ||
	    !memchr(text, 0, (size_t)(r->text + sizeof(r->text) - text)))
		abort();
}

/* A head that is whole is one for longer input, too, and the same. */
static void request(const char *bytes, size_t n)
{
	struct ekd_http_request *r = malloc(sizeof(*r));
	unsigned status = 0;
	enum ekd_http_parsed parsed;

	if (!r)
		abort();
	parsed = ekd_http_parse(bytes, n, r, &status);
	if (parsed == EKD_HTTP_WRONG && status < 400)
		abort();
	if (parsed == EKD_HTTP_WHOLE) {
		size_t head = r->head, body = r->body;

		if (head > n || head > EKD_HTTP_HEAD_MAX ||
		    body > EKD_HTTP_BODY_MAX || r->n_params > EKD_HTTP_PARAMS ||
		    r->path[0] != '/')
			abort();
		inside(r, r->path);
		for (uint32_t i = 0; i < r->n_params; i++) {
			inside(r, r->params[i].name);
			inside(r, r->params[i].value);
		}
		if (ekd_http_parse(bytes, head, r, &status) != EKD_HTTP_WHOLE ||
		    r->head != head || r->body != body)
			abort();
	}
	free(r);
}

/* What is answered is understood by who asked. */
static void answer(unsigned status, size_t n, bool keep_alive)
{
	char to[EKD_HTTP_ANSWER];
	unsigned got = 0;
	size_t head = 0, body = 0, len;

	len = ekd_http_answer(to, status, "application/json", n, keep_alive);
	if (len >= sizeof(to) ||
	    ekd_http_parse_answer(to, len, &got, &head, &body) !=
		    EKD_HTTP_WHOLE ||
	    got != status || head != len || (status != 204 && body != n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *bytes = malloc(n + 1);
	size_t head = 0, body;
	unsigned status;

	if (!bytes)
		abort();
	memcpy(bytes, data, n);
	request(bytes, n);
	answer(100 + (n ? data[0] * 2 : 0), n, n & 1);
	if (ekd_http_parse_answer(bytes, n, &status, &head, &body) ==
		    EKD_HTTP_WHOLE &&
	    (head > n || status > 999))
		abort();
	free(bytes);
	return 0;
}
