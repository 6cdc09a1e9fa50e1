/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/docker.h"
#include "cachefilesd/fetch/helper.h"
#include "cachefilesd/fetch/json.h"
#include "cachefilesd/fetch/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* How docker's own registry stands in these files. */
#define HUB "https://index.docker.io/v1/"

/* The host in a key: without scheme, and without a path. */
static bool names_host(const char *key, const char *host)
{
	size_t n;

	if (strncmp(key, "https://", 8) == 0)
		key += 8;
	else if (strncmp(key, "http://", 7) == 0)
		key += 7;
	n = strcspn(key, "/");
	if (strcmp(host, "docker.io") == 0 && n == 15 &&
	    memcmp(key, "index.docker.io", n) == 0)
		return true;
	return n == strlen(host) && memcmp(key, host, n) == 0;
}

/* The entry for @host; an exact key before one with scheme or path. */
static struct json_object *entry_of(struct json_object *map, const char *host,
				    const char **key)
{
	struct json_object *value = NULL;

	*key = host;
	if (!map)
		return NULL;
	if (json_object_object_get_ex(map, host, &value))
		return value;
	json_object_object_foreach(map, name, member)
	{
		if (names_host(name, host)) {
			*key = name;
			return member;
		}
	}
	return NULL;
}

static ek_status decode_auth(const char *text, char **secret,
			     struct ek_err *err)
{
	size_t n = strlen(text), at = 0;
	uint32_t bits = 0, have = 0;
	char *out = calloc(1, n / 4 * 3 + 4);

	if (!out)
		return ek_fail(err, EK_NOMEM, "no memory for credentials");
	while (n > 0 && text[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		uint32_t v = c >= 'A' && c <= 'Z'   ? (uint32_t)(c - 'A')
			     : c >= 'a' && c <= 'z' ? (uint32_t)(c - 'a') + 26
			     : c >= '0' && c <= '9' ? (uint32_t)(c - '0') + 52
			     : c == '+'		    ? 62
			     : c == '/'		    ? 63
						    : 64;

		bits = bits << 6 | (v & 63);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[at] = (char)(bits >> have);
			/* A NUL would end it early: what follows is lost. */
			v = out[at++] == '\0' ? 64 : v;
		}
		if (v > 63) {
			explicit_bzero(out, at);
			free(out);
			return ek_fail(err, EK_CORRUPT,
				       "\"auth\" is not base 64 of text");
		}
	}
	if (!strchr(out, ':')) {
		ekd_wipe(out);
		return ek_fail(err, EK_CORRUPT,
			       "\"auth\" is not user:password");
	}
	*secret = out;
	return EK_OK;
}

static ek_status join(const char *user, const char *password, char **secret,
		      struct ek_err *err)
{
	if (asprintf(secret, "%s:%s", user, password) < 0) {
		*secret = NULL;
		return ek_fail(err, EK_NOMEM, "no memory for credentials");
	}
	return EK_OK;
}

static ek_status from_auths(struct json_object *top, const char *host,
			    char **secret, struct ek_err *err)
{
	struct json_object *entry;
	const char *key, *token, *auth, *user;

	entry = entry_of(ekd_json_member(top, "auths", json_type_object), host,
			 &key);
	token = ekd_json_text(entry, "identitytoken");
	auth = ekd_json_text(entry, "auth");
	user = ekd_json_text(entry, "username");
	if (*token)
		return join("<token>", token, secret, err);
	if (*auth)
		return decode_auth(auth, secret, err);
	if (*user)
		return join(user, ekd_json_text(entry, "password"), secret,
			    err);
	return EK_OK;
}

static ek_status parse_helper(const char *name, const char *text, char **secret,
			      struct ek_err *err)
{
	struct json_object *top = ekd_json_parse(text, strlen(text));
	const char *user = ekd_json_text(top, "Username");
	const char *password = ekd_json_text(top, "Secret");
	ek_status status = EK_OK;

