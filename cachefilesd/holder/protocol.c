/* SPDX-License-Identifier: Apache-2.0 */

/* Which strings may be in a message. */

#include "cachefilesd/holder/protocol.h"

#include <string.h>

#define WORD                                                                   \
	"abcdefghijklmnopqrstuvwxyz"                                           \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static bool word_ok(const char *word, size_t n)
{
	return n > 0 && word[0] != '.' && strspn(word, WORD) >= n;
}

bool ekd_id_ok(const char *id)
{
	size_t n = strnlen(id, EKD_ID);

	return n < EKD_ID && word_ok(id, n);
}

/* Absolute, each component a plain name, no control characters. */
bool ekd_path_ok(const char *path)
{
	size_t n = strnlen(path, EKD_PATH);
	const char *at = path;

	if (n == EKD_PATH || path[0] != '/')
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f)
			return false;
	if (n == 1)
		return true;
	while (*at) {
		size_t len = strcspn(++at, "/");

		if (len == 0 || (len == 1 && at[0] == '.') ||
		    (len == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += len;
	}
	return true;
}

bool ekd_host_ok(const char *host)
{
	size_t n = strnlen(host, EKD_HOST);

	return n > 0 && n < EKD_HOST && host[0] != '-' &&
	       strspn(host, WORD ":[]/") == n;
}

bool ekd_source_ok(const struct ekd_source *source)
{
	size_t n = strnlen(source->name, EKD_FILE);
	const char *slash;

	if (n == EKD_FILE)
		return false;
	switch (source->place) {
	case EKD_PLACE_NONE:
		return n == 0;
	case EKD_PLACE_DOOR:
	case EKD_PLACE_STORE:
		return n <= EKD_DOOR_NAME && word_ok(source->name, n);
	case EKD_PLACE_STATE:
		slash = memchr(source->name, '/', n);
		if (!slash || slash - source->name >= EKD_ID)
			return false;
		return word_ok(source->name, (size_t)(slash - source->name)) &&
		       word_ok(slash + 1, strlen(slash + 1));
	default:
		return false;
	}
}
