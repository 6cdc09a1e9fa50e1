/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/config/json.h"

#include "cachefilesd/config/scan.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ek_status parse(const char *text, size_t n, struct json_object **root,
		       struct ek_err *err)
{
	struct json_tokener *tok = json_tokener_new_ex(EKD_JSON_DEPTH);
	enum json_tokener_error why;
	unsigned line = 1;
	size_t end;

	if (!tok)
		return ek_fail(err, EK_NOMEM, "no memory for JSON");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT |
					    JSON_TOKENER_VALIDATE_UTF8 |
					    JSON_TOKENER_ALLOW_TRAILING_CHARS);
	*root = json_tokener_parse_ex(tok, text, (int)n);
	why = json_tokener_get_error(tok);
	end = json_tokener_get_parse_end(tok);
	json_tokener_free(tok);
	for (; *root && end < n && isspace((unsigned char)text[end]);)
		end++;
	if (*root && end == n)
		return EK_OK;
	for (size_t i = 0; i < end && i < n; i++)
		line += text[i] == '\n';
	if (*root) {
		json_object_put(*root);
		*root = NULL;
		return ek_fail(err, EK_CORRUPT,
			       "line %u: something behind the JSON", line);
	}
	return ek_fail(err, EK_CORRUPT, "line %u: not JSON: %s", line,
		       why == json_tokener_success ||
				       why == json_tokener_continue
			       ? "it is cut"
			       : json_tokener_error_desc(why));
}

ek_status ekd_json_read(const char *text, size_t n, size_t most,
			struct ekd_json *json, struct ek_err *err)
{
	char path[128];
	unsigned line;
	ek_status s;

	*json = (struct ekd_json){.text = text, .n = n};
	if (n > most || n > INT32_MAX)
		return ek_fail(err, EK_LIMIT, "more than %zu bytes of JSON",
			       most);
	line = ekd_scan_quote(text, n);
	if (line)
		return ek_fail(err, EK_CORRUPT,
			       "line %u: not JSON: texts are in double quotes",
			       line);
	s = parse(text, n, &json->root, err);
	if (s != EK_OK)
		return s;
	line = ekd_scan_twice(text, n, path);
	if (!line)
		return EK_OK;
	ekd_json_free(json);
	return ek_fail(err, EK_CORRUPT, "line %u: %s is there twice", line,
		       path);
}

void ekd_json_free(struct ekd_json *json)
{
	json_object_put(json->root);
	json->root = NULL;
}

static ek_status say(const struct ekd_object *at, const char *key,
		     struct ek_err *err, const char *fmt, va_list ap)
{
	char words[256], path[256];
	unsigned line = 0;

	vsnprintf(words, sizeof(words), fmt, ap);
	snprintf(path, sizeof(path), "%s%s%s", at->path, *at->path ? "." : "",
		 key);
	if (at->json)
		line = ekd_scan_line(at->json->text, at->json->n, path);
	if (line)
		return ek_fail(err, EK_INVALID, "line %u: %s: %s", line, path,
			       words);
	return ek_fail(err, EK_INVALID, "%s: %s", path, words);
}

ek_status ekd_object_fail(const struct ekd_object *at, const char *key,
			  struct ek_err *err, const char *fmt, ...)
{
	ek_status s;
	va_list ap;

	va_start(ap, fmt);
	s = say(at, key, err, fmt, ap);
	va_end(ap);
	return s;
}

ek_status ekd_object_root(const struct ekd_json *json, struct ekd_object *at,
			  struct ek_err *err)
{
	*at = (struct ekd_object){.json = json, .o = json->root};
	if (!json_object_is_type(json->root, json_type_object))
		return ek_fail(err, EK_INVALID, "not a JSON object");
	if (json_object_object_length(json->root) > EKD_JSON_KEYS)
		return ek_fail(err, EK_LIMIT, "an object of more than %u keys",
			       EKD_JSON_KEYS);
	return EK_OK;
}

/* Member @key, noted as asked for; NULL when it is not there or null. */
static struct json_object *ask(struct ekd_object *at, const char *key)
{
	unsigned i = 0;

