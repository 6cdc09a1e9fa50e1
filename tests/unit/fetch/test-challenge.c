/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/fetch/challenge.h"
#include "unit.h"

static struct ekd_challenge got[EKD_CHALLENGES_MAX];

static size_t parse(const char *text)
{
	return ekd_challenges_parse(text, strlen(text), got,
				    EKD_CHALLENGES_MAX);
}

static void is(size_t i, bool bearer, const char *realm, const char *service,
	       const char *scope)
{
	assert_int_equal(got[i].bearer, bearer);
	assert_string_equal(got[i].realm, realm);
	assert_string_equal(got[i].service, service);
	assert_string_equal(got[i].scope, scope);
}

static void usual(void **state)
{
	(void)state;
	assert_int_equal(parse("Bearer realm=\"https://auth.docker.io/token\","
			       "service=\"registry.docker.io\","
			       "scope=\"repository:library/debian:pull\""),
			 1);
	is(0, true, "https://auth.docker.io/token", "registry.docker.io",
	   "repository:library/debian:pull");
	assert_int_equal(parse("Basic realm=\"Registry Realm\""), 1);
	is(0, false, "Registry Realm", "", "");
	assert_int_equal(parse("bEaReR ReAlM = h , SERVICE\t=\ts"), 1);
	is(0, true, "h", "s", "");
}

static void quoted(void **state)
{
	(void)state;
	assert_int_equal(parse("Bearer realm=\"https://h/t?a=b&c=\\\"d\\\\\","
			       " scope=\"repository:a:pull,push "
			       "repository:b:pull\""),
			 1);
	is(0, true, "https://h/t?a=b&c=\"d\\", "",
	   "repository:a:pull,push repository:b:pull");
	assert_int_equal(parse("Basic realm=\"\""), 1);
	is(0, false, "", "", "");
}

static void several(void **state)
{
	(void)state;
	assert_int_equal(parse("Negotiate, NTLM TlRMTVNTUAAC==, Digest "
			       "realm=\"x\", qop=\"auth,auth-int\", nonce=abc,"
			       " Basic realm=\"b\", Bearer realm=r,service=s"),
			 2);
	is(0, false, "b", "", "");
	is(1, true, "r", "s", "");
	assert_int_equal(parse(",, ,Basic, Bearer realm=x,,"), 2);
	is(0, false, "", "", "");
	is(1, true, "x", "", "");
	assert_int_equal(parse("Negotiate YII=, Bearer realm=x"), 1);
	is(0, true, "x", "", "");
}

static void not_usable(void **state)
{
	char text[4096];

	(void)state;
	assert_int_equal(parse(""), 0);
	assert_int_equal(parse(" , \t,"), 0);
	assert_int_equal(parse("Bearer"), 0);
	assert_int_equal(parse("Bearer service=\"s\""), 0);
	assert_int_equal(parse("Bearer realm="), 0);
	assert_int_equal(parse("Digest realm=\"x\""), 0);
	/* Control characters would end up in a request. */
	assert_int_equal(parse("Bearer realm=\"a\r\nb\""), 0);
	assert_int_equal(parse("Bearer realm=\"a\\\nb\""), 0);
	assert_int_equal(parse("Bearer realm=\"a\x7f\""), 0);
	/* Too long: not cut, but not used; what follows is. */
	memset(text, 'a', sizeof(text));
	memcpy(text, "Bearer realm=\"", 14);
	strcpy(text + 2000, "\", Basic realm=\"z\"");
	assert_int_equal(parse(text), 1);
	is(0, false, "z", "", "");
}

static void broken(void **state)
{
	(void)state;
	assert_int_equal(parse("Basic realm=\"a\", Bearer realm=\"never ends"),
			 1);
	is(0, false, "a", "", "");
	assert_int_equal(parse("Bearer realm=\"a\\"), 0);
	assert_int_equal(parse("Bearer realm=\"a\" service=\"s\""), 0);
	assert_int_equal(parse("Bearer realm=\"a\"x"), 0);
	assert_int_equal(parse("Bearer:realm=a"), 0);
	assert_int_equal(parse("=a"), 0);
	assert_int_equal(parse("\"Bearer\" realm=a"), 0);
}

static void limits(void **state)
{
	char text[512] = "";

	(void)state;
	for (int i = 0; i < 20; i++)
		strcat(text, "Basic realm=x, ");
	assert_int_equal(parse(text), EKD_CHALLENGES_MAX);
	assert_int_equal(ekd_challenges_parse(text, strlen(text), got, 1), 1);
	/* The first of a name counts. */
	assert_int_equal(parse("Bearer realm=a,realm=b"), 1);
	is(0, true, "a", "", "");
	/* A NUL is no end of the text. */
	assert_int_equal(ekd_challenges_parse("Basic\0, Basic", 13, got, 8), 0);
}

const struct CMUnitTest challenge_tests[] = {
	cmocka_unit_test(usual),
	cmocka_unit_test(quoted),
	cmocka_unit_test(several),
	cmocka_unit_test(not_usable),
	cmocka_unit_test(broken),
	cmocka_unit_test(limits),
	UNIT_END,
};
