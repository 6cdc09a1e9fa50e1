/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_CONFIG_JSON_H
#define EKD_CONFIG_JSON_H

/*
 * JSON from outside (json-c beneath): one whole document, strict, UTF-8,
 * bounded in bytes and depth, no key twice. An object is read by its keys:
 * every one that was not asked for is an error, so nothing that a user wrote
 * is passed over in silence.
 *
 * On failure err->text begins with "line N: " where that is known. Texts that
 * are handed out live as long as the document. One thread at a time.
 */

#include <erofskit/status.h>

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EKD_JSON_DEPTH 16
/* Most keys of one object that is read through struct ekd_object. */
#define EKD_JSON_KEYS 64

struct ekd_json {
	const char *text; /* borrowed: lives as long as the document */
	size_t n;
	struct json_object *root;
};

/* EK_LIMIT: more than @most bytes; EK_CORRUPT: not one JSON document. */
ek_status ekd_json_read(const char *text, size_t n, size_t most,
			struct ekd_json *json, struct ek_err *err);
void ekd_json_free(struct ekd_json *json);

/* An object that is being read. */
struct ekd_object {
	const struct ekd_json *json;
	struct json_object *o;
	char path[128]; /* "cache", "" for the document */
	uint64_t asked; /* bit: key number n was asked for */
};

/* The document itself. EK_CORRUPT: it is no object. */
ek_status ekd_object_root(const struct ekd_json *json, struct ekd_object *at,
			  struct ek_err *err);
/*
 * Member @key, an object; at->o is NULL when there is none. Reading out of
 * such an object gives what is there by default.
 */
ek_status ekd_object_member(struct ekd_object *from, const char *key,
			    struct ekd_object *at, struct ek_err *err);
/* Element @i of the array at @key; *n elements in all. at->o NULL: no more. */
ek_status ekd_object_element(struct ekd_object *from, const char *key, size_t i,
			     size_t *n, struct ekd_object *at,
			     struct ek_err *err);

/* Each leaves *to as it was when the key is not there or null. */
ek_status ekd_get_text(struct ekd_object *at, const char *key, const char **to,
		       struct ek_err *err);
ek_status ekd_get_bool(struct ekd_object *at, const char *key, bool *to,
		       struct ek_err *err);
ek_status ekd_get_number(struct ekd_object *at, const char *key, uint64_t least,
			 uint64_t most, uint64_t *to, struct ek_err *err);
/* A number of bytes, or a text such as "64M". */
ek_status ekd_get_size(struct ekd_object *at, const char *key, uint64_t least,
		       uint64_t most, uint64_t *to, struct ek_err *err);
/* Milliseconds, from a text such as "500ms", "30s", "5m" or "1h". */
ek_status ekd_get_time(struct ekd_object *at, const char *key, uint64_t least,
		       uint64_t most, uint64_t *to, struct ek_err *err);
/*
 * A list of texts, closed by NULL, for free() (its texts belong to the
 * document). At most @most of them. *to stays as it was without the key.
 */
ek_status ekd_get_texts(struct ekd_object *at, const char *key, size_t most,
			const char ***to, struct ek_err *err);

/*
 * EK_INVALID when the object has a key that nobody asked for; EK_LIMIT: more
 * than EKD_JSON_KEYS keys.
 */
ek_status ekd_object_done(struct ekd_object *at, struct ek_err *err);
/* Complain about member @key: "line N: path.key: WORDS". */
ek_status ekd_object_fail(const struct ekd_object *at, const char *key,
			  struct ek_err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* "500ms", "30s", "5m", "1h" or "2d" in milliseconds. EK_INVALID. */
ek_status ekd_time_text(const char *text, uint64_t *ms, struct ek_err *err);
/* "512", "64k", "20G" in bytes. EK_INVALID. */
ek_status ekd_size_text(const char *text, uint64_t *bytes, struct ek_err *err);

#endif
