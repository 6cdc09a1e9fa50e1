/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The thread on which the credentials callback runs: it may have to ask a
 * program or a person, and transfers go on meanwhile.
 */

#include "cachefilesd/fetch/priv.h"

struct asked {
	TAILQ_ENTRY(asked) link;
	struct ekd_auth *auth;
	char host[256];
	char *secret;
};
TAILQ_HEAD(asked_list, asked);

struct ekd_secrets {
	struct ekd_fetch *fetch;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool stop;
	struct asked_list todo, done;
};

static void *run(void *arg)
{
	struct ekd_secrets *s = arg;
	struct ekd_config *config = &s->fetch->config;
	struct asked *one;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		one = TAILQ_FIRST(&s->todo);
		if (!one) {
			pthread_cond_wait(&s->more, &s->lock);
			continue;
		}
		TAILQ_REMOVE(&s->todo, one, link);
		pthread_mutex_unlock(&s->lock);
		one->secret =
			config->credentials(config->credentials_arg, one->host);
		pthread_mutex_lock(&s->lock);
		TAILQ_INSERT_TAIL(&s->done, one, link);
		curl_multi_wakeup(s->fetch->multi);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

ek_status ekd_secrets_new(struct ekd_fetch *f, struct ekd_secrets **secrets,
			  struct ek_err *err)
{
	struct ekd_secrets *s = calloc(1, sizeof(*s));
	int sys;

	*secrets = NULL;
	if (!s)
		return ek_fail(err, EK_NOMEM, "no memory for credentials");
	s->fetch = f;
	TAILQ_INIT(&s->todo);
	TAILQ_INIT(&s->done);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	sys = ekd_thread(&s->thread, run, s);
	if (sys != 0) {
		pthread_cond_destroy(&s->more);
		pthread_mutex_destroy(&s->lock);
		free(s);
		return ek_fail_sys(err, sys, "a thread for credentials");
	}
	*secrets = s;
	return EK_OK;
}

ek_status ekd_secrets_ask(struct ekd_secrets *secrets, struct ekd_auth *auth,
			  struct ek_err *err)
{
	struct asked *one = calloc(1, sizeof(*one));

	if (!one)
		return ek_fail(err, EK_NOMEM, "no memory for credentials");
	one->auth = auth;
	memcpy(one->host, auth->credentials_host, sizeof(one->host));
	pthread_mutex_lock(&secrets->lock);
	TAILQ_INSERT_TAIL(&secrets->todo, one, link);
	pthread_cond_signal(&secrets->more);
	pthread_mutex_unlock(&secrets->lock);
	return EK_OK;
}

void ekd_secrets_take(struct ekd_secrets *secrets)
{
	struct ekd_fetch *f = secrets->fetch;
	struct asked *one;

	for (;;) {
		pthread_mutex_lock(&secrets->lock);
		one = TAILQ_FIRST(&secrets->done);
		if (one)
			TAILQ_REMOVE(&secrets->done, one, link);
		pthread_mutex_unlock(&secrets->lock);
		if (!one)
			return;
		ekd_auth_secret(f, one->auth, one->secret);
		free(one);
	}
}

static void free_list(struct asked_list *list)
{
	struct asked *one;

	while ((one = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, one, link);
		ekd_wipe(one->secret);
		free(one);
	}
}

void ekd_secrets_free(struct ekd_secrets *secrets)
{
	if (!secrets)
		return;
	pthread_mutex_lock(&secrets->lock);
	secrets->stop = true;
	pthread_cond_signal(&secrets->more);
	pthread_mutex_unlock(&secrets->lock);
	pthread_join(secrets->thread, NULL);
	free_list(&secrets->todo);
	free_list(&secrets->done);
	pthread_cond_destroy(&secrets->more);
	pthread_mutex_destroy(&secrets->lock);
	free(secrets);
}
