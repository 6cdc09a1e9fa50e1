/* SPDX-License-Identifier: Apache-2.0 */

/* What needs no server: arguments, and a port where nobody listens. */

#include "cachefilesd/fetch/priv.h"
#include "unit.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOB                                                                   \
	"sha256:cccccccccccccccccccccccccccccccc"                              \
	"cccccccccccccccccccccccccccccccc"

/* Seen by libcurl before libc's: the names of one domain take for ever. */
int getaddrinfo(const char *node, const char *service,
		const struct addrinfo *hints, struct addrinfo **res)
{
	int (*libc)(const char *, const char *, const struct addrinfo *,
		    struct addrinfo **);

	if (node && strcmp(node, "slow.test") == 0) {
		sleep(2);
		return EAI_NONAME;
	}
	*(void **)&libc = dlsym(RTLD_NEXT, "getaddrinfo");
	return libc(node, service, hints, res);
}

static void options(void **state)
{
	static const char *const mirrors[] = {"http://m.example/", NULL};
	static const char *const not_one[] = {"m.example", NULL};
	const char *many[EKD_MIRRORS_MAX + 2] = {NULL};
	struct ekd_fetch_options o = {.mirrors = mirrors};
	struct ekd_fetch *f;
	struct ek_err err;

	(void)state;
	assert_int_equal(ekd_fetch_new(&o, &f, &err), EK_INVALID);
	assert_non_null(strstr(err.text, "plain HTTP"));
	assert_null(f);
	o.mirrors = not_one;
	assert_int_equal(ekd_fetch_new(&o, &f, &err), EK_INVALID);
	for (int i = 0; i <= EKD_MIRRORS_MAX; i++)
		many[i] = "https://m.example";
	o.mirrors = many;
	assert_int_equal(ekd_fetch_new(&o, &f, &err), EK_LIMIT);
	o = (struct ekd_fetch_options){.ca_file = "/nonexistent/ca.pem"};
	assert_int_equal(ekd_fetch_new(&o, &f, &err), EK_NOTFOUND);
	ekd_fetch_free(NULL);
}

static void not_called(void *arg, ek_status status, const struct ek_err *err,
		       const uint8_t *bytes, size_t n)
{
	(void)arg;
	(void)status;
	(void)err;
	(void)bytes;
	(void)n;
	abort();
}

static void arguments(void **state)
{
	struct ekd_fetch_options o = {.tries = 1};
	struct ekd_reference ref, bad;
	struct ekd_fetch_info info;
	struct ekd_fetch *f;
	struct ek_err err;
	uint8_t *bytes;
	char media[128];
	size_t n;

	(void)state;
	assert_int_equal(ekd_fetch_new(&o, &f, &err), EK_OK);
	assert_int_equal(ekd_reference_parse("localhost/a", &ref, &err), EK_OK);
#define RANGE(r, d, off, len, prio)                                            \
	ekd_fetch_range(f, r, d, off, len, prio, 1, not_called, NULL, NULL,    \
			&err)
	assert_int_equal(RANGE(&ref, "x", 0, 1, EKD_DEMAND), EK_INVALID);
	assert_int_equal(RANGE(&ref, BLOB, 0, 0, EKD_DEMAND), EK_INVALID);
	assert_int_equal(RANGE(&ref, BLOB, 0, EKD_RANGE_MAX + 1, EKD_DEMAND),
			 EK_INVALID);
	assert_int_equal(RANGE(&ref, BLOB, INT64_MAX, 1, EKD_DEMAND),
			 EK_INVALID);
	assert_int_equal(RANGE(&ref, BLOB, 0, 1, (enum ekd_priority)3),
			 EK_INVALID);
	/* References are not taken on trust. */
	bad = ref;
	strcpy(bad.repo, "a?b");
	assert_int_equal(RANGE(&bad, BLOB, 0, 1, EKD_DEMAND), EK_INVALID);
	bad = ref;
	memset(bad.host, 'a', sizeof(bad.host));
	assert_int_equal(RANGE(&bad, BLOB, 0, 1, EKD_DEMAND), EK_INVALID);
	assert_int_equal(ekd_fetch_small_blob(f, &ref, "", &bytes, &n, &err),
			 EK_INVALID);
	bad = ref;
	bad.tag[0] = '\0';
	assert_int_equal(
		ekd_fetch_manifest(f, &bad, "", &bytes, &n, media, &err),
		EK_INVALID);
	assert_int_equal(ekd_fetch_info(f, 0, &info, &err), EK_NOTFOUND);
	assert_int_equal(ekd_fetch_info(f, 77, &info, &err), EK_NOTFOUND);
	ekd_fetch_cancel(f, 77);
	ekd_fetch_raise(f, 77, EKD_DEMAND);
	ekd_fetch_blame(f, "nothing");
	for (int i = 0; i < 2 * EKD_PLACES_MAX; i++) {
		char digest[72];

		snprintf(digest, sizeof(digest), "sha256:%064x", i);
		ekd_fetch_blame(f, digest);
	}
	assert_int_equal(f->n_known, EKD_PLACES_MAX);
	ekd_fetch_free(f);
}

