/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/json.h"

#include "cli/options.h"

#include <ctype.h>
#include <string.h>

static const char *type_name(json_type type)
{
	switch (type) {
	case json_type_object:
		return "an object";
	case json_type_array:
		return "an array";
	case json_type_string:
		return "a text";
	case json_type_int:
		return "a number";
	default:
		return "something else";
	}
}

ek_status tarfs_json_parse(const char *bytes, size_t n, const char *what,
			   struct json_object **root, struct ek_err *err)
{
	struct json_tokener *tok;
	struct json_object *got;
	enum json_tokener_error why;
	size_t end;

	if (n > TARFS_JSON_MAX)
		return ek_fail(err, EK_LIMIT, "%s: more than %u bytes of JSON",
			       what, TARFS_JSON_MAX);
	tok = json_tokener_new_ex(TARFS_JSON_DEPTH);
	if (!tok)
		return ek_fail(err, EK_NOMEM, "no memory for JSON");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT |
					    JSON_TOKENER_VALIDATE_UTF8 |
					    JSON_TOKENER_ALLOW_TRAILING_CHARS);
	got = json_tokener_parse_ex(tok, bytes, (int)n);
	why = json_tokener_get_error(tok);
	end = json_tokener_get_parse_end(tok);
	json_tokener_free(tok);
	while (got && end < n && isspace((unsigned char)bytes[end]))
		end++;
	if (got && end == n) {
		*root = got;
		return EK_OK;
	}
	json_object_put(got);
	if (got)
		return ek_fail(err, EK_CORRUPT, "%s: bytes behind the JSON",
			       what);
	return ek_fail(err, EK_CORRUPT, "%s: not JSON: %s", what,
		       why == json_tokener_continue
			       ? "it is cut"
			       : json_tokener_error_desc(why));
}

ek_status tarfs_json_member(struct json_object *object, const char *key,
			    json_type type, bool needed, const char *what,
			    struct json_object **member, struct ek_err *err)
{
	struct json_object *got = NULL;

	*member = NULL;
	if (!json_object_is_type(object, json_type_object))
		return ek_fail(err, EK_CORRUPT, "%s: not an object", what);
	json_object_object_get_ex(object, key, &got);
	if (!got && needed)
		return ek_fail(err, EK_CORRUPT, "%s: no %s", what, key);
	if (got && !json_object_is_type(got, type))
		return ek_fail(err, EK_CORRUPT, "%s: %s is not %s", what, key,
			       type_name(type));
	*member = got;
	return EK_OK;
}

static ek_status plain_text(struct json_object *value, const char *what,
			    const char *key, const char **text,
			    struct ek_err *err)
{
	const char *got = json_object_get_string(value);

	if (!got || strlen(got) != (size_t)json_object_get_string_len(value))
		return ek_fail(err, EK_CORRUPT, "%s: %s has a NUL", what, key);
	*text = got;
	return EK_OK;
}

ek_status tarfs_json_text(struct json_object *object, const char *key,
			  bool needed, const char *what, const char **text,
			  struct ek_err *err)
{
	struct json_object *got;

	*text = NULL;
	CLI_TRY(tarfs_json_member(object, key, json_type_string, needed, what,
				  &got, err));
	return got ? plain_text(got, what, key, text, err) : EK_OK;
}

ek_status tarfs_json_number(struct json_object *object, const char *key,
			    bool needed, const char *what, uint64_t *number,
			    struct ek_err *err)
{
	struct json_object *got;
	int64_t v;

	*number = 0;
	CLI_TRY(tarfs_json_member(object, key, json_type_int, needed, what,
				  &got, err));
	v = got ? json_object_get_int64(got) : 0;
	if (v < 0)
		return ek_fail(err, EK_CORRUPT, "%s: %s is negative", what,
			       key);
	*number = (uint64_t)v;
	return EK_OK;
}

ek_status tarfs_json_at(struct json_object *list, size_t i, json_type type,
			const char *what, struct json_object **at,
			struct ek_err *err)
{
	*at = json_object_array_get_idx(list, i);
	if (!json_object_is_type(*at, type))
		return ek_fail(err, EK_CORRUPT, "%s: element %zu is not %s",
			       what, i, type_name(type));
	return EK_OK;
}

ek_status tarfs_json_text_at(struct json_object *list, size_t i,
			     const char *what, const char **text,
			     struct ek_err *err)
{
	struct json_object *at;

	CLI_TRY(tarfs_json_at(list, i, json_type_string, what, &at, err));
	return plain_text(at, what, "a text", text, err);
}
