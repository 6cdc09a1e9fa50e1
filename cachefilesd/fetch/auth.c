/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tokens: one for each host and repository, asked for once however many
 * requests wait for it. A token that is refused is dropped, and the request
 * goes again without one: some servers answer a stale token with a challenge
 * that is of no use.
 */

#include "cachefilesd/fetch/priv.h"

#include <errno.h>
#include <stdio.h>

/* Answers of 401 within one try; the third is a fresh token's. */
#define CHALLENGED_MAX 4

static void forget(struct ekd_auth *auth)
{
	ekd_wipe(auth->header);
	auth->header = NULL;
	auth->state = EKD_AUTH_NONE;
}

static void forget_answer(struct ekd_auth *auth)
{
	if (auth->answer)
		explicit_bzero(auth->answer, auth->answered);
	free(auth->answer);
	auth->answer = NULL;
	auth->answered = 0;
}

static void auth_free(struct ekd_auth *auth)
{
	forget(auth);
	forget_answer(auth);
	ekd_wipe(auth->secret);
	free(auth);
}

/* The one that was not used for longest and that nobody refers to goes. */
static bool make_room(struct ekd_fetch *f)
{
	const struct ekd_request *rq;
	struct ekd_auth *auth;

	TAILQ_FOREACH_REVERSE(auth, &f->auths, ekd_auths, link)
	{
		if (auth->state == EKD_AUTH_PENDING)
			continue;
		TAILQ_FOREACH(rq, &f->all, all)
		if (rq->auth == auth)
			break;
		if (rq)
			continue;
		TAILQ_REMOVE(&f->auths, auth, link);
		f->n_auths--;
		auth_free(auth);
		return true;
	}
	return false;
}

bool ekd_auth_has(const struct ekd_fetch *f, const struct ekd_host *host)
{
	const struct ekd_auth *auth;

	TAILQ_FOREACH(auth, &f->auths, link)
	if (auth->host == host)
		return true;
	return false;
}

bool ekd_auth_forget(struct ekd_fetch *f, const struct ekd_host *host)
{
	struct ekd_auth *auth, *next;

	TAILQ_FOREACH(auth, &f->auths, link)
	if (auth->host == host && auth->state == EKD_AUTH_PENDING)
		return false;
	for (auth = TAILQ_FIRST(&f->auths); auth; auth = next) {
		next = TAILQ_NEXT(auth, link);
		if (auth->host != host)
			continue;
		TAILQ_REMOVE(&f->auths, auth, link);
		f->n_auths--;
		auth_free(auth);
	}
	return true;
}

struct ekd_auth *ekd_auth_get(struct ekd_fetch *f, struct ekd_host *host,
			      const char *repo, const char *credentials_host)
{
	struct ekd_auth *auth;

	TAILQ_FOREACH(auth, &f->auths, link)
	if (auth->host == host && strcmp(auth->repo, repo) == 0)
		break;
	if (auth) {
		TAILQ_REMOVE(&f->auths, auth, link);
		TAILQ_INSERT_HEAD(&f->auths, auth, link);
		return auth;
	}
	if (f->n_auths >= EKD_AUTHS_MAX && !make_room(f))
		return NULL;
	auth = calloc(1, sizeof(*auth));
	if (!auth)
		return NULL;
	auth->host = host;
	snprintf(auth->repo, sizeof(auth->repo), "%s", repo);
	snprintf(auth->credentials_host, sizeof(auth->credentials_host), "%s",
		 credentials_host);
	TAILQ_INIT(&auth->waiters);
	TAILQ_INSERT_HEAD(&f->auths, auth, link);
	f->n_auths++;
	return auth;
}

static void auth_done(struct ekd_fetch *f, struct ekd_auth *auth)
{
	struct ekd_request *rq;

	auth->state = EKD_AUTH_READY;
	auth->generation++;
	pthread_mutex_lock(&f->lock);
	f->stats.auth_refreshes++;
	pthread_mutex_unlock(&f->lock);
	while ((rq = TAILQ_FIRST(&auth->waiters)) != NULL) {
		TAILQ_REMOVE(&auth->waiters, rq, link);
		ekd_queue(rq);
	}
}

static void auth_fail(struct ekd_fetch *f, struct ekd_auth *auth,
		      enum ekd_failure how, const struct ek_err *err)
{
	struct ekd_requests waiters;
	struct ekd_request *rq;

