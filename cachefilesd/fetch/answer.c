/* SPDX-License-Identifier: Apache-2.0 */

/* What servers answer to requests: bodies are checked against what was asked.
 */

#include "cachefilesd/fetch/priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* First room for a body whose length is not said. */
#define ROOM 16384

static bool broken(struct ekd_http *http, ek_status status, const char *fmt,
		   ...) __attribute__((format(printf, 3, 4)));

/* Always false, for return. */
static bool broken(struct ekd_http *http, ek_status status, const char *fmt,
		   ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	ek_fail(&http->broken, status, "%s", text);
	http->failed = true;
	return false;
}

/* A 200 where bytes from @from on were asked for: pass over what is before. */
static bool skip_to(struct ekd_http *http, struct ekd_request *rq,
		    uint64_t from, uint64_t need)
{
	if (from > EKD_SKIP_MAX && rq->kind != EKD_STREAM)
		return broken(http, EK_LIMIT,
			      "it ignores ranges, and this one begins beyond "
			      "%u MiB",
			      EKD_SKIP_MAX >> 20);
	if (http->length != EKD_SIZE_UNKNOWN && http->length < from + need)
		return broken(http, EK_CORRUPT,
			      "the blob has %llu bytes, %llu are needed",
			      (unsigned long long)http->length,
			      (unsigned long long)(from + need));
	rq->skip = from;
	return true;
}

/* A 206: just the bytes that were asked for. @n 0: to the end. */
static bool check_206(struct ekd_http *http, uint64_t from, uint64_t n)
{
	struct ekd_content_range got;
	uint64_t length;

	if (!http->range ||
	    !ekd_content_range_parse(http->range, strlen(http->range), &got))
		return broken(http, EK_CORRUPT,
			      "206 without a Content-Range of bytes");
	length = got.last - got.first + 1;
	if (got.first != from || (n != 0 && length != n))
		return broken(http, EK_CORRUPT,
			      "asked for %llu bytes from %llu, got %llu from "
			      "%llu",
			      (unsigned long long)n, (unsigned long long)from,
			      (unsigned long long)length,
			      (unsigned long long)got.first);
	if (http->length != EKD_SIZE_UNKNOWN && http->length != length)
		return broken(http, EK_CORRUPT,
			      "Content-Length and Content-Range differ");
	return true;
}

static bool range_head(struct ekd_http *http, struct ekd_request *rq)
{
	if (http->status == 206 ? !check_206(http, rq->offset, rq->n)
				: !skip_to(http, rq, rq->offset, rq->n))
		return false;
	if (!rq->buf) {
		rq->buf = malloc(rq->n);
		rq->room = rq->n;
	}
	return rq->buf || broken(http, EK_NOMEM, "no memory for a range");
}

static bool small_head(struct ekd_http *http, struct ekd_request *rq)
{
	if (http->status != 200)
		return broken(http, EK_CORRUPT,
			      "a part where all was asked "
			      "for");
	if (http->length != EKD_SIZE_UNKNOWN && http->length > EKD_SMALL_MAX)
		return broken(http, EK_LIMIT, "%llu bytes, more than %u",
			      (unsigned long long)http->length, EKD_SMALL_MAX);
	if (rq->media)
		ekd_media_parse(http->media ? http->media : "", rq->media, 128);
	return true;
}

static bool stream_head(struct ekd_http *http, struct ekd_request *rq)
{
	if (http->status == 206)
		return rq->streamed > 0
			       ? check_206(http, rq->streamed, 0)
			       : broken(http, EK_CORRUPT,
					"a part where all was asked for");
	return skip_to(http, rq, rq->streamed, 0);
}

bool ekd_answer_head(struct ekd_http *http, struct ekd_request *rq)
{
	if (http->status != 200 && http->status != 206)
		return true;
	if (http->encoded)
		return broken(http, EK_CORRUPT,
			      "an encoding that was not asked for");
	switch (rq->kind) {
	case EKD_RANGE:
		return range_head(http, rq);
	case EKD_SMALL:
		return small_head(http, rq);
	case EKD_STREAM:
		break;
	}
	return stream_head(http, rq);
}

static bool grow(struct ekd_http *http, struct ekd_request *rq, size_t n)
{
	size_t room = rq->room ? rq->room : ROOM;
	uint8_t *more;

	if (n > EKD_SMALL_MAX - rq->got)
		return broken(http, EK_LIMIT, "more than %u bytes",
			      EKD_SMALL_MAX);
	while (room < rq->got + n)
		room *= 2;
	if (room == rq->room)
		return true;
	more = realloc(rq->buf, room);
	if (!more)
		return broken(http, EK_NOMEM, "no memory for a body");
	rq->buf = more;
	rq->room = room;
	return true;
}

