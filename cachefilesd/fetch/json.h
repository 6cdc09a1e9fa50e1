/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_JSON_H
#define EKD_FETCH_JSON_H

/* JSON of strangers: nothing is what it should be until it was looked at. */

#include <json-c/json.h>

#include <stddef.h>

/* One object, all of the bytes, for json_object_put(); NULL when it is not. */
struct json_object *ekd_json_parse(const void *bytes, size_t n);
/* A member of this type, or NULL; @object may be anything, NULL too. */
struct json_object *ekd_json_member(struct json_object *object,
				    const char *name, enum json_type type);
/* A string without NULs inside, or "". */
const char *ekd_json_text(struct json_object *object, const char *name);

#endif
