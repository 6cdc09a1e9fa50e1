/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_CLIENT_H
#define EKD_CLIENT_H

/* The verbs' side of the API: one request, one answer. */

#include "cachefilesd/opts.h"

#include <json-c/json.h>

#include <stdio.h>

/* Most bytes of an answer. */
#define EKD_ANSWER_MAX (128u << 20)

struct ekd_answer {
	unsigned status;
	char *body; /* with a NUL behind it; for free() */
	size_t n;
};

/*
 * @method @path to the daemon that @o names; @json (or NULL) is the body. A
 * status other than 2xx is a failure with the daemon's words.
 */
ek_status ekd_ask(const struct ekd_options *o, const char *method,
		  const char *path, struct json_object *json,
		  struct ekd_answer *answer, struct ek_err *err);
void ekd_answer_free(struct ekd_answer *answer);

/*
 * Until the holder of the daemon that @o names has ended, which keeps a file
 * beside the socket locked. EK_IO: it does not within 20 s.
 */
ek_status ekd_wait_end(const struct ekd_options *o, struct ek_err *err);

/* "PATH?image=TARGET" with @target percent-encoded and made absolute;
 * free(*text). */
ek_status ekd_image_path(const char *path, const char *target, char **text,
			 struct ek_err *err);

/* The answer's JSON, for json_object_put(). */
ek_status ekd_answer_json(const struct ekd_answer *answer,
			  struct json_object **json, struct ek_err *err);
/* Member @key of @json as a number (true: 1); 0 without one. */
int64_t ekd_answer_number(struct json_object *json, const char *key);

#endif
