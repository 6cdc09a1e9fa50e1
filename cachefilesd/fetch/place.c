/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/place.h"
#include "cachefilesd/fetch/priv.h"

#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ekd_listed(const char *const *list, const char *host)
{
	for (; list && *list; list++)
		if (strcmp(*list, host) == 0)
			return true;
	return false;
}

/* A part of a URL into @to; *has says whether it has that part. */
static ek_status part(CURLU *u, CURLUPart what, char *to, size_t room,
		      bool *has, struct ek_err *err)
{
	char *text = NULL;
	CURLUcode code = curl_url_get(u, what, &text, 0);

	*has = code == CURLUE_OK;
	to[0] = '\0';
	if (code == CURLUE_OUT_OF_MEMORY)
		return ek_fail(err, EK_NOMEM, "no memory for a URL");
	if (code != CURLUE_OK)
		return EK_OK;
	if (strlen(text) >= room) {
		curl_free(text);
		return ek_fail(err, EK_INVALID, "a URL's host is too long");
	}
	memcpy(to, text, strlen(text) + 1);
	curl_free(text);
	return EK_OK;
}

static ek_status origin_of(CURLU *u, struct ekd_origin *origin,
			   struct ek_err *err)
{
	char scheme[16], host[248], port[8], user[8];
	ek_status status;
	bool has;

	status = part(u, CURLUPART_USER, user, sizeof(user), &has, err);
	if (status != EK_OK || has)
		return ek_fail(err, EK_INVALID, "a URL with a user's name");
	EKD_TRY(part(u, CURLUPART_SCHEME, scheme, sizeof(scheme), &has, err));
	origin->tls = strcmp(scheme, "https") == 0;
	if (!origin->tls && strcmp(scheme, "http") != 0)
		return ek_fail(err, EK_INVALID, "a URL that is not of HTTP");
	EKD_TRY(part(u, CURLUPART_HOST, host, sizeof(host), &has, err));
	if (!has || !*host)
		return ek_fail(err, EK_INVALID, "a URL without a host");
	for (char *at = host; *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
	EKD_TRY(part(u, CURLUPART_PORT, port, sizeof(port), &has, err));
	if (strcmp(port, origin->tls ? "443" : "80") == 0)
		has = false;
	snprintf(origin->host, sizeof(origin->host), "%s%s%s", host,
		 has ? ":" : "", has ? port : "");
	snprintf(origin->name, sizeof(origin->name), "%s://%s",
		 origin->tls ? "https" : "http", origin->host);
	return EK_OK;
}

ek_status ekd_origin_of(const char *url, struct ekd_origin *origin,
			struct ek_err *err)
{
	CURLU *u = curl_url();
	ek_status status;

	if (!u)
		return ek_fail(err, EK_NOMEM, "no memory for a URL");
	if (strlen(url) > EKD_URL_MAX ||
	    curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
		status = ek_fail(err, EK_INVALID, "this is no URL");
	else
		status = origin_of(u, origin, err);
	curl_url_cleanup(u);
	return status;
}

/* Blanks and control characters have no place in a request's first line. */
static bool clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= 0x20 || *text == 0x7f)
			return false;
	return true;
}

ek_status ekd_place_resolve(const char *base, const char *location, char **url,
			    struct ek_err *err)
{
	ek_status status = EK_OK;
	struct ekd_origin origin;
	char *text = NULL;
	CURLU *u;

	*url = NULL;
	if (strlen(location) > EKD_URL_MAX || !clean(location))
		return ek_fail(err, EK_CORRUPT, "a redirect to no URL");
	u = curl_url();
	if (!u)
		return ek_fail(err, EK_NOMEM, "no memory for a URL");
	if (curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK)
		status = ek_fail(err, EK_CORRUPT, "a redirect to no URL");
	else if (origin_of(u, &origin, err) != EK_OK)
		status = ek_fail(err, EK_CORRUPT,
				 "a redirect to what is no plain URL of HTTP");
	else if (curl_url_get(u, CURLUPART_URL, &text, 0) != CURLUE_OK)
		status = ek_fail(err, EK_NOMEM, "no memory for a URL");
	else if (strlen(text) > EKD_URL_MAX || !clean(text))
		status = ek_fail(err, EK_CORRUPT, "a redirect to no URL");
	else if (!(*url = strdup(text)))
		status = ek_fail(err, EK_NOMEM, "no memory for a URL");
	curl_free(text);
	curl_url_cleanup(u);
	return status;
}

ek_status ekd_place_of(const char *base, const char *repo, bool manifest,
		       const char *name, const char *ns, char **url,
		       struct ek_err *err)
{
	size_t n = strlen(base);

	while (n > 0 && base[n - 1] == '/')
		n--;
	if (asprintf(url, "%.*s/v2/%s/%s/%s%s%s", (int)n, base, repo,
		     manifest ? "manifests" : "blobs", name, ns ? "?ns=" : "",
		     ns ? ns : "") < 0) {
		*url = NULL;
		return ek_fail(err, EK_NOMEM, "no memory for a URL");
	}
	return EK_OK;
}
