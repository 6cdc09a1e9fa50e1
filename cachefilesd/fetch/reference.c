/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/reference.h"

#include <string.h>

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool ekd_digest_ok(const char *text)
{
	return strncmp(text, "sha256:", 7) == 0 && strlen(text) == 7 + 64 &&
	       strspn(text + 7, DIGITS "abcdef") == 64;
}

static bool port_ok(const char *text)
{
	size_t n = strlen(text);
	unsigned port = 0;

	if (n == 0 || n > 5 || strspn(text, DIGITS) != n)
		return false;
	for (; *text; text++)
		port = port * 10 + (unsigned)(*text - '0');
	return port > 0 && port <= 65535;
}

/* A name or an address of either kind, and perhaps a port. */
static bool host_ok(const char *host)
{
	size_t n;

	if (host[0] == '[') {
		n = strspn(host + 1, DIGITS "abcdefABCDEF:.");
		if (n < 2 || host[1 + n] != ']')
			return false;
		n += 2;
	} else {
		n = strspn(host, LOWER UPPER DIGITS ".-");
		if (n == 0 || host[0] == '.' || host[0] == '-')
			return false;
	}
	return host[n] == '\0' || (host[n] == ':' && port_ok(host + n + 1));
}

/* Components of letters and digits with single separators between them. */
static bool repo_ok(const char *repo)
{
	bool fresh = true; /* a letter or a digit must come */

	if (*repo == '\0')
		return false;
	for (const char *at = repo; *at; at++) {
		if (strchr(LOWER DIGITS, *at)) {
			fresh = false;
			continue;
		}
		if (fresh || !strchr("/._-", *at))
			return false;
		if (*at == '_' && at[1] == '_')
			at++;
		while (*at == '-' && at[1] == '-')
			at++;
		fresh = true;
	}
	return !fresh;
}

static bool tag_ok(const char *tag)
{
	size_t n = strlen(tag);

	return n > 0 && n <= 128 && tag[0] != '.' && tag[0] != '-' &&
	       strspn(tag, LOWER UPPER DIGITS "._-") == n;
}

bool ekd_reference_ok(const struct ekd_reference *ref)
{
	if (!memchr(ref->host, 0, sizeof(ref->host)) ||
	    !memchr(ref->repo, 0, sizeof(ref->repo)) ||
	    !memchr(ref->tag, 0, sizeof(ref->tag)) ||
	    !memchr(ref->digest, 0, sizeof(ref->digest)))
		return false;
	if (ref->digest[0] && !ekd_digest_ok(ref->digest))
		return false;
	if (ref->tag[0] && !tag_ok(ref->tag))
		return false;
	return host_ok(ref->host) && repo_ok(ref->repo);
}

/* @n bytes of @from as a string of at most @room bytes with its NUL. */
static bool put(char *to, size_t room, const char *from, size_t n)
{
	if (n >= room)
		return false;
	memcpy(to, from, n);
	to[n] = '\0';
	return true;
}

static bool names_a_host(const char *text, size_t n)
{
	return memchr(text, '.', n) || memchr(text, ':', n) ||
	       (n == 9 && memcmp(text, "localhost", n) == 0);
}

/* Docker's own registry: its official images lie under "library". */
static bool put_repo(struct ekd_reference *ref, const char *from, size_t n)
{
	size_t at = 0;

	if (strcmp(ref->host, "docker.io") == 0 && !memchr(from, '/', n)) {
		at = strlen("library/");
		memcpy(ref->repo, "library/", at);
	}
	return put(ref->repo + at, sizeof(ref->repo) - at, from, n);
}

static ek_status parts(const char *text, struct ekd_reference *ref,
		       struct ek_err *err)
{
	const char *slash = strchr(text, '/'), *digest = strchr(text, '@');
	const char *end = digest ? digest : text + strlen(text);
	const char *tag;

	if (!slash || slash > end ||
	    !names_a_host(text, (size_t)(slash - text)))
		return ek_fail(err, EK_INVALID,
			       "begin it with the registry's host, as in "
			       "docker.io/library/debian:12");
	if (!put(ref->host, sizeof(ref->host), text, (size_t)(slash - text)))
		return ek_fail(err, EK_INVALID, "the host is too long");
	if (strcmp(ref->host, "index.docker.io") == 0) {
		memset(ref->host, 0, sizeof(ref->host));
		memcpy(ref->host, "docker.io", sizeof("docker.io"));
	}
	slash++;
	tag = memchr(slash, ':', (size_t)(end - slash));
	if (!put_repo(ref, slash, (size_t)((tag ? tag : end) - slash)))
		return ek_fail(err, EK_INVALID, "the repository is too long");
	if (tag &&
	    !put(ref->tag, sizeof(ref->tag), tag + 1, (size_t)(end - tag - 1)))
		return ek_fail(err, EK_INVALID, "the tag is too long");
	if ((tag || !digest) && !tag_ok(tag ? ref->tag : "latest"))
		return ek_fail(err, EK_INVALID, "the tag is wrong");
	if (!digest) {
		if (!tag)
			memcpy(ref->tag, "latest", sizeof("latest"));
		return EK_OK;
	}
	memset(ref->tag, 0, sizeof(ref->tag));
	if (!ekd_digest_ok(digest + 1))
		return ek_fail(err, EK_INVALID,
			       "a digest is sha256: and 64 lower-case digits");
	memcpy(ref->digest, digest + 1, 7 + 64 + 1);
	return EK_OK;
}

ek_status ekd_reference_parse(const char *text, struct ekd_reference *ref,
			      struct ek_err *err)
{
	struct ek_err why = {.status = EK_INVALID};
	const char *bare = text;

	memset(ref, 0, sizeof(*ref));
	if (strncmp(bare, "oci://", 6) == 0)
		bare += 6;
	if (parts(bare, ref, &why) != EK_OK)
		return ek_fail(err, EK_INVALID, "image \"%.200s\": %s", text,
			       why.text);
	if (!host_ok(ref->host))
		return ek_fail(err, EK_INVALID,
			       "image \"%.200s\": the host is wrong", text);
	if (!repo_ok(ref->repo))
		return ek_fail(err, EK_INVALID,
			       "image \"%.200s\": the repository's name is "
			       "lower case, in parts between slashes",
			       text);
	return EK_OK;
}
