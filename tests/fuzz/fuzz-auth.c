/* SPDX-License-Identifier: Apache-2.0 */

/*
 * WWW-Authenticate: each challenge that is taken, written out in its plainest
 * form, is taken again and is the same.
 */

#include "cachefilesd/fetch/challenge.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 8192

static size_t quote(char *to, const char *name, const char *value)
{
	size_t n = (size_t)sprintf(to, "%s=\"", name);

	for (; *value; value++) {
		if ((unsigned char)*value < 0x20 || *value == 0x7f)
			abort(); /* it would end up in a request */
		if (*value == '"' || *value == '\\')
			to[n++] = '\\';
		to[n++] = *value;
	}
	to[n++] = '"';
	to[n] = '\0';
	return n;
}

static void again(const struct ekd_challenge *ch)
{
	char text[TEXT_MAX];
	struct ekd_challenge back;
	size_t n;

	n = (size_t)sprintf(text, "%s ", ch->bearer ? "Bearer" : "Basic");
	n += quote(text + n, "realm", ch->realm);
	text[n++] = ',';
	n += quote(text + n, "service", ch->service);
	text[n++] = ',';
	n += quote(text + n, "scope", ch->scope);
	if (ekd_challenges_parse(text, n, &back, 1) != 1 ||
	    back.bearer != ch->bearer || strcmp(back.realm, ch->realm) != 0 ||
	    strcmp(back.service, ch->service) != 0 ||
	    strcmp(back.scope, ch->scope) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ekd_challenge got[EKD_CHALLENGES_MAX];
	char *text = malloc(size + 1);
	size_t n;

	if (!text)
		return 0;
	/* A copy of its own length: reading beyond it is seen. */
	memcpy(text, data, size);
	n = ekd_challenges_parse(text, size, got, EKD_CHALLENGES_MAX);
	if (n > EKD_CHALLENGES_MAX)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (got[i].bearer && got[i].realm[0] == '\0')
			abort();
		again(&got[i]);
	}
	free(text);
	return 0;
}
