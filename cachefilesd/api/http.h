/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_HTTP_H
#define EKD_HTTP_H

/*
 * HTTP/1.1 as the API speaks it, from bytes to a checked request. Pure
 * functions over the caller's memory; any thread.
 */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Most bytes of a request's head and of its body. Together they fit the
 * buffer of a socket (net.core.wmem_default of Linux is 208 KiB): a request
 * stays there until it is answered.
 */
#define EKD_HTTP_HEAD_MAX (8u << 10)
#define EKD_HTTP_BODY_MAX (64u << 10)
/* A path with the longest target fits, all of it encoded. */
#define EKD_HTTP_PATH_MAX 4096u
#define EKD_HTTP_PARAMS	  16u

enum ekd_http_method {
	EKD_HTTP_GET,
	EKD_HTTP_PUT,
	EKD_HTTP_POST,
	EKD_HTTP_DELETE,
	EKD_HTTP_OTHER,
};

struct ekd_http_param {
	const char *name, *value; /* decoded; in struct ekd_http_request */
};

struct ekd_http_request {
	enum ekd_http_method method;
	bool keep_alive, expects_continue;
	size_t head; /* bytes of the head */
	size_t body; /* bytes that follow it */
	char *path;  /* decoded; begins with '/' */
	uint32_t n_params;
	struct ekd_http_param params[EKD_HTTP_PARAMS];
	char text[EKD_HTTP_PATH_MAX]; /* where path and params lie */
};

enum ekd_http_parsed {
	EKD_HTTP_WHOLE, /* the head is here; @request is filled */
	EKD_HTTP_MORE,	/* it is not whole yet */
	EKD_HTTP_WRONG, /* *status says why; nothing else can be read */
};

/*
 * Read the head at @bytes. The request is not moved afterwards: its texts
 * point into it. *status (400, 413, 414, 431, 501, 505) goes with
 * EKD_HTTP_WRONG.
 */
enum ekd_http_parsed ekd_http_parse(const char *bytes, size_t n,
				    struct ekd_http_request *request,
				    unsigned *status);

/* Value of parameter @name, or NULL. */
const char *ekd_http_param(const struct ekd_http_request *request,
			   const char *name);

/* "Not Found" of 404; never NULL. */
const char *ekd_http_words(unsigned status);

/*
 * The head of a response of @n bytes of @type into @to (EKD_HTTP_ANSWER
 * bytes); returns its length. 204 has no body.
 */
#define EKD_HTTP_ANSWER 512u
size_t ekd_http_answer(char *to, unsigned status, const char *type, size_t n,
		       bool keep_alive);

/* The status of a failure of the API: 400, 404, 409, 500, ... */
unsigned ekd_http_status(ek_status status);

/*
 * The head of a response, for the client's side: *status, and bytes of head
 * and body (*body SIZE_MAX: until the end of the stream).
 */
enum ekd_http_parsed ekd_http_parse_answer(const char *bytes, size_t n,
					   unsigned *status, size_t *head,
					   size_t *body);

#endif