static bool range_body(struct ekd_http *http, struct ekd_request *rq,
		       const uint8_t *bytes, size_t n)
{
	size_t want = rq->n - rq->got;

	if (want == 0 && http->status == 200) {
		rq->complete = true;
		return false; /* the rest of the blob is not wanted */
	}
	if (n > want && http->status == 206)
		return broken(http, EK_CORRUPT, "more bytes than it said");
	if (n < want)
		want = n;
	memcpy(rq->buf + rq->got, bytes, want);
	rq->got += want;
	if (n > want)
		rq->complete = true;
	return n == want;
}

static bool stream_body(struct ekd_http *http, struct ekd_request *rq,
			const uint8_t *bytes, size_t n)
{
	ekd_sha_add(rq->sha, bytes, n);
	rq->streamed += n;
	if (rq->write(rq->arg, bytes, n, &http->broken) == EK_OK)
		return true;
	http->failed = true;
	rq->complete = true; /* as far as its reader goes */
	return false;
}

bool ekd_answer_body(struct ekd_http *http, struct ekd_request *rq,
		     const uint8_t *bytes, size_t n)
{
	if (rq->skip >= n) {
		rq->skip -= n;
		return true;
	}
	bytes += rq->skip;
	n -= rq->skip;
	rq->skip = 0;
	switch (rq->kind) {
	case EKD_RANGE:
		return range_body(http, rq, bytes, n);
	case EKD_STREAM:
		return stream_body(http, rq, bytes, n);
	case EKD_SMALL:
		break;
	}
	if (!grow(http, rq, n))
		return false;
	memcpy(rq->buf + rq->got, bytes, n);
	rq->got += n;
	return true;
}

static enum ekd_failure class_of(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SSL_CONNECT_ERROR:
		return EKD_OFFLINE;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return EKD_FINAL;
	default:
		return EKD_AGAIN;
	}
}

/* No head, or a body that did not come to its end. */
static void no_answer(struct ekd_fetch *f, struct ekd_request *rq,
		      struct ekd_http *http, CURLcode code)
{
	enum ekd_failure how = class_of(code);
	struct ek_err err;

	ekd_http_why(http, code, &err);
	if (http->failed && http->broken.status == EK_LIMIT)
		how = EKD_FINAL;
	ekd_request_failed(f, rq, how, &err);
}

static void success(struct ekd_fetch *f, struct ekd_request *rq)
{
	ekd_fetch_host_ok(f, rq->host);
	if (rq->hops > 0 && !rq->manifest && !rq->known)
		ekd_known_set(f, rq, rq->url);
	ekd_request_end(f, rq, NULL);
}

/* The digest of all that came, when the name is one. */
static ek_status check_digest(struct ekd_request *rq, struct ek_err *err)
{
	struct ekd_sha *sha = rq->sha;
	char digest[72];

	if (rq->kind == EKD_RANGE || !ekd_digest_ok(rq->name))
		return EK_OK;
	if (rq->kind == EKD_SMALL) {
		EKD_TRY(ekd_sha_of(rq->buf, rq->got, digest, err));
	} else {
		rq->sha = NULL;
		EKD_TRY(ekd_sha_end(sha, digest, err));
	}
	if (strcmp(digest, rq->name) != 0)
		return ek_fail(err, EK_CORRUPT,
			       "%s: the bytes have another digest (%.19s)",
			       rq->host->origin.host, digest);
	return EK_OK;
}

static void body_ended(struct ekd_fetch *f, struct ekd_request *rq,
		       struct ekd_http *http, CURLcode code)
{
	struct ek_err err;

	if (http->failed && rq->kind == EKD_STREAM && rq->complete) {
		ekd_request_end(f, rq, &http->broken);
		return;
	}
	if (http->failed || (code != CURLE_OK && !rq->complete)) {
		no_answer(f, rq, http, code);
		return;
	}
	if (rq->skip > 0 || (rq->kind == EKD_RANGE && rq->got != rq->n)) {
		ek_fail(&err, EK_CORRUPT, "%s: %zu bytes of %zu came",
			http->host->origin.host, rq->got, rq->n);
		ekd_request_failed(f, rq, EKD_AGAIN, &err);
		return;
	}
	if (check_digest(rq, &err) == EK_OK)
		success(f, rq);
	else if (rq->kind == EKD_STREAM)
		ekd_request_end(f, rq, &err); /* it was handed out already */
	else
		ekd_request_failed(f, rq, EKD_AGAIN, &err);
}

