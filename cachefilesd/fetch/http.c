/* SPDX-License-Identifier: Apache-2.0 */

/* Exchanges with servers: a thin layer over libcurl's multi interface. */

#include "cachefilesd/fetch/priv.h"

#include <errno.h>
#include <strings.h>

/* Bytes of all header lines of one answer. */
#define HEAD_MAX (256u << 10)
/* Of an error's body, so that its connection can be used again. */
#define ERROR_BODY_MAX (64u << 10)
#define ANSWER_MAX     (1u << 20)
#define TRY_MS	       1000u
#define CHALLENGES_MAX 8192

static void free_head(struct ekd_http *http)
{
	free(http->location);
	free(http->challenges);
	free(http->range);
	free(http->media);
	free(http->retry_after);
	http->location = http->challenges = http->range = NULL;
	http->media = http->retry_after = NULL;
	http->encoded = false;
}

/* The value of a header line when its name is @name. */
static bool value_of(const char *line, size_t n, const char *name,
		     const char **value, size_t *length)
{
	size_t at = strlen(name);

	if (n <= at || line[at] != ':' || strncasecmp(line, name, at) != 0)
		return false;
	for (at++; at < n && (line[at] == ' ' || line[at] == '\t'); at++)
		;
	while (n > at && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	*value = line + at;
	*length = n - at;
	return true;
}

/* The first of its name counts; false: no memory. */
static bool keep(char **to, const char *value, size_t n)
{
	if (*to || memchr(value, 0, n))
		return true;
	*to = strndup(value, n);
	return *to != NULL;
}

static bool keep_challenge(struct ekd_http *http, const char *value, size_t n)
{
	size_t old = http->challenges ? strlen(http->challenges) : 0;
	char *text;

	if (memchr(value, 0, n) || old + n + 3 > CHALLENGES_MAX)
		return true;
	text = realloc(http->challenges, old + n + 3);
	if (!text)
		return false;
	if (old > 0) {
		memcpy(text + old, ", ", 2);
		old += 2;
	}
	memcpy(text + old, value, n);
	text[old + n] = '\0';
	http->challenges = text;
	return true;
}

static bool take_line(struct ekd_http *http, const char *line, size_t n)
{
	const char *v;
	size_t len;

	if (value_of(line, n, "Location", &v, &len))
		return keep(&http->location, v, len);
	if (value_of(line, n, "WWW-Authenticate", &v, &len))
		return keep_challenge(http, v, len);
	if (value_of(line, n, "Content-Range", &v, &len))
		return keep(&http->range, v, len);
	if (value_of(line, n, "Content-Type", &v, &len))
		return keep(&http->media, v, len);
	if (value_of(line, n, "Retry-After", &v, &len))
		return keep(&http->retry_after, v, len);
	if (value_of(line, n, "Content-Encoding", &v, &len) &&
	    !(len == 8 && strncasecmp(v, "identity", 8) == 0))
		http->encoded = true;
	return true;
}

static bool head_ends(struct ekd_http *http)
{
	curl_off_t length = -1;

	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &http->status);
	if (http->status < 200)
		return true; /* another one follows */
	curl_easy_getinfo(http->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
			  &length);
	http->length = length < 0 ? EKD_SIZE_UNKNOWN : (uint64_t)length;
	http->head_done = true;
	return !http->request || ekd_answer_head(http, http->request);
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct ekd_http *http = arg;
	size_t n = size * count;

	http->last = ekd_now();
	http->answered = true;
	if (http->head_done)
		return n; /* trailers */
	http->head_size += n;
	if (http->head_size > HEAD_MAX) {
		ek_fail(&http->broken, EK_LIMIT, "headers without end");
		http->failed = true;
		return 0;
	}
	while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == '\n'))
		n--;
	if (n > 5 && memcmp(line, "HTTP/", 5) == 0)
		free_head(http);
	if (n == 0 ? head_ends(http) : take_line(http, line, n))
		return size * count;
	if (!http->failed && n > 0) {
		ek_fail(&http->broken, EK_NOMEM, "no memory for a header");
		http->failed = true;
	}
	return 0;
}