	forget(auth);
	ekd_wipe(auth->secret);
	auth->secret = NULL;
	/* What is failed may come back here at once: not into this list. */
	TAILQ_INIT(&waiters);
	TAILQ_CONCAT(&waiters, &auth->waiters, link);
	while ((rq = TAILQ_FIRST(&waiters)) != NULL) {
		TAILQ_REMOVE(&waiters, rq, link);
		rq->state = EKD_NEW;
		ekd_request_failed(f, rq, how, err);
	}
}

/* "Basic " and base 64 of the secret. */
static char *basic(const char *secret)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(secret), at = 6;
	char *text;

	if (n > EKD_TOKEN_MAX)
		return NULL;
	text = malloc(6 + (n + 2) / 3 * 4 + 1);
	if (!text)
		return NULL;
	memcpy(text, "Basic ", 6);
	for (size_t i = 0; i < n; i += 3) {
		uint32_t b = (uint32_t)(uint8_t)secret[i] << 16;

		if (i + 1 < n)
			b |= (uint32_t)(uint8_t)secret[i + 1] << 8;
		if (i + 2 < n)
			b |= (uint8_t)secret[i + 2];
		text[at++] = digits[b >> 18];
		text[at++] = digits[b >> 12 & 63];
		text[at++] = i + 1 < n ? digits[b >> 6 & 63] : '=';
		text[at++] = i + 2 < n ? digits[b & 63] : '=';
	}
	text[at] = '\0';
	return text;
}

/* Appends "name=value" in the form's code; false: no memory. */
static bool add_field(char **form, const char *name, const char *value,
		      size_t length)
{
	char *code = curl_easy_escape(NULL, value, (int)length), *more;
	int n;

	if (!code)
		return false;
	n = asprintf(&more, "%s%s%s=%s", *form ? *form : "", *form ? "&" : "",
		     name, code);
	explicit_bzero(code, strlen(code));
	curl_free(code);
	if (n < 0)
		return false;
	ekd_wipe(*form);
	*form = more;
	return true;
}

static const char *identity(const struct ekd_auth *auth)
{
	static const char mark[] = "<token>:";

	if (!auth->secret || strncmp(auth->secret, mark, strlen(mark)) != 0)
		return NULL;
	return auth->secret + strlen(mark);
}

/* The fields of a token request; NULL: no memory. */
static char *token_form(const struct ekd_auth *auth, bool post)
{
	const struct ekd_challenge *ch = &auth->challenge;
	const char *colon = auth->secret ? strchr(auth->secret, ':') : NULL;
	const char *id = identity(auth);
	char scope[300], *form = NULL;
	bool ok = true;

	snprintf(scope, sizeof(scope), "repository:%s:pull", auth->repo);
	if (ch->service[0])
		ok = add_field(&form, "service", ch->service,
			       strlen(ch->service));
	ok = ok && add_field(&form, "scope", ch->scope[0] ? ch->scope : scope,
			     strlen(ch->scope[0] ? ch->scope : scope));
	ok = ok && add_field(&form, "client_id", "erofs-cachefilesd", 17);
	if (post && id)
		ok = ok &&
		     add_field(&form, "grant_type", "refresh_token", 13) &&
		     add_field(&form, "refresh_token", id, strlen(id));
	else if (post && colon)
		ok = ok && add_field(&form, "grant_type", "password", 8) &&
		     add_field(&form, "username", auth->secret,
			       (size_t)(colon - auth->secret)) &&
		     add_field(&form, "password", colon + 1, strlen(colon + 1));
	if (!ok) {
		ekd_wipe(form);
		form = NULL;
	}
	return form;
}

