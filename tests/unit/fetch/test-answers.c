/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/fetch/answers.h"
#include "unit.h"

#include <stdio.h>

#define A                                                                      \
	"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                              \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B                                                                      \
	"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"                              \
	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ENTRY(digest, platform)                                                \
	"{\"digest\":\"" digest "\",\"platform\":" platform "}"

static const uint8_t *bytes(const char *text)
{
	return (const uint8_t *)text;
}

static void token_is(const char *text, const char *want, uint32_t life)
{
	uint32_t seconds = 0;
	char *token;

	assert_int_equal(ekd_token_parse(bytes(text), strlen(text), &token,
					 &seconds, NULL),
			 EK_OK);
	assert_string_equal(token, want);
	assert_int_equal(seconds, life);
	free(token);
}

static void tokens(void **state)
{
	(void)state;
	token_is("{\"token\":\"abc\"}", "abc", 60);
	token_is("{\"access_token\":\"x.y-z\",\"expires_in\":300} \n", "x.y-z",
		 300);
	token_is("{\"token\":\"a\",\"access_token\":\"b\",\"expires_in\":-1}",
		 "a", 60);
	token_is("{\"token\":\"a\",\"expires_in\":\"300\"}", "a", 60);
	token_is("{\"token\":\"a\",\"expires_in\":99999999999999}", "a",
		 2147483);
}

static void wrong_tokens(void **state)
{
	static const char *const wrong[] = {
		"",
		"x",
		"[]",
		"{}",
		"{\"token\":\"\"}",
		"{\"token\":5}",
		"{\"token\":\"a b\"}",
		"{\"token\":\"a\\r\\nX-Evil: 1\"}",
		"{\"token\":\"a\\u0000b\"}",
		"{\"token\":\"\\u00e4\"}",
		"{\"token\":\"a\"",
		"{\"token\":\"a\"}x",
		"{\"token\":\"a\"}{}",
	};
	struct ek_err err;
	uint32_t seconds;
	char *token, *large = calloc(1, EKD_TOKEN_MAX + 32);

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (ekd_token_parse(bytes(wrong[i]), strlen(wrong[i]), &token,
				    &seconds, &err) != EK_CORRUPT)
			fail_msg("taken: %s", wrong[i]);
		assert_null(token);
	}
	memset(large, 'a', EKD_TOKEN_MAX + 11);
	memcpy(large, "{\"token\":\"", 10);
	strcat(large, "\"}");
	assert_int_equal(ekd_token_parse(bytes(large), strlen(large), &token,
					 &seconds, &err),
			 EK_CORRUPT);
	free(large);
}

static const char index_text[] = "{\"manifests\":[" ENTRY(
	A, "{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":"
	   "\"v7\"}") "," ENTRY(B, "{\"os\":\"linux\",\"architecture\":"
				   "\"arm64\"}") "," ENTRY("sha256:short",
							   "{\"os\":"
							   "\"linux\","
							   "\"architecture\":"
							   "\"bad\"}") ",5,{}"
								       ",{"
								       "\"pla"
								       "tform"
								       "\":7}"
								       "]}";

static ek_status choose(const char *text, const char *platform, char *digest,
			struct ek_err *err)
{
	return ekd_index_choose(bytes(text), strlen(text), platform, digest,
				err);
}

static void platforms(void **state)
{
	char digest[72];
	struct ek_err err;

	(void)state;
	assert_int_equal(choose(index_text, "linux/arm/v7", digest, &err),
			 EK_OK);
	assert_string_equal(digest, A);
	assert_int_equal(choose(index_text, "linux/arm", digest, &err), EK_OK);
	assert_string_equal(digest, A);
	assert_int_equal(choose(index_text, "linux/arm64", digest, &err),
			 EK_OK);
	assert_string_equal(digest, B);
	assert_int_equal(choose(index_text, "linux/arm/v6", digest, &err),
			 EK_NOTFOUND);
	assert_non_null(strstr(err.text, "linux/arm/v7 linux/arm64"));
	assert_int_equal(choose(index_text, "linux/bad", digest, &err),
			 EK_CORRUPT);
	assert_int_equal(choose("{}", "linux/arm", digest, &err), EK_CORRUPT);
	assert_int_equal(choose("[]", "linux/arm", digest, &err), EK_CORRUPT);
	assert_int_equal(choose("{\"manifests\":[]}", NULL, digest, &err),
			 EK_NOTFOUND);
	assert_int_equal(choose("{\"manifests\":{}}", NULL, digest, &err),
			 EK_CORRUPT);
}

static void many_platforms(void **state)
{
	size_t room = 1 << 20, n;
	char *text = malloc(room), digest[72];
	struct ek_err err;

	(void)state;
	n = (size_t)sprintf(text, "{\"manifests\":[0");
	for (int i = 0; i < 1024; i++)
		n += (size_t)sprintf(text + n, ",{}");
	strcpy(text + n, "]}");
	assert_int_equal(choose(text, "a/b", digest, &err), EK_LIMIT);
	/* Nothing is nested so deeply. */
	memset(text, '[', 1000);
	memcpy(text, "{\"manifests\":", 13);
	text[1000] = '\0';
	assert_int_equal(choose(text, "a/b", digest, &err), EK_CORRUPT);
	free(text);
}

static void error_is(const char *text, const char *want)
{
	char code[48];

	ekd_error_code(bytes(text), strlen(text), code, sizeof(code));
	assert_string_equal(code, want);
}

static void error_codes(void **state)
{
	(void)state;
	error_is("{\"errors\":[{\"code\":\"DENIED\",\"message\":\"x\"}]}",
		 "DENIED");
	error_is("{\"errors\":[{\"code\":\"evil\\nline\"}]}", "");
	error_is("{\"errors\":[{\"code\":7}]}", "");
	error_is("{\"errors\":[]}", "");
	error_is("{\"errors\":{}}", "");
	error_is("<html>", "");
	error_is("", "");
}

const struct CMUnitTest answers_tests[] = {
	cmocka_unit_test(tokens),      cmocka_unit_test(wrong_tokens),
	cmocka_unit_test(platforms),   cmocka_unit_test(many_platforms),
	cmocka_unit_test(error_codes), UNIT_END,
};