	if (!at->o)
		return NULL;
	json_object_object_foreach(at->o, k, v)
	{
		if (strcmp(k, key) == 0) {
			at->asked |= UINT64_C(1) << i;
			return v;
		}
		i++;
	}
	return NULL;
}

ek_status ekd_object_member(struct ekd_object *from, const char *key,
			    struct ekd_object *at, struct ek_err *err)
{
	struct json_object *o = ask(from, key);

	*at = (struct ekd_object){.json = from->json, .o = o};
	snprintf(at->path, sizeof(at->path), "%.60s%s%.60s", from->path,
		 *from->path ? "." : "", key);
	if (o && !json_object_is_type(o, json_type_object))
		return ekd_object_fail(from, key, err, "not an object");
	if (o && json_object_object_length(o) > EKD_JSON_KEYS)
		return ekd_object_fail(from, key, err, "more than %u keys",
				       EKD_JSON_KEYS);
	return EK_OK;
}

ek_status ekd_object_element(struct ekd_object *from, const char *key, size_t i,
			     size_t *n, struct ekd_object *at,
			     struct ek_err *err)
{
	struct json_object *list = ask(from, key);

	*at = (struct ekd_object){.json = from->json};
	*n = 0;
	if (!list)
		return EK_OK;
	if (!json_object_is_type(list, json_type_array))
		return ekd_object_fail(from, key, err, "not a list");
	*n = json_object_array_length(list);
	if (i >= *n)
		return EK_OK;
	at->o = json_object_array_get_idx(list, i);
	snprintf(at->path, sizeof(at->path), "%.60s%s%.40s[%zu]", from->path,
		 *from->path ? "." : "", key, i);
	if (!json_object_is_type(at->o, json_type_object) ||
	    json_object_object_length(at->o) > EKD_JSON_KEYS)
		return ekd_object_fail(from, key, err,
				       "element %zu is not an object", i);
	return EK_OK;
}

/* A text without a NUL in it, or NULL. */
static const char *plain(struct json_object *v)
{
	const char *text;

	if (!json_object_is_type(v, json_type_string))
		return NULL;
	text = json_object_get_string(v);
	if (strlen(text) != (size_t)json_object_get_string_len(v))
		return NULL;
	return text;
}

ek_status ekd_get_text(struct ekd_object *at, const char *key, const char **to,
		       struct ek_err *err)
{
	struct json_object *v = ask(at, key);

	if (!v)
		return EK_OK;
	if (!plain(v))
		return ekd_object_fail(at, key, err, "not a text");
	*to = plain(v);
	return EK_OK;
}

ek_status ekd_get_bool(struct ekd_object *at, const char *key, bool *to,
		       struct ek_err *err)
{
	struct json_object *v = ask(at, key);

	if (!v)
		return EK_OK;
	if (!json_object_is_type(v, json_type_boolean))
		return ekd_object_fail(at, key, err, "neither true nor false");
	*to = json_object_get_boolean(v);
	return EK_OK;
}

static ek_status range(struct ekd_object *at, const char *key, uint64_t v,
		       uint64_t least, uint64_t most, uint64_t *to,
		       struct ek_err *err)
{
	if (v < least || v > most)
		return ekd_object_fail(at, key, err, "not from %llu to %llu",
				       (unsigned long long)least,
				       (unsigned long long)most);
	*to = v;
	return EK_OK;
}

/* A whole number from 0 on. */
static bool whole(struct json_object *v, uint64_t *n)
{
	if (!json_object_is_type(v, json_type_int) ||
	    json_object_get_int64(v) < 0)
		return false;
	*n = json_object_get_uint64(v);
	return true;
}

ek_status ekd_get_number(struct ekd_object *at, const char *key, uint64_t least,
			 uint64_t most, uint64_t *to, struct ek_err *err)
{
	struct json_object *v = ask(at, key);
	uint64_t n;

	if (!v)
		return EK_OK;
	if (!whole(v, &n))
		return ekd_object_fail(at, key, err, "not a whole number");
	return range(at, key, n, least, most, to, err);
}

