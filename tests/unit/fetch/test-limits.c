/* SPDX-License-Identifier: Apache-2.0 */

/* What is remembered has a limit: the one over it takes the oldest's place. */

#include "cachefilesd/fetch/priv.h"
#include "unit.h"

#include <stdio.h>

/* As the fetch thread has it, without the thread. */
static struct ekd_fetch *new_fetch(void)
{
	struct ekd_fetch *f = calloc(1, sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	TAILQ_INIT(&f->hosts);
	TAILQ_INIT(&f->known);
	TAILQ_INIT(&f->all);
	TAILQ_INIT(&f->auths);
	return f;
}

static void free_fetch(struct ekd_fetch *f)
{
	struct ekd_host *host;

	ekd_auth_free_all(f);
	ekd_known_free_all(f);
	while ((host = TAILQ_FIRST(&f->hosts)) != NULL) {
		TAILQ_REMOVE(&f->hosts, host, link);
		ekd_host_free(host);
	}
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static ek_status get_host(struct ekd_fetch *f, int number,
			  struct ekd_host **host)
{
	struct ekd_origin origin;
	char url[64];

	snprintf(url, sizeof(url), "https://h%d.example/v2/", number);
	assert_int_equal(ekd_origin_of(url, &origin, NULL), EK_OK);
	return ekd_host_get(f, &origin, host, NULL);
}

static bool has_host(const struct ekd_fetch *f, const struct ekd_host *host)
{
	const struct ekd_host *h;

	TAILQ_FOREACH(h, &f->hosts, link)
	if (h == host)
		return true;
	return false;
}

static void hosts(void **state)
{
	struct ekd_host *host[EKD_HOSTS_MAX], *one;
	struct ekd_fetch *f = new_fetch();
	struct ekd_request rq = {0};

	(void)state;
	for (int i = 0; i < EKD_HOSTS_MAX; i++)
		assert_int_equal(get_host(f, i, &host[i]), EK_OK);
	assert_int_equal(get_host(f, 0, &one), EK_OK);
	assert_ptr_equal(one, host[0]);
	/* The first is used, the second talks: the third goes. */
	rq.host = rq.home = host[0];
	TAILQ_INSERT_TAIL(&f->all, &rq, all);
	host[1]->seen.running = 1;
	assert_int_equal(get_host(f, 1000, &one), EK_OK);
	assert_int_equal(f->n_hosts, EKD_HOSTS_MAX);
	assert_true(has_host(f, host[0]) && has_host(f, host[1]));
	/* All are used. */
	TAILQ_FOREACH(one, &f->hosts, link)
	one->seen.running = 1;
	assert_int_equal(get_host(f, 1001, &one), EK_LIMIT);
	assert_int_equal(f->n_hosts, EKD_HOSTS_MAX);
	free_fetch(f);
}

/* A token that nobody uses keeps no host for ever. */
static void hosts_with_tokens(void **state)
{
	struct ekd_host *host[EKD_HOSTS_MAX], *one;
	struct ekd_fetch *f = new_fetch();
	struct ekd_auth *auth;

	(void)state;
	for (int i = 0; i < EKD_HOSTS_MAX; i++) {
		assert_int_equal(get_host(f, i, &host[i]), EK_OK);
		auth = ekd_auth_get(f, host[i], "a", "h");
		auth->state = i == 0 ? EKD_AUTH_PENDING : EKD_AUTH_READY;
		auth->header = strdup("Bearer x");
		if (i > 0)
			ekd_auth_get(f, host[i], "b", "h");
	}
	assert_int_equal(get_host(f, 1000, &one), EK_OK);
	assert_int_equal(f->n_hosts, EKD_HOSTS_MAX);
	assert_int_equal(f->n_auths, 2 * EKD_HOSTS_MAX - 1 - 2);
	assert_true(has_host(f, host[0]));
	/* One without tokens goes before those with them. */
	assert_int_equal(get_host(f, 1001, &one), EK_OK);
	assert_int_equal(f->n_auths, 2 * EKD_HOSTS_MAX - 1 - 2);
	TAILQ_FOREACH(auth, &f->auths, link)
	auth->state = EKD_AUTH_PENDING;
	one->seen.running = 1;
	assert_int_equal(get_host(f, 1002, &one), EK_LIMIT);
	free_fetch(f);
}

static void repositories(void **state)
{
	struct ekd_fetch *f = new_fetch();
	struct ekd_auth *auth;
	struct ekd_request rq = {0};
	struct ekd_host *host;
	char repo[32];

	(void)state;
	assert_int_equal(get_host(f, 0, &host), EK_OK);
	for (int i = 0; i <= EKD_AUTHS_MAX; i++) {
		snprintf(repo, sizeof(repo), "r%d", i);
		auth = ekd_auth_get(f, host, repo, "h");
		assert_non_null(auth);
		if (i > 0)
			continue;
		rq.auth = auth;
		TAILQ_INSERT_TAIL(&f->all, &rq, all);
	}
	assert_int_equal(f->n_auths, EKD_AUTHS_MAX);
	assert_ptr_equal(ekd_auth_get(f, host, "r0", "h"), rq.auth);
	TAILQ_FOREACH(auth, &f->auths, link)
	assert_string_not_equal(auth->repo, "r1");
	TAILQ_FOREACH(auth, &f->auths, link)
	auth->state = EKD_AUTH_PENDING;
	assert_null(ekd_auth_get(f, host, "more", "h"));
	assert_int_equal(f->n_auths, EKD_AUTHS_MAX);
	free_fetch(f);
}

static void name(struct ekd_request *rq, int number)
{
	snprintf(rq->name, sizeof(rq->name), "sha256:%064x", number);
}

static bool has_place(struct ekd_fetch *f, struct ekd_request *rq, int number)
{
	bool blamed;
	char *url;

	name(rq, number);
	url = ekd_known_get(f, rq, &blamed);
	assert_false(blamed);
	free(url);
	return url;
}

static void places(void **state)
{
	struct ekd_fetch *f = new_fetch();
	struct ekd_request rq = {.ref = {.host = "h", .repo = "r"}};

	(void)state;
	for (int i = 0; i < EKD_PLACES_MAX; i++) {
		name(&rq, i);
		ekd_known_set(f, &rq, "https://s.example/x");
	}
	assert_true(has_place(f, &rq, 0)); /* the last used one now */
	name(&rq, EKD_PLACES_MAX);
	ekd_known_set(f, &rq, "https://s.example/x");
	assert_int_equal(f->n_known, EKD_PLACES_MAX);
	assert_false(has_place(f, &rq, 1));
	for (int i = 0; i <= EKD_PLACES_MAX; i++)
		assert_int_equal(has_place(f, &rq, i), i != 1);
	free_fetch(f);
}

const struct CMUnitTest limits_tests[] = {
	cmocka_unit_test(hosts),
	cmocka_unit_test(hosts_with_tokens),
	cmocka_unit_test(repositories),
	cmocka_unit_test(places),
	UNIT_END,
};
