/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_JSON_H
#define TARFS_JSON_H

/*
 * JSON that others wrote. Everything is checked: nesting, types, no NUL inside
 * a text, no text that is not UTF-8. @what names the document in errors.
 */

#include <erofskit/status.h>

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nesting that an index, manifest or configuration may have. */
#define TARFS_JSON_DEPTH 32
/* Bytes of one document: registries stop at 4 MiB for manifests. */
#define TARFS_JSON_MAX (16u << 20)

/* Parse @n bytes into *root, to be given to json_object_put(). */
ek_status tarfs_json_parse(const char *bytes, size_t n, const char *what,
			   struct json_object **root, struct ek_err *err);

/*
 * Members of @object. A member that is missing (or null) gives NULL, false or
 * 0 unless @needed; one of another type is EK_CORRUPT. Texts are borrowed.
 */
ek_status tarfs_json_text(struct json_object *object, const char *key,
			  bool needed, const char *what, const char **text,
			  struct ek_err *err);
ek_status tarfs_json_number(struct json_object *object, const char *key,
			    bool needed, const char *what, uint64_t *number,
			    struct ek_err *err);
ek_status tarfs_json_member(struct json_object *object, const char *key,
			    json_type type, bool needed, const char *what,
			    struct json_object **member, struct ek_err *err);

/* Element @i of array @list, which must be of @type. */
ek_status tarfs_json_at(struct json_object *list, size_t i, json_type type,
			const char *what, struct json_object **at,
			struct ek_err *err);
/* The text of element @i. */
ek_status tarfs_json_text_at(struct json_object *list, size_t i,
			     const char *what, const char **text,
			     struct ek_err *err);

#endif