static bool token_body(struct ekd_http *http, const uint8_t *bytes, size_t n)
{
	struct ekd_auth *auth = http->auth;
	uint8_t *text;

	if (n > ANSWER_MAX - auth->answered) {
		ek_fail(&http->broken, EK_LIMIT, "a token without end");
		http->failed = true;
		return false;
	}
	text = malloc(auth->answered + n);
	if (!text) {
		ek_fail(&http->broken, EK_NOMEM, "no memory for a token");
		http->failed = true;
		return false;
	}
	if (auth->answered) {
		memcpy(text, auth->answer, auth->answered);
		explicit_bzero(auth->answer, auth->answered);
	}
	memcpy(text + auth->answered, bytes, n);
	free(auth->answer);
	auth->answer = text;
	auth->answered += n;
	return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct ekd_http *http = arg;
	size_t n = size * count, room;
	bool go_on;

	http->last = ekd_now();
	if (http->status == 200 || http->status == 206) {
		go_on = http->request ? ekd_answer_body(http, http->request,
							(uint8_t *)bytes, n)
				      : token_body(http, (uint8_t *)bytes, n);
		http->body += n;
		return go_on ? n : 0;
	}
	room = sizeof(http->note);
	if (http->body < room) {
		room -= http->body;
		memcpy(http->note + http->body, bytes, n < room ? n : room);
	}
	http->body += n;
	return http->body <= ERROR_BODY_MAX ? n : 0;
}

static bool add_header(struct ekd_http *http, const char *name,
		       const char *value)
{
	struct curl_slist *list;
	char *line;

	if (asprintf(&line, "%s: %s", name, value) < 0)
		return false;
	list = curl_slist_append(http->headers, line);
	ekd_wipe(line);
	if (!list)
		return false;
	http->headers = list;
	return true;
}

/* curl_easy_setopt() that is not lost when it fails. */
#define SET(option, value)                                                     \
	do {                                                                   \
		CURLcode ekd_code =                                            \
			curl_easy_setopt(http->easy, option, value);           \
		if (ekd_code != CURLE_OK)                                      \
			return ekd_code;                                       \
	} while (0)

static CURLcode set_callbacks(struct ekd_http *http)
{
	SET(CURLOPT_PRIVATE, http);
	SET(CURLOPT_ERRORBUFFER, http->text);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, http);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, http);
	SET(CURLOPT_SHARE, http->fetch->share);
	SET(CURLOPT_NOSIGNAL, 1L);
	/* Or the end of one whose name is looked up would hold up all. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	return CURLE_OK;
}

static CURLcode set_connection(struct ekd_http *http, bool client_cert)
{
	const struct ekd_config *config = &http->fetch->config;

	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	/* One request a connection: priorities are kept by connections. */
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)http->connect_ms);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_BUFFERSIZE, 128L << 10);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (config->proxy)
		SET(CURLOPT_PROXY, config->proxy);
	if (config->ca_file)
		SET(CURLOPT_CAINFO, config->ca_file);
	if (config->client_cert && client_cert) {
		SET(CURLOPT_SSLCERT, config->client_cert);
		if (config->client_key)
			SET(CURLOPT_SSLKEY, config->client_key);
	}
	return CURLE_OK;
}

static CURLcode set_up(struct ekd_http *http, const struct ekd_http_ask *ask)
{
	CURLcode code = set_callbacks(http);

	if (code == CURLE_OK)
		code = set_connection(http, ask->client_cert);
	if (code != CURLE_OK)
		return code;
	SET(CURLOPT_URL, ask->url);
	SET(CURLOPT_USERAGENT, "erofs-cachefilesd/" PACKAGE_VERSION);
	if (ask->range)
		SET(CURLOPT_RANGE, ask->range);
	if (ask->post)
		SET(CURLOPT_COPYPOSTFIELDS, ask->post);
	if (ask->authorization &&
	    !add_header(http, "Authorization", ask->authorization))
		return CURLE_OUT_OF_MEMORY;
	if (ask->accept && !add_header(http, "Accept", ask->accept))
		return CURLE_OUT_OF_MEMORY;
	if (http->headers)
		SET(CURLOPT_HTTPHEADER, http->headers);
	return CURLE_OK;
}

static void http_free(struct ekd_http *http)
{
	curl_easy_cleanup(http->easy);
	for (struct curl_slist *at = http->headers; at; at = at->next)
		explicit_bzero(at->data, strlen(at->data));
	curl_slist_free_all(http->headers);
	free_head(http);
	free(http);
}

/*
 * Half of the time that is left is for another try, unless it would be too
 * little for a server that is far.
 */
static uint32_t within(uint32_t limit, uint64_t now, uint64_t deadline)
{
	uint64_t half;

	if (deadline == EKD_NEVER)
		return limit;
	half = deadline > now ? (deadline - now) / 2 : 0;
	if (half < TRY_MS)
		half = TRY_MS;
	return half < limit ? (uint32_t)half : limit;
}

ek_status ekd_http_start(struct ekd_fetch *f, struct ekd_host *host,
			 const struct ekd_http_ask *ask,
			 struct ekd_request *request, struct ekd_auth *auth,
			 struct ekd_http **http, struct ek_err *err)
{
	uint64_t now = ekd_now();
	uint64_t deadline = request ? request->deadline : EKD_NEVER;
	struct ekd_http *h = calloc(1, sizeof(*h));
	CURLcode code = CURLE_OUT_OF_MEMORY;
	CURLMcode added;