	if (!top)
		status = ek_fail(err, EK_CORRUPT, "%s: its answer is not JSON",
				 name);
	else if (*user && !strchr(user, ':'))
		status = join(user, password, secret, err);
	json_object_put(top);
	return status;
}

static ek_status from_helper(const char *name, const char *key,
			     uint32_t timeout_ms, char **secret,
			     struct ek_err *err)
{
	char program[160], *text = NULL;
	const char *argv[] = {program, "get", NULL};
	ek_status status;
	int code = 0;

	if (strlen(name) > 100 ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789-_.") != strlen(name))
		return ek_fail(err, EK_CORRUPT,
			       "a credential helper's name is wrong");
	snprintf(program, sizeof(program), "docker-credential-%s", name);
	EKD_TRY(ekd_helper_run(argv, key, EKD_DOCKER_HELPER_MAX, timeout_ms,
			       &text, &code, err));
	if (code == 0)
		status = parse_helper(program, text, secret, err);
	else if (strstr(text, "not found"))
		status = EK_OK; /* it works, and knows none */
	else
		status = ekd_fail_io(err, EIO, "%s ends with status %d",
				     program, code);
	ekd_wipe(text);
	return status;
}

static ek_status read_file(const char *path, char **text, size_t *n,
			   struct ek_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ek_status status = EK_OK;
	struct stat st;
	ssize_t got;

	*text = NULL;
	*n = 0;
	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", path);
	if (fstat(fd, &st) != 0)
		status = ek_fail_sys(err, errno, "%s", path);
	else if (!S_ISREG(st.st_mode) || st.st_size > EKD_DOCKER_CONFIG_MAX)
		status = ek_fail(err, EK_LIMIT,
				 "%s: not a file, or more than %u bytes", path,
				 EKD_DOCKER_CONFIG_MAX);
	else if (!(*text = malloc((size_t)st.st_size + 1)))
		status = ek_fail(err, EK_NOMEM, "no memory for %s", path);
	while (status == EK_OK && *n < (size_t)st.st_size) {
		got = read(fd, *text + *n, (size_t)st.st_size - *n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			status = ek_fail_sys(err, errno, "%s", path);
		if (got <= 0)
			break;
		*n += (size_t)got;
	}
	close(fd);
	if (status == EK_OK)
		(*text)[*n] = '\0';
	return status;
}

static ek_status look_up(struct json_object *top, const char *host,
			 uint32_t timeout_ms, char **secret, struct ek_err *err)
{
	struct json_object *helper;
	const char *key, *store;

	helper = entry_of(ekd_json_member(top, "credHelpers", json_type_object),
			  host, &key);
	if (json_object_is_type(helper, json_type_string))
		return from_helper(json_object_get_string(helper), key,
				   timeout_ms, secret, err);
	store = ekd_json_text(top, "credsStore");
	if (*store)
		EKD_TRY(from_helper(store,
				    strcmp(host, "docker.io") == 0 ? HUB : host,
				    timeout_ms, secret, err));
	if (*secret)
		return EK_OK;
	return from_auths(top, host, secret, err);
}

ek_status ekd_docker_credentials(const char *path, const char *host,
				 uint32_t timeout_ms, char **secret,
				 struct ek_err *err)
{
	struct json_object *top;
	char *text = NULL;
	ek_status status;
	size_t n;

	*secret = NULL;
	status = read_file(path, &text, &n, err);
	if (status != EK_OK) {
		free(text);
		return status;
	}
	top = ekd_json_parse(text, n);
	explicit_bzero(text, n);
	free(text);
	if (!top)
		return ek_fail(err, EK_CORRUPT, "%s is not a JSON object",
			       path);
	status = look_up(top, host, timeout_ms, secret, err);
	json_object_put(top);
	if (status != EK_OK)
		return ek_err_prefix(err, "%s", path);
	return EK_OK;
}