static ek_status token_ask(struct ekd_fetch *f, struct ekd_auth *auth,
			   bool post, const char *form, struct ek_err *err)
{
	const char *realm = auth->challenge.realm;
	struct ekd_http_ask ask = {.accept = "application/json"};
	struct ekd_origin origin;
	struct ekd_host *host;
	char *url = NULL, *header = NULL;
	ek_status status;

	if (ekd_origin_of(realm, &origin, NULL) != EK_OK)
		return ek_fail(err, EK_CORRUPT,
			       "%s: the token server's URL is wrong",
			       auth->host->origin.host);
	if (!ekd_config_allows(&f->config, &origin))
		return ekd_fail_io(err, EACCES,
				   "%s: its token server %s is not among the "
				   "hosts for plain HTTP",
				   auth->host->origin.host, origin.host);
	EKD_TRY(ekd_host_get(f, &origin, &host, err));
	if (auth->secret && !identity(auth) && !(header = basic(auth->secret)))
		return ek_fail(err, EK_NOMEM, "no memory for a token");
	if (post)
		url = strdup(realm);
	else if (asprintf(&url, "%s%s%s", realm, strchr(realm, '?') ? "&" : "?",
			  form) < 0)
		url = NULL;
	ask.url = url;
	ask.post = post ? form : NULL;
	ask.authorization = header;
	ask.client_cert = host == auth->host;
	auth->was_post = post;
	status = url ? ekd_http_start(f, host, &ask, NULL, auth, &auth->http,
				      err)
		     : ek_fail(err, EK_NOMEM, "no memory for a token");
	ekd_wipe(url);
	ekd_wipe(header);
	return status;
}

/*
 * POST is the protocol's way to give a password or an identity token; without
 * either there is nothing to put into it.
 */
static void token_start(struct ekd_fetch *f, struct ekd_auth *auth, bool post)
{
	char *form = token_form(auth, post);
	struct ek_err err;
	ek_status status;

	forget_answer(auth);
	if (form)
		status = token_ask(f, auth, post, form, &err);
	else
		status = ek_fail(&err, EK_NOMEM, "no memory for a token");
	ekd_wipe(form);
	if (status != EK_OK)
		auth_fail(f, auth, status == EK_NOMEM ? EKD_AGAIN : EKD_FINAL,
			  &err);
}

void ekd_auth_secret(struct ekd_fetch *f, struct ekd_auth *auth, char *secret)
{
	const char *host = auth->host->origin.host;
	struct ek_err err;

	if (auth->challenge.bearer) {
		auth->secret = secret;
		token_start(f, auth,
			    secret && (identity(auth) || !auth->get_only));
		return;
	}
	auth->header = secret ? basic(secret) : NULL;
	auth->expires = EKD_NEVER;
	if (auth->header) {
		auth_done(f, auth);
	} else {
		if (secret)
			ek_fail(&err, EK_NOMEM, "no memory for a password");
		else
			ekd_fail_io(&err, EACCES,
				    "%s: asks for a user and a password, and "
				    "none is known",
				    host);
		auth_fail(f, auth, secret ? EKD_AGAIN : EKD_FINAL, &err);
	}
	ekd_wipe(secret);
}

/* Those who wait must be in the list: this may fail them at once. */
static void auth_begin(struct ekd_fetch *f, struct ekd_auth *auth)
{
	struct ek_err err;

	forget(auth);
	auth->state = EKD_AUTH_PENDING;
	if (!f->secrets)
		ekd_auth_secret(f, auth, NULL);
	else if (ekd_secrets_ask(f->secrets, auth, &err) != EK_OK)
		auth_fail(f, auth, EKD_AGAIN, &err);
}

static void wait_for(struct ekd_auth *auth, struct ekd_request *rq)
{
	rq->state = EKD_WAITING;
	if (rq->priority == EKD_DEMAND)
		TAILQ_INSERT_HEAD(&auth->waiters, rq, link);
	else
		TAILQ_INSERT_TAIL(&auth->waiters, rq, link);
}

bool ekd_auth_ready(struct ekd_fetch *f, struct ekd_request *rq)
{
	struct ekd_auth *auth;
	struct ek_err err;

	rq->auth = NULL;
	if (rq->host != rq->home)
		return true; /* no secret goes to another host */
	auth = ekd_auth_get(f, rq->home, rq->ref.repo,
			    rq->endpoint < f->config.n_mirrors
				    ? rq->home->origin.host
				    : rq->ref.host);
	if (!auth) {
		ek_fail(&err, EK_LIMIT, "too many repositories at once");
		ekd_request_failed(f, rq, EKD_FINAL, &err);
		return false;
	}
	rq->auth = auth;
	if (auth->state == EKD_AUTH_READY && ekd_now() >= auth->expires) {
		wait_for(auth, rq);
		auth_begin(f, auth);
		return false;
	}
	if (auth->state == EKD_AUTH_PENDING) {
		wait_for(auth, rq);
		return false;
	}
	return true;
}