	*http = NULL;
	if (h && !(h->easy = curl_easy_init())) {
		free(h);
		h = NULL;
	}
	if (!h)
		return ek_fail(err, EK_NOMEM, "no memory for a transfer");
	h->fetch = f;
	h->host = host;
	h->request = request;
	h->auth = auth;
	h->started = h->last = now;
	h->connect_ms = within(f->config.connect_ms, now, deadline);
	h->stall_ms = within(f->config.stall_ms, now, deadline);
	h->length = EKD_SIZE_UNKNOWN;
	h->priority = request ? request->priority : EKD_DEMAND;
	code = set_up(h, ask);
	if (code != CURLE_OK) {
		http_free(h);
		return ek_fail(err, EK_NOMEM, "libcurl: %s",
			       curl_easy_strerror(code));
	}
	added = curl_multi_add_handle(f->multi, h->easy);
	if (added != CURLM_OK) {
		http_free(h);
		return ek_fail(err, EK_NOMEM, "libcurl: %s",
			       curl_multi_strerror(added));
	}
	TAILQ_INSERT_TAIL(&f->running, h, link);
	if (request)
		host->running[h->priority]++;
	pthread_mutex_lock(&f->lock);
	host->seen.requests++;
	host->seen.running++;
	f->stats.requests++;
	if (request && request->priority == EKD_DEMAND)
		f->stats.demand_requests++;
	pthread_mutex_unlock(&f->lock);
	*http = h;
	return EK_OK;
}

/* Out of libcurl and of the counts; still to be freed. */
static void leave(struct ekd_http *http)
{
	struct ekd_fetch *f = http->fetch;

	curl_multi_remove_handle(f->multi, http->easy);
	TAILQ_REMOVE(&f->running, http, link);
	if (http->request)
		http->host->running[http->priority]--;
	pthread_mutex_lock(&f->lock);
	http->host->seen.running--;
	http->host->seen.bytes += http->body;
	f->stats.bytes += http->body;
	pthread_mutex_unlock(&f->lock);
}

void ekd_http_stop(struct ekd_http *http)
{
	leave(http);
	http_free(http);
}

static void hand_over(struct ekd_http *http, CURLcode code)
{
	struct ekd_fetch *f = http->fetch;

	leave(http);
	if (http->request) {
		http->request->http = NULL;
		ekd_answered(f, http->request, http, code);
	} else {
		http->auth->http = NULL;
		ekd_auth_answered(f, http->auth, http, code);
	}
	http_free(http);
}

void ekd_http_finish(struct ekd_fetch *f)
{
	struct ekd_http *http;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(f->multi, &left)) != NULL) {
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		http = NULL;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &http);
		hand_over(http, code);
	}
}

/* When an exchange counts as stalled if nothing comes until then. */
static uint64_t stalls_at(struct ekd_http *http)
{
	curl_off_t connected = 0;

	if (http->answered)
		return http->last + http->stall_ms;
	curl_easy_getinfo(http->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
	if (connected > 0)
		return http->started + (uint64_t)connected / 1000 +
		       http->stall_ms;
	return http->started + http->connect_ms + http->stall_ms;
}

uint64_t ekd_http_timers(struct ekd_fetch *f, uint64_t now)
{
	struct ekd_http *http, *next;
	uint64_t due = EKD_NEVER;

	/*
	 * The end of one starts or stops no other: what it leads to waits in
	 * the queues of hosts.
	 */
	for (http = TAILQ_FIRST(&f->running); http; http = next) {
		uint64_t at = stalls_at(http);

		next = TAILQ_NEXT(http, link);
		if (at <= now) {
			ekd_fail_io(&http->broken, EIO,
				    "nothing came for %u ms", http->stall_ms);
			http->failed = true;
			hand_over(http, CURLE_OPERATION_TIMEDOUT);
		} else if (at < due) {
			due = at;
		}
	}
	return due;
}

ek_status ekd_http_why(struct ekd_http *http, CURLcode code, struct ek_err *err)
{
	const char *host = http->host->origin.host;
	const char *text = http->text;

	if (http->failed) {
		*err = http->broken;
		return ek_err_prefix(err, "%s", host);
	}
	if (code == CURLE_OUT_OF_MEMORY)
		return ek_fail(err, EK_NOMEM, "%s: no memory", host);
	/* Some of libcurl's texts quote URLs: not those with a query. */
	if (!*text || strchr(text, '?'))
		text = curl_easy_strerror(code);
	return ekd_fail_io(err, EIO, "%s: %.300s", host, text);
}
