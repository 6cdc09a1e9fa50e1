/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/challenge.h"

#include <string.h>
#include <strings.h>

struct cursor {
	const char *at, *end;
};

struct word {
	const char *at;
	size_t n;
};

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_68_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~+/", c) != NULL);
}

static bool at_end(const struct cursor *c)
{
	return c->at == c->end;
}

/* Blanks, and with @commas the empty members of a list too. */
static void skip(struct cursor *c, bool commas)
{
	while (c->at < c->end &&
	       (*c->at == ' ' || *c->at == '\t' || (commas && *c->at == ',')))
		c->at++;
}

static bool take_token(struct cursor *c, struct word *word)
{
	word->at = c->at;
	while (c->at < c->end && is_token_char(*c->at))
		c->at++;
	word->n = (size_t)(c->at - word->at);
	return word->n > 0;
}

static bool is(const struct word *word, const char *name)
{
	return word->n == strlen(name) &&
	       strncasecmp(word->at, name, word->n) == 0;
}

/*
 * One value, a token or a quoted string, to @to (NULL: nowhere). False when
 * the grammar is broken; *fits is cleared when the value cannot be used.
 */
static bool take_value(struct cursor *c, char *to, size_t room, bool *fits)
{
	size_t n = 0;
	bool quoted = !at_end(c) && *c->at == '"';

	if (quoted)
		c->at++;
	else if (at_end(c) || !is_token_char(*c->at))
		return false;
	for (;; c->at++) {
		if (at_end(c)) {
			if (quoted)
				return false;
			break;
		}
		if (quoted && *c->at == '"') {
			c->at++;
			break;
		}
		if (!quoted && !is_token_char(*c->at))
			break;
		if (quoted && *c->at == '\\' && ++c->at == c->end)
			return false;
		if (to && (n + 1 >= room || (unsigned char)*c->at < 0x20 ||
			   *c->at == 0x7f))
			*fits = false;
		else if (to)
			to[n++] = *c->at;
	}
	if (to)
		to[n] = '\0';
	return true;
}

static char *field_of(struct ekd_challenge *ch, const struct word *name,
		      size_t *room)
{
	char *field = NULL;

	if (is(name, "realm")) {
		field = ch->realm;
		*room = sizeof(ch->realm);
	} else if (is(name, "service")) {
		field = ch->service;
		*room = sizeof(ch->service);
	} else if (is(name, "scope")) {
		field = ch->scope;
		*room = sizeof(ch->scope);
	}
	/* The first of its name counts. */
	return field && *field == '\0' ? field : NULL;
}

/* Whether `token BWS =` follows; the cursor is then after the equals sign. */
static bool take_name(struct cursor *c, struct word *name)
{
	struct cursor try = *c;

	if (!take_token(&try, name))
		return false;
	skip(&try, false);
	if (at_end(&try) || *try.at != '=')
		return false;
	try.at++;
	skip(&try, false);
	*c = try;
	return true;
}

/* Letters and digits with padding, for schemes that have no parameters. */
static bool take_68(struct cursor *c)
{
	struct cursor try = *c;

	while (!at_end(&try) && is_68_char(*try.at))
		try.at++;
	if (try.at == c->at)
		return false;
	while (!at_end(&try) && *try.at == '=')
		try.at++;
	skip(&try, false);
	if (!at_end(&try) && *try.at != ',')
		return false;
	*c = try;
	return true;
}

/* Parameters up to the next scheme or the end. */
static bool take_params(struct cursor *c, struct ekd_challenge *ch, bool *fits)
{
	struct word name;
	size_t room = 0;

	while (take_name(c, &name)) {
		char *field = field_of(ch, &name, &room);

		if (!take_value(c, field, room, fits))
			return false;
		skip(c, false);
		if (at_end(c))
			return true;
		if (*c->at != ',')
			return false;
		skip(c, true);
	}
	return true;
}

size_t ekd_challenges_parse(const char *text, size_t n,
			    struct ekd_challenge *to, size_t room)
{
	struct cursor c = {text, text + n};
	size_t found = 0;

	for (skip(&c, true); !at_end(&c) && found < room; skip(&c, true)) {
		struct ekd_challenge *ch = &to[found];
		struct word scheme;
		bool fits = true, blank;

		memset(ch, 0, sizeof(*ch));
		if (!take_token(&c, &scheme))
			break;
		blank = !at_end(&c) && (*c.at == ' ' || *c.at == '\t');
		skip(&c, false);
		if (!at_end(&c) && *c.at != ',' && !blank)
			break;
		if (blank && !take_68(&c) && !take_params(&c, ch, &fits))
			break;
		ch->bearer = is(&scheme, "bearer");
		if (!fits || (!ch->bearer && !is(&scheme, "basic")) ||
		    (ch->bearer && ch->realm[0] == '\0'))
			continue;
		found++;
	}
	return found;
}
