/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image.h"

#include "cli/message.h"

#include <stdlib.h>
#include <string.h>

/* Longest parameter; KEY= and 20 digits are less. */
#define WORD_MAX 64u
/* What a variable or an option may hold: the year 292277026596 is enough. */
#define TIME_MAX INT64_MAX

static bool is_codec(const char *name)
{
	const char *known;

	for (size_t i = 0; ek_build_codec(i, &known); i++)
		if (strcmp(known, name) == 0)
			return true;
	return false;
}

static ek_status set_number(const char *key, const char *text, int32_t *to,
			    struct ek_err *err)
{
	int64_t n;

	if (cli_signed(text, INT32_MIN + 1, INT32_MAX, &n, err) != EK_OK)
		return ek_err_prefix(err, "%s", key);
	*to = (int32_t)n;
	return EK_OK;
}

/* One of the words after the name: LEVEL or KEY=VALUE. */
static ek_status set_parameter(struct ek_build_codec *c, const char *text,
			       struct ek_err *err)
{
	const struct {
		const char *key;
		int32_t *to;
	} keys[] = {
		{"level", &c->level},
		{"lc", &c->lc},
		{"lp", &c->lp},
		{"pb", &c->pb},
	};
	const char *eq = strchr(text, '=');
	uint64_t size;

	if (!eq)
		return set_number("level", text, &c->level, err);
	if (strncmp(text, "dictsize=", 9) == 0) {
		if (cli_size(eq + 1, 0, UINT32_MAX, &size, err) != EK_OK)
			return ek_err_prefix(err, "dictsize");
		c->dict_size = (uint32_t)size;
		return EK_OK;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t k = strlen(keys[i].key);

		if ((size_t)(eq - text) == k &&
		    strncmp(text, keys[i].key, k) == 0)
			return set_number(keys[i].key, eq + 1, keys[i].to, err);
	}
	return ek_fail(err, EK_INVALID, "%s takes no %.*s", c->name,
		       (int)(eq - text), text);
}

ek_status cli_codec(const char *text, size_t n, struct cli_codec *c,
		    struct ek_err *err)
{
	struct ek_build_options only = {.size = sizeof(only)};
	char word[WORD_MAX];
	size_t at = 0;

	c->codec = (struct ek_build_codec){
		.name = c->name,
		.level = EK_LEVEL_DEFAULT,
		.lc = EK_LEVEL_DEFAULT,
		.lp = EK_LEVEL_DEFAULT,
		.pb = EK_LEVEL_DEFAULT,
	};
	for (bool first = true; first || at <= n; first = false) {
		const char *end = memchr(text + at, ',', n - at);
		size_t k = end ? (size_t)(end - text) - at : n - at;

		if (k >= (first ? sizeof(c->name) : sizeof(word)))
			return ek_fail(err, EK_INVALID, "a word of %zu bytes",
				       k);
		memcpy(word, text + at, k);
		word[k] = 0;
		at += k + 1;
		if (!first) {
			CLI_TRY(set_parameter(&c->codec, word, err));
			continue;
		}
		if (!is_codec(word))
			return ek_fail(err, EK_INVALID,
				       "no algorithm '%s' (see --version)",
				       word);
		memcpy(c->name, word, k + 1);
	}
	/* Only this: other options may still come and change. */
	only.codecs = &c->codec;
	only.n_codecs = 1;
	return ek_build_check_options(&only, err);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ek_status cli_uuid(const char *text, uint8_t uuid[16], struct ek_err *err)
{
	const char *p = text;

	for (int i = 0; i < 16; i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
			break;
		high = hex_digit(p[0]);
		low = high < 0 ? -1 : hex_digit(p[1]);
		if (low < 0)
			break;
		uuid[i] = (uint8_t)(high << 4 | low);
		p += 2;
	}
	if (p - text != 36 || *p)
		return ek_fail(err, EK_INVALID,
			       "neither a UUID nor 'clear' nor 'random'");
	return EK_OK;
}

ek_status cli_set_uuid(struct ek_build_options *build, const char *value,
		       struct ek_err *err)
{
	if (strcmp(value, "clear") == 0) {
		build->uuid_mode = EK_UUID_CLEAR;
		return EK_OK;
	}
	if (strcmp(value, "random") == 0) {
		build->uuid_mode = EK_UUID_RANDOM;
		return EK_OK;
	}
	CLI_TRY(cli_uuid(value, build->uuid, err));
	build->uuid_mode = EK_UUID_GIVEN;
	return EK_OK;
}

ek_status cli_time(const char *value, struct cli_time *time, struct ek_err *err)
{
	uint64_t v;

	CLI_TRY(cli_unsigned(value, 0, TIME_MAX, &v, err));
	*time = (struct cli_time){
		.given = true,
		.by_option = true,
		.at = (int64_t)v,
	};
	return EK_OK;
}

ek_status cli_time_finish(struct cli_time *time)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	struct ek_err err;

	if (time->by_option || !epoch)
		return EK_OK;
	if (cli_time(epoch, time, &err) != EK_OK) {
		cli_error("SOURCE_DATE_EPOCH=%s: %s", epoch, err.text);
		return EK_INVALID;
	}
	time->by_option = false;
	return EK_OK;
}