static ek_status check_redirect(const struct ekd_fetch *f,
				const struct ekd_request *rq, const char *url,
				struct ek_err *err)
{
	const char *from = rq->host->origin.host;
	struct ekd_origin to;

	EKD_TRY(ekd_origin_of(url, &to, err));
	if (to.tls)
		return EK_OK;
	if (rq->host->origin.tls)
		return ekd_fail_io(err, EACCES,
				   "%s: a redirect from https to plain %s is "
				   "not followed",
				   from, to.host);
	if (!ekd_config_allows(&f->config, &to))
		return ekd_fail_io(err, EACCES,
				   "%s: redirects to %s, which is not among "
				   "the hosts for plain HTTP",
				   from, to.host);
	return EK_OK;
}

static void redirected(struct ekd_fetch *f, struct ekd_request *rq,
		       struct ekd_http *http)
{
	const char *host = http->host->origin.host;
	char *url = NULL;
	struct ek_err err;
	ek_status status;

	if (++rq->hops > EKD_HOPS_MAX)
		status = ekd_fail_io(&err, EIO, "%s: more than %d redirects",
				     host, EKD_HOPS_MAX);
	else if (!http->location)
		status = ek_fail(&err, EK_CORRUPT,
				 "%s: a redirect that leads nowhere", host);
	else
		status = ekd_place_resolve(rq->url, http->location, &url, &err);
	if (status == EK_OK)
		status = check_redirect(f, rq, url, &err);
	if (status != EK_OK) {
		ekd_wipe(url);
		ekd_request_failed(f, rq, EKD_FINAL, &err);
		return;
	}
	ekd_wipe(rq->url);
	rq->url = url;
	pthread_mutex_lock(&f->lock);
	f->stats.redirects++;
	pthread_mutex_unlock(&f->lock);
	ekd_request_go(f, rq);
}

/* Nobody is to come before this time, says the server. */
static void note_busy(struct ekd_http *http)
{
	uint32_t seconds;
	uint64_t until;

	if (!http->retry_after ||
	    !ekd_retry_after_parse(http->retry_after, (int64_t)time(NULL),
				   &seconds))
		return;
	until = (uint64_t)seconds * 1000;
	until = ekd_now() + (until < EKD_BUSY_MAX_MS ? until : EKD_BUSY_MAX_MS);
	if (until > http->host->busy_until)
		http->host->busy_until = until;
}

static void refused(struct ekd_fetch *f, struct ekd_request *rq,
		    struct ekd_http *http)
{
	size_t n = http->body < sizeof(http->note) ? http->body
						   : sizeof(http->note);
	const char *host = http->host->origin.host;
	enum ekd_failure how = EKD_FINAL;
	long status = http->status;
	bool elsewhere = rq->host != rq->home;
	struct ek_err err;
	char code[48];

	ekd_error_code(http->note, n, code, sizeof(code));
	if ((status == 404 || status == 410) && !elsewhere) {
		ek_fail(&err, EK_NOTFOUND, "%s: not there (%ld%s%s)", host,
			status, *code ? " " : "", code);
	} else if (status == 416) {
		ek_fail(&err, EK_CORRUPT,
			"%s: the blob ends before the range (416)", host);
	} else if (status < 200 || (status >= 203 && status < 300)) {
		ek_fail(&err, EK_CORRUPT, "%s: status %ld", host, status);
	} else {
		ekd_fail_io(&err, status == 401 || status == 403 ? EACCES : EIO,
			    "%s: status %ld%s%s", host, status,
			    *code ? " " : "", code);
	}
	if (status == 429 || status == 503)
		note_busy(http);
	/* What a redirect led to may be another place next time. */
	if (status < 300 || status >= 500 || status == 429 || status == 408 ||
	    status == 425 || elsewhere)
		how = EKD_AGAIN;
	ekd_request_failed(f, rq, how, &err);
}

void ekd_answered(struct ekd_fetch *f, struct ekd_request *rq,
		  struct ekd_http *http, CURLcode code)
{
	rq->state = EKD_NEW;
	if (!http->head_done) {
		no_answer(f, rq, http, code);
		return;
	}
	switch (http->status) {
	case 200:
	case 206:
		body_ended(f, rq, http, code);
		return;
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		redirected(f, rq, http);
		return;
	case 401:
		if (rq->auth) {
			ekd_auth_refused(f, rq, http->challenges);
			return;
		}
		break;
	default:
		break;
	}
	refused(f, rq, http);
}
