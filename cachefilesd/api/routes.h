/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_API_ROUTES_H
#define EKD_API_ROUTES_H

/*
 * The API's paths: JSON of requests to the service's structs and back. See
 * docs/daemon.md for all of them.
 */

#include "cachefilesd/api/server.h"
#include "cachefilesd/worker/service.h"

#include <stdio.h>

struct ekd_routes {
	struct ekd_service *service;
	uint32_t generation; /* of the worker */
	const char *door;    /* "fuse" */
};

/* The handler of ekd_api_options; @routes is a struct ekd_routes. */
void ekd_routes_handle(void *routes, const struct ekd_http_request *request,
		       const char *body, struct ekd_api_answer *answer);

/* A failure as the body of an answer: {"code", "message"}. */
void ekd_answer_failure(struct ekd_api_answer *answer, unsigned status,
			const char *code, const char *message);

/* Bodies of answers (report.c, metrics.c); written to @out. */
void ekd_report_daemon(const struct ekd_routes *routes, FILE *out);
void ekd_report_images(const struct ekd_routes *routes, FILE *out);
void ekd_report_waits(const struct ekd_routes *routes, uint32_t min_ms,
		      FILE *out);
void ekd_report_blobs(const struct ekd_routes *routes, FILE *out);
void ekd_report_hosts(const struct ekd_routes *routes, FILE *out);
void ekd_report_metrics(const struct ekd_routes *routes, FILE *out);

#endif