ek_status ekd_get_size(struct ekd_object *at, const char *key, uint64_t least,
		       uint64_t most, uint64_t *to, struct ek_err *err)
{
	struct json_object *v = ask(at, key);
	uint64_t n;

	if (!v)
		return EK_OK;
	if (!whole(v, &n) &&
	    (!plain(v) || ekd_size_text(plain(v), &n, NULL) != EK_OK))
		return ekd_object_fail(at, key, err,
				       "not a size such as \"64M\"");
	return range(at, key, n, least, most, to, err);
}

ek_status ekd_get_time(struct ekd_object *at, const char *key, uint64_t least,
		       uint64_t most, uint64_t *to, struct ek_err *err)
{
	struct json_object *v = ask(at, key);
	uint64_t n;

	if (!v)
		return EK_OK;
	if (!plain(v) || ekd_time_text(plain(v), &n, NULL) != EK_OK)
		return ekd_object_fail(at, key, err,
				       "not a time such as \"30s\"");
	if (n < least || n > most)
		return ekd_object_fail(at, key, err, "not from %llu to %llu ms",
				       (unsigned long long)least,
				       (unsigned long long)most);
	*to = n;
	return EK_OK;
}

ek_status ekd_get_texts(struct ekd_object *at, const char *key, size_t most,
			const char ***to, struct ek_err *err)
{
	struct json_object *v = ask(at, key);
	const char **list;
	size_t n;

	if (!v)
		return EK_OK;
	if (!json_object_is_type(v, json_type_array))
		return ekd_object_fail(at, key, err, "not a list");
	n = json_object_array_length(v);
	if (n > most)
		return ekd_object_fail(at, key, err, "more than %zu elements",
				       most);
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return ek_fail(err, EK_NOMEM, "no memory for a list");
	for (size_t i = 0; i < n; i++) {
		list[i] = plain(json_object_array_get_idx(v, i));
		if (!list[i]) {
			free(list);
			return ekd_object_fail(at, key, err,
					       "element %zu is not a text", i);
		}
	}
	free(*to);
	*to = list;
	return EK_OK;
}

ek_status ekd_object_done(struct ekd_object *at, struct ek_err *err)
{
	unsigned i = 0;

	if (!at->o)
		return EK_OK;
	json_object_object_foreach(at->o, k, v)
	{
		(void)v;
		if (!(at->asked & UINT64_C(1) << i))
			return ekd_object_fail(at, k, err, "no such key");
		i++;
	}
	return EK_OK;
}

/* A decimal number before a unit; NULL when there is none or it is too big. */
static const char *number(const char *text, uint64_t *n)
{
	const char *p = text;
	uint64_t v = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (v > UINT64_MAX / 16)
			return NULL;
		v = v * 10 + (uint64_t)(*p - '0');
	}
	*n = v;
	return p == text ? NULL : p;
}

ek_status ekd_time_text(const char *text, uint64_t *ms, struct ek_err *err)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1},
		     {"s", 1000},
		     {"m", 60000},
		     {"h", 3600000},
		     {"d", 86400000}};
	uint64_t n;
	const char *unit = number(text, &n);

	for (size_t i = 0; unit && i < sizeof(units) / sizeof(*units); i++)
		if (strcmp(unit, units[i].unit) == 0 &&
		    n <= UINT64_MAX / units[i].ms) {
			*ms = n * units[i].ms;
			return EK_OK;
		}
	return ek_fail(err, EK_INVALID, "not a time such as 500ms or 30s");
}

ek_status ekd_size_text(const char *text, uint64_t *bytes, struct ek_err *err)
{
	static const char units[] = "kmgt";
	uint64_t n;
	const char *unit = number(text, &n);
	unsigned shift = 0;

	if (unit && *unit) {
		const char *at = strchr(units, tolower((unsigned char)*unit));

		shift = at ? 10 * (unsigned)(at - units + 1) : 64;
		if (unit[1])
			shift = 64;
	}
	if (!unit || shift > 40 || n > UINT64_MAX >> shift)
		return ek_fail(err, EK_INVALID, "not a size such as 64k or 2G");
	*bytes = n << shift;
	return EK_OK;
}
