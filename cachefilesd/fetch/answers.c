/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/answers.h"
#include "cachefilesd/fetch/json.h"
#include "cachefilesd/fetch/reference.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define ENTRIES_MAX   1024
#define TOKEN_SECONDS 60

static bool printable(const char *text)
{
	for (; *text; text++)
		if (*text < 0x21 || *text > 0x7e)
			return false;
	return true;
}

ek_status ekd_token_parse(const uint8_t *bytes, size_t n, char **token,
			  uint32_t *seconds, struct ek_err *err)
{
	struct json_object *top = ekd_json_parse(bytes, n), *life;
	const char *text;

	*token = NULL;
	if (!top)
		return ek_fail(err, EK_CORRUPT,
			       "the token server's answer is not JSON");
	text = ekd_json_text(top, "token");
	if (!*text)
		text = ekd_json_text(top, "access_token");
	*seconds = TOKEN_SECONDS;
	life = ekd_json_member(top, "expires_in", json_type_int);
	if (life && json_object_get_int64(life) > 0)
		*seconds = json_object_get_int64(life) > INT_MAX / 1000
				   ? INT_MAX / 1000
				   : (uint32_t)json_object_get_int64(life);
	if (*text && strlen(text) <= EKD_TOKEN_MAX && printable(text))
		*token = strdup(text);
	text = *text ? "a token that cannot be sent" : "no token";
	json_object_put(top);
	if (!*token)
		return ek_fail(err, EK_CORRUPT, "the token server gave %s",
			       text);
	return EK_OK;
}

/* This host's "linux/ARCH", in the words of the image specification. */
static void own_platform(char *to, size_t room)
{
	static const char *const names[][2] = {
		{"x86_64", "amd64"},	{"aarch64", "arm64"},
		{"i686", "386"},	{"armv7l", "arm"},
		{"armv6l", "arm"},	{"ppc64le", "ppc64le"},
		{"s390x", "s390x"},	{"riscv64", "riscv64"},
		{"mips64", "mips64le"}, {"loongarch64", "loong64"},
	};
	const char *arch;
	struct utsname uts;

	if (uname(&uts) != 0)
		memcpy(uts.machine, "unknown", sizeof("unknown"));
	arch = uts.machine;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(uts.machine, names[i][0]) == 0)
			arch = names[i][1];
	snprintf(to, room, "linux/%s", arch);
}

/* Whether an entry's platform is @want; @has gets its name for people. */
static bool platform_fits(struct json_object *entry, const char *want,
			  char *has, size_t room)
{
	struct json_object *p =
		ekd_json_member(entry, "platform", json_type_object);
	const char *variant = ekd_json_text(p, "variant");
	size_t n;

	snprintf(has, room, "%.40s/%.40s", ekd_json_text(p, "os"),
		 ekd_json_text(p, "architecture"));
	n = strlen(has);
	if (strcmp(has, want) == 0)
		return true;
	if (*variant)
		snprintf(has + n, room - n, "/%.40s", variant);
	return strcmp(has, want) == 0;
}

/* Text of strangers goes into an error: keep it to letters. */
static void plain(char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}

static ek_status choose(struct json_object *list, const char *platform,
			char digest[72], struct ek_err *err)
{
	size_t n = json_object_array_length(list), used = 0;
	char seen[512] = "", has[160];

	if (n > ENTRIES_MAX)
		return ek_fail(err, EK_LIMIT, "an index of %zu manifests", n);
	for (size_t i = 0; i < n; i++) {
		struct json_object *entry = json_object_array_get_idx(list, i);
		const char *name = ekd_json_text(entry, "digest");

		if (platform_fits(entry, platform, has, sizeof(has))) {
			if (!ekd_digest_ok(name))
				return ek_fail(err, EK_CORRUPT,
					       "the index's digest for %s is "
					       "wrong",
					       platform);
			memcpy(digest, name, 72);
			return EK_OK;
		}
		plain(has);
		if (used + strlen(has) + 2 < sizeof(seen))
			used += (size_t)snprintf(
				seen + used, sizeof(seen) - used, " %s", has);
	}
	return ek_fail(err, EK_NOTFOUND,
		       "the index has nothing for %.100s; it has%s", platform,
		       *seen ? seen : " nothing");
}

ek_status ekd_index_choose(const uint8_t *bytes, size_t n, const char *platform,
			   char digest[72], struct ek_err *err)
{
	struct json_object *top = ekd_json_parse(bytes, n), *list;
	char own[128];
	ek_status status;

	if (!platform) {
		own_platform(own, sizeof(own));
		platform = own;
	}
	if (!top)
		return ek_fail(err, EK_CORRUPT, "the index is not JSON");
	list = ekd_json_member(top, "manifests", json_type_array);
	if (list)
		status = choose(list, platform, digest, err);
	else
		status = ek_fail(err, EK_CORRUPT, "an index without manifests");
	json_object_put(top);
	return status;
}

void ekd_error_code(const uint8_t *bytes, size_t n, char *to, size_t room)
{
	struct json_object *top = ekd_json_parse(bytes, n), *list, *first;
	const char *code;
	size_t length;

	to[0] = '\0';
	if (!top)
		return;
	list = ekd_json_member(top, "errors", json_type_array);
	first = list && json_object_array_length(list) > 0
			? json_object_array_get_idx(list, 0)
			: NULL;
	code = ekd_json_text(first, "code");
	length = strlen(code);
	if (length < room && length < 40 &&
	    strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == length)
		memcpy(to, code, length + 1);
	json_object_put(top);
}