static const struct ekd_challenge *choose(const struct ekd_challenge *list,
					  size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].bearer)
			return &list[i];
	return n > 0 ? &list[0] : NULL;
}

void ekd_auth_refused(struct ekd_fetch *f, struct ekd_request *rq,
		      const char *challenges)
{
	struct ekd_challenge list[EKD_CHALLENGES_MAX];
	const struct ekd_challenge *best;
	struct ekd_auth *auth = rq->auth;
	struct ek_err err;
	size_t n;

	if (++rq->challenged >= CHALLENGED_MAX) {
		ekd_fail_io(&err, EACCES, "%s: refuses what it asked for (401)",
			    rq->host->origin.host);
		/* Who is asked for it already still gives it to others. */
		if (auth->state != EKD_AUTH_PENDING)
			forget(auth);
		ekd_request_failed(f, rq, EKD_FINAL, &err);
		return;
	}
	if (rq->sent_generation == auth->generation &&
	    auth->state == EKD_AUTH_READY && rq->sent_generation != 0)
		forget(auth);
	if (rq->sent_generation != 0 || auth->state != EKD_AUTH_NONE) {
		ekd_queue(rq);
		return;
	}
	n = challenges ? ekd_challenges_parse(challenges, strlen(challenges),
					      list, EKD_CHALLENGES_MAX)
		       : 0;
	best = choose(list, n);
	if (!best) {
		ekd_fail_io(&err, EACCES,
			    "%s: 401 without a challenge that is known",
			    rq->host->origin.host);
		ekd_request_failed(f, rq, EKD_FINAL, &err);
		return;
	}
	auth->challenge = *best;
	wait_for(auth, rq);
	auth_begin(f, auth);
}

static void token_taken(struct ekd_fetch *f, struct ekd_auth *auth,
			struct ekd_http *http)
{
	uint32_t seconds, early;
	struct ek_err err;
	char *token;

	if (ekd_token_parse(auth->answer, auth->answered, &token, &seconds,
			    &err) != EK_OK) {
		ek_err_prefix(&err, "%s", http->host->origin.host);
		ekd_host_failed(f, http->host, err.text);
		auth_fail(f, auth, EKD_AGAIN, &err);
		return;
	}
	if (asprintf(&auth->header, "Bearer %s", token) < 0)
		auth->header = NULL;
	ekd_wipe(token);
	if (!auth->header) {
		ek_fail(&err, EK_NOMEM, "no memory for a token");
		auth_fail(f, auth, EKD_AGAIN, &err);
		return;
	}
	early = seconds / 10 < 20 ? seconds / 10 : 20;
	auth->expires = ekd_now() + (uint64_t)(seconds - early) * 1000;
	ekd_wipe(auth->secret);
	auth->secret = NULL;
	if (!auth->was_post)
		auth->get_only = true;
	ekd_fetch_host_ok(f, http->host);
	auth_done(f, auth);
}

void ekd_auth_answered(struct ekd_fetch *f, struct ekd_auth *auth,
		       struct ekd_http *http, CURLcode code)
{
	const char *host = http->host->origin.host;
	long status = http->status;
	struct ek_err err;
	bool soon = true;

	if (http->head_done && status == 200 && code == CURLE_OK) {
		token_taken(f, auth, http);
		forget_answer(auth);
		return;
	}
	forget_answer(auth);
	if (!http->head_done || status == 200) {
		ekd_http_why(http, code, &err);
		ek_err_prefix(&err, "token server");
	} else if (status < 500 && status != 429 && auth->was_post &&
		   !identity(auth)) {
		token_start(f, auth, false);
		return;
	} else if (status == 401 || status == 403) {
		ekd_fail_io(&err, EACCES, "token server %s: %ld, %s", host,
			    status,
			    auth->secret ? "it refuses the credentials"
					 : "no credentials are known");
		soon = false;
	} else {
		ekd_fail_io(&err, EIO, "token server %s: status %ld", host,
			    status);
		soon = status >= 500 || status == 429;
	}
	ekd_host_failed(f, http->host, err.text);
	auth_fail(f, auth, soon ? EKD_AGAIN : EKD_FINAL, &err);
}

void ekd_auth_free_all(struct ekd_fetch *f)
{
	struct ekd_auth *auth;

	while ((auth = TAILQ_FIRST(&f->auths)) != NULL) {
		TAILQ_REMOVE(&f->auths, auth, link);
		auth_free(auth);
	}
}
