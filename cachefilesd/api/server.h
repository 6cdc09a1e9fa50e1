/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_API_SERVER_H
#define EKD_API_SERVER_H

/*
 * The API's connections: HTTP/1.1 on a listening Unix socket. One thread waits
 * for requests; each request is handled on a thread of its own.
 *
 * - Idle connections live for ever: whoever watches the daemon by one sees a
 *   hang-up when the daemon is gone, and only then.
 * - A request stays in its socket until it was answered. When the process dies
 *   meanwhile and somebody else holds the connection, the successor finds the
 *   request there and handles it (again): that may do no harm.
 */

#include "cachefilesd/api/http.h"

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ekd_api;

/* Most requests at once; further ones get 503. */
#define EKD_API_REQUESTS 32

/* What a handler answers. */
struct ekd_api_answer {
	unsigned status;  /* 200 before the call */
	const char *type; /* "application/json" before the call; static text */
	char *body;	  /* for free(); NULL: none */
	size_t n;
};

struct ekd_api_options {
	int listener;	   /* listening; stays the caller's */
	uint64_t first_id; /* of connections; not 0, no other process's */
	/* Handle one request; any number of threads. @body has request->body
	 * bytes and a NUL behind them. */
	void (*handle)(void *arg, const struct ekd_http_request *request,
		       const char *body, struct ekd_api_answer *answer);
	/*
	 * A connection came or went, for who keeps duplicates. On a thread of
	 * their own, in order; may block. NULL allowed.
	 */
	void (*keep)(void *arg, uint64_t id, int fd);
	void (*drop)(void *arg, uint64_t id);
	void *arg;
};

ek_status ekd_api_new(const struct ekd_api_options *options,
		      struct ekd_api **api, struct ek_err *err);
/* A connection of a predecessor, before start; owns @fd, also on failure. */
ek_status ekd_api_adopt(struct ekd_api *api, uint64_t id, int fd,
			struct ek_err *err);
ek_status ekd_api_start(struct ekd_api *api, struct ek_err *err);
/*
 * Take no more requests; returns when those under way were answered. Their
 * connections are closed here, but kept duplicates are not dropped. NULL
 * allowed.
 */
void ekd_api_free(struct ekd_api *api);

#endif
