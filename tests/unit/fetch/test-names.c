/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/fetch/place.h"
#include "cachefilesd/fetch/reference.h"
#include "unit.h"

#include <stdio.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void good(const char *text, const char *host, const char *repo,
		 const char *tag, const char *digest)
{
	struct ekd_reference ref;
	struct ek_err err;

	if (ekd_reference_parse(text, &ref, &err) != EK_OK)
		fail_msg("%s: %s", text, err.text);
	assert_string_equal(ref.host, host);
	assert_string_equal(ref.repo, repo);
	assert_string_equal(ref.tag, tag);
	assert_string_equal(ref.digest, digest);
	assert_true(ekd_reference_ok(&ref));
}

static void references(void **state)
{
	(void)state;
	good("registry.example/app:1.2", "registry.example", "app", "1.2", "");
	good("127.0.0.1:5000/a/b/c", "127.0.0.1:5000", "a/b/c", "latest", "");
	good("oci://localhost/app:x", "localhost", "app", "x", "");
	good("localhost:5000/a:b", "localhost:5000", "a", "b", "");
	good("[::1]:5000/a", "[::1]:5000", "a", "latest", "");
	good("h.x/a@sha256:" HEX, "h.x", "a", "", "sha256:" HEX);
	good("h.x/a:tag@sha256:" HEX, "h.x", "a", "", "sha256:" HEX);
	good("docker.io/debian:12", "docker.io", "library/debian", "12", "");
	good("index.docker.io/u/p", "docker.io", "u/p", "latest", "");
	good("docker.io/u/p", "docker.io", "u/p", "latest", "");
	good("h.x/a__b/c--d/e.f_g-1:_T.", "h.x", "a__b/c--d/e.f_g-1", "_T.",
	     "");
}

