/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/json.h"

#include <limits.h>
#include <string.h>

#define NESTING_MAX 32

struct json_object *ekd_json_parse(const void *bytes, size_t n)
{
	const char *text = bytes;
	struct json_tokener *tok;
	struct json_object *top = NULL;

	if (n == 0 || n > INT_MAX)
		return NULL;
	tok = json_tokener_new_ex(NESTING_MAX);
	if (!tok)
		return NULL;
	top = json_tokener_parse_ex(tok, text, (int)n);
	if (top) {
		size_t end = json_tokener_get_parse_end(tok);

		while (end < n && text[end] && strchr(" \t\r\n", text[end]))
			end++;
		if (end < n || !json_object_is_type(top, json_type_object)) {
			json_object_put(top);
			top = NULL;
		}
	}
	json_tokener_free(tok);
	return top;
}

struct json_object *ekd_json_member(struct json_object *object,
				    const char *name, enum json_type type)
{
	struct json_object *value;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, name, &value) ||
	    !json_object_is_type(value, type))
		return NULL;
	return value;
}

const char *ekd_json_text(struct json_object *object, const char *name)
{
	struct json_object *value =
		ekd_json_member(object, name, json_type_string);

	if (!value || strlen(json_object_get_string(value)) !=
			      (size_t)json_object_get_string_len(value))
		return "";
	return json_object_get_string(value);
}