/* A port of loopback that nobody listens at. */
static unsigned closed_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	close(fd);
	return ntohs(at.sin_port);
}

static void nobody_listens(void **state)
{
	char host[32], text[64], media[128];
	const char *plain[] = {host, NULL};
	struct ekd_fetch_options o = {
		.plain_http = plain, .proxy = "", .tries = 2, .backoff_ms = 1};
	struct ekd_fetch_host seen[2];
	struct ekd_fetch_stats stats;
	struct ekd_reference ref;
	struct ekd_fetch *f;
	struct ek_err err;
	uint8_t *bytes;
	size_t n;

	(void)state;
	snprintf(host, sizeof(host), "127.0.0.1:%u", closed_port());
	snprintf(text, sizeof(text), "%s/app:1", host);
	assert_int_equal(ekd_reference_parse(text, &ref, &err), EK_OK);
	assert_int_equal(ekd_fetch_new(&o, &f, &err), EK_OK);
	assert_int_equal(
		ekd_fetch_manifest(f, &ref, "", &bytes, &n, media, &err),
		EK_IO);
	assert_int_equal(err.sys, EIO);
	assert_non_null(strstr(err.text, host));
	ekd_fetch_stats(f, &stats);
	assert_int_equal(stats.requests, 2);
	assert_int_equal(stats.retries, 1);
	assert_int_equal(stats.failures, 1);
	ekd_fetch_hosts(f, seen, 2, &n);
	assert_int_equal(n, 1);
	assert_string_equal(seen[0].host, host);
	assert_int_equal(seen[0].failures, 2);
	assert_int_equal(seen[0].running, 0);
	assert_non_null(strstr(seen[0].last_error, host));
	ekd_fetch_free(f);
}

/* A name that takes long to look up delays nobody else, and no deadline. */
static void slow_names(void **state)
{
	char host[32], text[64], media[128];
	const char *plain[] = {host, "slow.test", NULL};
	struct ekd_fetch_options o = {
		.plain_http = plain, .proxy = "", .small_ms = 200};
	struct ekd_reference ref, slow;
	struct ekd_fetch *f;
	struct ek_err err;
	uint64_t begun = ekd_now();
	uint8_t *bytes;
	size_t n;

	(void)state;
	snprintf(host, sizeof(host), "127.0.0.1:%u", closed_port());
	snprintf(text, sizeof(text), "%s/app:1", host);
	assert_int_equal(ekd_reference_parse(text, &ref, &err), EK_OK);
	assert_int_equal(ekd_reference_parse("slow.test/a", &slow, &err),
			 EK_OK);
	assert_int_equal(ekd_fetch_new(&o, &f, &err), EK_OK);
	assert_int_equal(
		ekd_fetch_manifest(f, &slow, "", &bytes, &n, media, &err),
		EK_IO);
	assert_int_equal(err.sys, ETIMEDOUT);
	assert_int_equal(
		ekd_fetch_manifest(f, &ref, "", &bytes, &n, media, &err),
		EK_IO);
	ekd_fetch_free(f);
	assert_true(ekd_now() - begun < 1800);
	/* The look-up goes on in its thread; let it end before we do. */
	sleep(2);
}

struct ended {
	pthread_mutex_t lock;
	int cancelled, other;
};

static void note_end(void *arg, ek_status status, const struct ek_err *err,
		     const uint8_t *bytes, size_t n)
{
	struct ended *ended = arg;

	(void)err;
	(void)bytes;
	(void)n;
	pthread_mutex_lock(&ended->lock);
	if (status == EK_CANCELLED)
		ended->cancelled++;
	else
		ended->other++;
	pthread_mutex_unlock(&ended->lock);
}

static void free_ends_all(void **state)
{
	struct ended ended = {.lock = PTHREAD_MUTEX_INITIALIZER};
	char host[32], text[64];
	const char *plain[] = {host, NULL};
	struct ekd_fetch_options o = {
		.plain_http = plain, .proxy = "", .backoff_ms = 10000};
	struct ekd_reference ref;
	struct ekd_fetch *f;
	struct ek_err err;

	(void)state;
	snprintf(host, sizeof(host), "127.0.0.1:%u", closed_port());
	snprintf(text, sizeof(text), "%s/app:1", host);
	assert_int_equal(ekd_reference_parse(text, &ref, &err), EK_OK);
	assert_int_equal(ekd_fetch_new(&o, &f, &err), EK_OK);
	for (int i = 0; i < 100; i++)
		assert_int_equal(ekd_fetch_range(f, &ref, BLOB, 0, 1,
						 (enum ekd_priority)(i % 3),
						 60000, note_end, &ended, NULL,
						 &err),
				 EK_OK);
	ekd_fetch_free(f);
	assert_int_equal(ended.cancelled, 100);
	assert_int_equal(ended.other, 0);
}

const struct CMUnitTest client_tests[] = {
	cmocka_unit_test(options),	  cmocka_unit_test(arguments),
	cmocka_unit_test(nobody_listens), cmocka_unit_test(slow_names),
	cmocka_unit_test(free_ends_all),  UNIT_END,
};
