/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cachefilesd/api/http.h"

#include <stdio.h>

extern const struct CMUnitTest http_tests[];

static unsigned parse(const char *text, struct ekd_http_request *r)
{
	unsigned status;
	enum ekd_http_parsed p = ekd_http_parse(text, strlen(text), r, &status);

	if (p == EKD_HTTP_MORE)
		return 1;
	return p == EKD_HTTP_WHOLE ? 0 : status;
}

static void whole(void **state)
{
	static const char text[] =
		"POST /v1/a%2Fb?x=%41+b&empty&y=1%3d HTTP/1.1\r\n"
		"Host: unix\r\ncontent-LENGTH:  12 \r\n"
		"Expect: 100-continue\r\n\r\n{\"a\": true}\r\n";
	struct ekd_http_request r;

	(void)state;
	assert_int_equal(parse(text, &r), 0);
	assert_int_equal(r.method, EKD_HTTP_POST);
	assert_string_equal(r.path, "/v1/a/b");
	assert_int_equal(r.n_params, 3);
	assert_string_equal(ekd_http_param(&r, "x"), "A b");
	assert_string_equal(ekd_http_param(&r, "empty"), "");
	assert_string_equal(ekd_http_param(&r, "y"), "1=");
	assert_null(ekd_http_param(&r, "z"));
	assert_int_equal(r.body, 12);
	assert_memory_equal(text + r.head, "{\"a\"", 4);
	assert_true(r.keep_alive);
	assert_true(r.expects_continue);
	assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n", &r), 0);
	assert_false(r.keep_alive);
	assert_int_equal(r.body, 0);
	assert_int_equal(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n"
			       "\r\n",
			       &r),
			 0);
	assert_true(r.keep_alive);
	assert_int_equal(
		parse("BREW / HTTP/1.1\r\nConnection: Close\r\n\r\n", &r), 0);
	assert_int_equal(r.method, EKD_HTTP_OTHER);
	assert_false(r.keep_alive);
}

/* Every beginning of a request asks for more. */
static void pieces(void **state)
{
	static const char text[] = "PUT /a?b=c HTTP/1.1\r\nHost: x\r\n"
				   "Content-Length: 3\r\n\r\n";
	struct ekd_http_request r;
	unsigned status;

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(ekd_http_parse(text, n, &r, &status),
				 EKD_HTTP_MORE);
	assert_int_equal(ekd_http_parse(text, sizeof(text) - 1, &r, &status),
			 EKD_HTTP_WHOLE);
}

static void wrong(void **state)
{
	static const struct {
		const char *text;
		unsigned status;
	} cases[] = {
		{"\r\n\r\n", 400},
		{"GET\r\n\r\n", 400},
		{"GET /\r\n\r\n", 400},
		{"GET x HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1 \r\n\r\n", 505},
		{"GET / HTTP/2.0\r\n\r\n", 505},
		{"GET / HTTP/1.2\r\n\r\n", 505},
		{"GET / FTP/1.1x\r\n\r\n", 400},
		{"G T / HTTP/1.1\r\n\r\n", 400},
		{" GET / HTTP/1.1\r\n\r\n", 400},
		{"GET /% HTTP/1.1\r\n\r\n", 400},
		{"GET /%4 HTTP/1.1\r\n\r\n", 400},
		{"GET /%00 HTTP/1.1\r\n\r\n", 400},
		{"GET /%zz HTTP/1.1\r\n\r\n", 400},
		{"GET /a?b=%0 HTTP/1.1\r\n\r\n", 400},
		{"GET /a\tb HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n: x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nA : x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nA: x\r\n folded\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nA: \x01\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nContent-Length: \r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nContent-Length: "
		 "99999999999999999999\r\n\r\n",
		 400},
		{"GET / HTTP/1.1\r\nContent-Length: 1\r\n"
		 "Content-Length: 2\r\n\r\n",
		 400},
		{"GET / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413},
		{"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
		{"GET /?1&2&3&4&5&6&7&8&9&a&b&c&d&e&f&g&h HTTP/1.1\r\n\r\n",
		 400},
	};
	struct ekd_http_request r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (parse(cases[i].text, &r) != cases[i].status)
			fail_msg("%u of %s", parse(cases[i].text, &r),
				 cases[i].text);
}

static void limits(void **state)
{
	char text[EKD_HTTP_HEAD_MAX + 100];
	struct ekd_http_request r;
	unsigned status;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /", 5);
	assert_int_equal(ekd_http_parse(text, sizeof(text), &r, &status),
			 EKD_HTTP_WRONG);
	assert_int_equal(status, 431);
	memcpy(text + 5000, " HTTP/1.1\r\n\r\n", 13);
	assert_int_equal(ekd_http_parse(text, sizeof(text), &r, &status),
			 EKD_HTTP_WRONG);
	assert_int_equal(status, 414);
	memcpy(text + EKD_HTTP_PATH_MAX - EKD_HTTP_PARAMS - 2 + 4,
	       " HTTP/1.1\r\n\r\n", 13);
	assert_int_equal(ekd_http_parse(text, sizeof(text), &r, &status),
			 EKD_HTTP_WHOLE);
}

static void answers(void **state)
{
	char head[EKD_HTTP_ANSWER], type[400];
	size_t n, head_n, body;
	unsigned status;

	(void)state;
	n = ekd_http_answer(head, 200, "text/plain", 7, true);
	assert_int_equal(
		ekd_http_parse_answer(head, n, &status, &head_n, &body),
		EKD_HTTP_WHOLE);
	assert_int_equal(status, 200);
	assert_int_equal(head_n, n);
	assert_int_equal(body, 7);
	assert_null(strstr(head, "Connection"));
	n = ekd_http_answer(head, 204, "text/plain", 0, false);
	assert_int_equal(
		ekd_http_parse_answer(head, n, &status, &head_n, &body),
		EKD_HTTP_WHOLE);
	assert_int_equal(status, 204);
	assert_int_equal(body, 0);
	assert_null(strstr(head, "Content-"));
	assert_non_null(strstr(head, "Connection: close\r\n"));
	memset(type, 't', sizeof(type));
	type[399] = 0;
	assert_true(ekd_http_answer(head, 999, type, SIZE_MAX, false) <
		    EKD_HTTP_ANSWER);
	assert_int_equal(ekd_http_parse_answer("HTTP/1.1 2x0 OK\r\n\r\n", 19,
					       &status, &head_n, &body),
			 EKD_HTTP_WRONG);
	assert_int_equal(ekd_http_parse_answer("HTTP/1.1 200 OK\r\n", 17,
					       &status, &head_n, &body),
			 EKD_HTTP_MORE);
}

const struct CMUnitTest http_tests[] = {
	cmocka_unit_test(whole),   cmocka_unit_test(pieces),
	cmocka_unit_test(wrong),   cmocka_unit_test(limits),
	cmocka_unit_test(answers), UNIT_END,
};