static void wrong_references(void **state)
{
	static const char *const wrong[] = {
		"",
		"app",
		"app:1",
		"library/debian",
		"/app",
		"h.x/",
		"h.x",
		"h.x/App",
		"h.x/a//b",
		"h.x/a/",
		"h.x/-a",
		"h.x/a-",
		"h.x/a..b",
		"h.x/a___b",
		"h.x/a b",
		"h.x/../b",
		"h.x/a:",
		"h.x/a:.t",
		"h.x/a:-t",
		"h.x/a:t/t",
		"h.x/a:t t",
		"h.x/a:t\n",
		"h.x/a@sha256:0123",
		"h.x/a@sha512:" HEX,
		"h.x/a@sha256:" HEX "0",
		"h.x/a:@sha256:" HEX,
		"h.x:0/a",
		"h.x:65536/a",
		"h.x:x/a",
		"h.x:/a",
		"u@h.x/a",
		"u:p@h.x/a",
		"h.x?/a",
		"h.x#/a",
		"https://h.x/a",
		"oci://",
		"oci:///a",
		".x/a",
		"[::1/a",
		"[]/a",
		"[::1]x/a",
		"h.x\\y/a",
	};
	struct ekd_reference ref;
	struct ek_err err;
	char longest[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (ekd_reference_parse(wrong[i], &ref, &err) != EK_INVALID)
			fail_msg("taken: %s", wrong[i]);
	snprintf(longest, sizeof(longest), "h.x/%0255d", 0);
	assert_int_equal(ekd_reference_parse(longest, &ref, &err), EK_OK);
	snprintf(longest, sizeof(longest), "h.x/%0256d", 0);
	assert_int_equal(ekd_reference_parse(longest, &ref, &err), EK_INVALID);
	snprintf(longest, sizeof(longest), "h.%0253d/a", 0);
	assert_int_equal(ekd_reference_parse(longest, &ref, &err), EK_OK);
	snprintf(longest, sizeof(longest), "h.%0254d/a", 0);
	assert_int_equal(ekd_reference_parse(longest, &ref, &err), EK_INVALID);
	snprintf(longest, sizeof(longest), "h.x/a:%0128d", 0);
	assert_int_equal(ekd_reference_parse(longest, &ref, &err), EK_OK);
	snprintf(longest, sizeof(longest), "h.x/a:%0129d", 0);
	assert_int_equal(ekd_reference_parse(longest, &ref, &err), EK_INVALID);
	snprintf(longest, sizeof(longest), "docker.io/%0248d", 0);
	assert_int_equal(ekd_reference_parse(longest, &ref, &err), EK_INVALID);
}

static void digests(void **state)
{
	(void)state;
	assert_true(ekd_digest_ok("sha256:" HEX));
	assert_false(ekd_digest_ok("sha256:" HEX "a"));
	assert_false(ekd_digest_ok(HEX));
	assert_false(ekd_digest_ok("SHA256:" HEX));
	assert_false(ekd_digest_ok("sha256:A123456789abcdef0123456789abcdef"
				   "0123456789abcdef0123456789abcdef"));
	assert_false(ekd_digest_ok(""));
}

static void origins(void **state)
{
	struct ekd_origin o;

	(void)state;
	assert_int_equal(ekd_origin_of("https://H.X:443/a?b", &o, NULL), EK_OK);
	assert_string_equal(o.name, "https://h.x");
	assert_string_equal(o.host, "h.x");
	assert_true(o.tls);
	assert_int_equal(ekd_origin_of("http://h.x:443/a", &o, NULL), EK_OK);
	assert_string_equal(o.name, "http://h.x:443");
	assert_false(o.tls);
	assert_int_equal(ekd_origin_of("http://[::1]:80/", &o, NULL), EK_OK);
	assert_string_equal(o.host, "[::1]");
	assert_int_equal(ekd_origin_of("ftp://h.x/", &o, NULL), EK_INVALID);
	assert_int_equal(ekd_origin_of("file:///etc/passwd", &o, NULL),
			 EK_INVALID);
	assert_int_equal(ekd_origin_of("h.x/a", &o, NULL), EK_INVALID);
	assert_int_equal(ekd_origin_of("/a", &o, NULL), EK_INVALID);
	assert_int_equal(ekd_origin_of("https://u@h.x/", &o, NULL), EK_INVALID);
	assert_int_equal(ekd_origin_of("https://u:p@h.x/", &o, NULL),
			 EK_INVALID);
	assert_int_equal(ekd_origin_of("", &o, NULL), EK_INVALID);
}

static void leads(const char *base, const char *location, const char *want)
{
	struct ek_err err;
	char *url;
	ek_status status = ekd_place_resolve(base, location, &url, &err);

	if (want && status != EK_OK)
		fail_msg("%s: %s", location, err.text);
	if (!want && status != EK_CORRUPT)
		fail_msg("taken: %s", location);
	if (want)
		assert_string_equal(url, want);
	free(url);
}

static void redirects(void **state)
{
	static const char base[] = "https://h.x:8443/v2/a/blobs/d?x=1";
	char *longest = malloc(EKD_URL_MAX + 2);

	(void)state;
	leads(base, "https://cdn.y/b?sig=1#part", "https://cdn.y/b?sig=1");
	leads(base, "/b", "https://h.x:8443/b");
	leads(base, "b?c", "https://h.x:8443/v2/a/blobs/b?c");
	leads(base, "../b", "https://h.x:8443/v2/a/b");
	leads(base, "//cdn.y/b", "https://cdn.y/b");
	leads(base, "http://h.x/b", "http://h.x/b");
	leads(base, "file:///etc/passwd", NULL);
	leads(base, "ftp://h.x/", NULL);
	leads(base, "https://u:p@h.x/", NULL);
	leads(base, "/b c", NULL);
	leads(base, "/b\r\nX: y", NULL);
	leads(base, "https://h.x:99999/", NULL);
	memset(longest, 'a', EKD_URL_MAX + 1);
	longest[0] = '/';
	longest[EKD_URL_MAX + 1] = '\0';
	leads(base, longest, NULL);
	free(longest);
}

static void places(void **state)
{
	char *url;

	(void)state;
	assert_int_equal(ekd_place_of("https://h.x/", "a/b", true, "1.2", NULL,
				      &url, NULL),
			 EK_OK);
	assert_string_equal(url, "https://h.x/v2/a/b/manifests/1.2");
	free(url);
	assert_int_equal(ekd_place_of("https://m.y/p", "a", false, "sha256:1",
				      "h.x", &url, NULL),
			 EK_OK);
	assert_string_equal(url, "https://m.y/p/v2/a/blobs/sha256:1?ns=h.x");
	free(url);
}

const struct CMUnitTest names_tests[] = {
	cmocka_unit_test(references),
	cmocka_unit_test(wrong_references),
	cmocka_unit_test(digests),
	cmocka_unit_test(origins),
	cmocka_unit_test(redirects),
	cmocka_unit_test(places),
	UNIT_END,
};
