/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_PRIV_H
#define EKD_FETCH_PRIV_H

/*
 * What the files of fetch share.
 *
 * Almost all belongs to the fetch thread. What other threads see is guarded by
 * fetch->lock: the table of requests with each request's `seen`, the list of
 * requests that another thread touched, the counters, and the list of hosts
 * with each host's `seen`. No callback of a user runs under the lock.
 *
 * The way of a request: ekd_request_go() picks a URL and puts it into its
 * host's queue; ekd_hosts_run() takes it out when the host has room and a token
 * is at hand (else it waits in auth->waiters); ekd_http_start(); answer.c looks
 * at what came and ends it, or ekd_request_failed() decides where the next try
 * goes, after a rest (EKD_RESTING) or at once.
 */

#include "cachefilesd/fetch/answers.h"
#include "cachefilesd/fetch/challenge.h"
#include "cachefilesd/fetch/fields.h"
#include "cachefilesd/fetch/place.h"
#include "cachefilesd/fetch/reference.h"
#include "cachefilesd/fetch/sha.h"

#include <curl/curl.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define EKD_TRY(expr)                                                          \
	do {                                                                   \
		ek_status ekd_try_status = (expr);                             \
		if (ekd_try_status != EK_OK)                                   \
			return ekd_try_status;                                 \
	} while (0)

/* Requests under way, hosts, tokens and redirects that are remembered. */
#define EKD_REQUESTS_MAX 16384
#define EKD_HOSTS_MAX	 256
#define EKD_AUTHS_MAX	 1024
#define EKD_PLACES_MAX	 512
#define EKD_MIRRORS_MAX	 16
#define EKD_HOPS_MAX	 10
#define EKD_BUCKETS	 1024
#define EKD_NEVER	 UINT64_MAX
/* A mirror that cannot be talked to is passed over so long. */
#define EKD_MIRROR_REST_MS 30000
/* So long at most a server is left alone that said when to come again. */
#define EKD_BUSY_MAX_MS 60000

enum { EKD_PRIORITIES = 3 };

struct ekd_request;
TAILQ_HEAD(ekd_requests, ekd_request);

/* A server, by scheme, name and port. */
struct ekd_host {
	TAILQ_ENTRY(ekd_host) link;
	struct ekd_origin origin;
	struct ekd_requests queue[EKD_PRIORITIES];
	uint32_t running[EKD_PRIORITIES];
	uint64_t rest_until; /* as a mirror */
	uint64_t busy_until; /* it said 429: nothing is asked before */
	struct ekd_fetch_host seen;
};

enum ekd_auth_state {
	EKD_AUTH_NONE, /* ask without; the answer tells */
	EKD_AUTH_PENDING,
	EKD_AUTH_READY,
};

/* What one host wants for one repository. */
struct ekd_auth {
	TAILQ_ENTRY(ekd_auth) link;
	struct ekd_host *host;
	char repo[256], credentials_host[256];
	enum ekd_auth_state state;
	struct ekd_challenge challenge;
	char *header;	     /* value of Authorization; wiped when freed */
	uint64_t expires;    /* ms, monotonic; EKD_NEVER for Basic */
	uint64_t generation; /* of the header, from 1 */
	bool get_only;	     /* its token server refuses POST */
	bool was_post;
	char *secret; /* user:password while a token is asked for */
	struct ekd_http *http;
	uint8_t *answer;
	size_t answered;
	struct ekd_requests waiters;
};

/* Where a blob was found after redirects. */
struct ekd_known {
	TAILQ_ENTRY(ekd_known) link;
	char digest[72], host[256], repo[256];
	char *url; /* or NULL */
	bool blamed;
};

enum ekd_kind {
	EKD_RANGE,
	EKD_SMALL,
	EKD_STREAM,
};

enum ekd_state {
	EKD_NEW,
	EKD_QUEUED,
	EKD_WAITING, /* for a token */
	EKD_RUNNING,
	EKD_RESTING,
};

typedef ek_status (*ekd_write)(void *arg, const uint8_t *bytes, size_t n,
			       struct ek_err *err);

struct ekd_request {
	TAILQ_ENTRY(ekd_request) link;	/* a host's queue, or waiters */
	TAILQ_ENTRY(ekd_request) all;	/* fetch->all */
	TAILQ_ENTRY(ekd_request) touch; /* fetch->touched */
	struct ekd_request *next;	/* in its bucket */
	uint64_t id;
	/* Under the lock. */
	bool touched, cancelled;
	enum ekd_priority wanted;
	struct ekd_fetch_info seen;
	/* What is wanted. */
	enum ekd_kind kind;
	bool manifest;
	struct ekd_reference ref;
	char name[136]; /* digest or tag */
	uint64_t offset;
	size_t n;
	uint64_t deadline; /* ms, monotonic */
	enum ekd_priority priority;
	ekd_fetched done;
	ekd_write write;
	void *arg;
	char *media; /* 128 bytes of the caller, or NULL */
	/* How far it is; the fetch thread's. */
	bool known_to_thread;
	enum ekd_state state;
	uint64_t wake;
	uint32_t tries, hops, challenged;
	uint32_t endpoint; /* a mirror's number, or the number of mirrors */
	char *url;
	bool known; /* the URL is remembered from a redirect */
	bool fresh; /* such a URL failed: not another one */
	struct ekd_host *host;
	struct ekd_host *home; /* the endpoint's own */
	struct ekd_auth *auth;
	uint64_t sent_generation; /* 0: without */
	struct ekd_http *http;
	/* The body. */
	uint8_t *buf;
	size_t got, room;
	uint64_t skip;	   /* bytes before what is wanted */
	uint64_t streamed; /* of a stream, over all tries */
	uint64_t progress; /* streamed when this try began */
	bool complete;	   /* all is here, the rest does not matter */
	struct ekd_sha *sha;
};

/* One exchange with a server. */
struct ekd_http {
	TAILQ_ENTRY(ekd_http) link;
	struct ekd_fetch *fetch;
	struct ekd_host *host;
	struct ekd_request *request; /* or */
	struct ekd_auth *auth;
	CURL *easy;
	struct curl_slist *headers;
	uint64_t started, last; /* ms, monotonic */
	uint32_t connect_ms, stall_ms;
	enum ekd_priority priority; /* that its host counts it under */
	bool answered;		    /* a byte came */
	/* The answer. */
	long status;
	uint64_t length; /* or EKD_SIZE_UNKNOWN */
	size_t head_size;
	bool head_done, encoded;
	char *location, *challenges, *range, *media, *retry_after;
	uint64_t body;	    /* bytes seen */
	uint8_t note[2048]; /* the begin of an error's body */
	/* Why we broke it off; status EK_OK: we did not. */
	struct ek_err broken;
	bool failed; /* broken counts */
	char text[CURL_ERROR_SIZE];
};

struct ekd_config {
	uint32_t connections, connect_ms, stall_ms, tries, backoff_ms, small_ms;
	char **plain_http, **mirrors;
	size_t n_mirrors;
	char *proxy, *ca_file, *client_cert, *client_key;
	char *(*credentials)(void *arg, const char *host);
	void *credentials_arg;
	void (*log)(void *arg, const char *line);
	void *log_arg;
};

struct ekd_secrets;

struct ekd_fetch {
	struct ekd_config config;
	pthread_t thread;
	CURLM *multi;
	CURLSH *share;
	struct ekd_secrets *secrets;
	/* Under the lock. */
	pthread_mutex_t lock;
	bool stop;
	uint64_t last_id;
	size_t n_requests;
	struct ekd_request *bucket[EKD_BUCKETS];
	struct ekd_requests touched;
	struct ekd_fetch_stats stats;
	TAILQ_HEAD(, ekd_host) hosts;
	size_t n_hosts;
	TAILQ_HEAD(ekd_knowns, ekd_known) known; /* the last used first */
	size_t n_known;
	/* The fetch thread's. */
	struct ekd_requests all;
	TAILQ_HEAD(, ekd_http) running;
	TAILQ_HEAD(ekd_auths, ekd_auth) auths; /* the last used first */
	size_t n_auths;
	uint64_t due; /* when a timer of a request runs out */
	uint64_t random;
	bool started;
};

/* clock.c */
uint64_t ekd_now(void); /* ms, monotonic */
uint64_t ekd_wall_ms(void);
/* From half of @ms to all of it. */
uint64_t ekd_jitter(struct ekd_fetch *f, uint64_t ms);
void ekd_fetch_say(struct ekd_fetch *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Overwrites and frees; NULL allowed. */
void ekd_wipe(char *secret);
/* A thread that takes no signals; 0 or an error number. */
int ekd_thread(pthread_t *thread, void *(*run)(void *arg), void *arg);
/* ek_fail() with EK_IO and this errno. */
ek_status ekd_fail_io(struct ek_err *err, int sys, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* config.c */
ek_status ekd_config_copy(const struct ekd_fetch_options *options,
			  struct ekd_config *config, struct ek_err *err);
void ekd_config_free(struct ekd_config *config);
/* Whether a connection there is allowed at all. */
bool ekd_config_allows(const struct ekd_config *config,
		       const struct ekd_origin *origin);

/* http.c */
struct ekd_http_ask {
	const char *url, *authorization, *range, *accept, *post;
	bool client_cert;
};
/* The exchange's end comes to ekd_answered() or ekd_auth_answered(). */
ek_status ekd_http_start(struct ekd_fetch *f, struct ekd_host *host,
			 const struct ekd_http_ask *ask,
			 struct ekd_request *request, struct ekd_auth *auth,
			 struct ekd_http **http, struct ek_err *err);
/* Drops it without a word. */
void ekd_http_stop(struct ekd_http *http);
/* Looks for those that stall; when the next would. */
uint64_t ekd_http_timers(struct ekd_fetch *f, uint64_t now);
/* Hands ended exchanges to those who wait for them. */
void ekd_http_finish(struct ekd_fetch *f);
/* Why an exchange has no whole answer, in @err; its status. */
ek_status ekd_http_why(struct ekd_http *http, CURLcode code,
		       struct ek_err *err);

/* host.c */
ek_status ekd_host_get(struct ekd_fetch *f, const struct ekd_origin *origin,
		       struct ekd_host **host, struct ek_err *err);
void ekd_fetch_host_ok(struct ekd_fetch *f, struct ekd_host *host);
void ekd_host_failed(struct ekd_fetch *f, struct ekd_host *host,
		     const char *why);
void ekd_host_free(struct ekd_host *host);
/* Starts what may start; when something that waits for a time may. */
uint64_t ekd_hosts_run(struct ekd_fetch *f, uint64_t now);
void ekd_queue(struct ekd_request *rq);
void ekd_unqueue(struct ekd_request *rq);

/* known.c: all under the lock by themselves */
/* A copy of the URL for free(), or NULL; *blamed: no mirrors for it. */
char *ekd_known_get(struct ekd_fetch *f, const struct ekd_request *rq,
		    bool *blamed);
/* @url NULL: forget. */
void ekd_known_set(struct ekd_fetch *f, const struct ekd_request *rq,
		   const char *url);
void ekd_known_free_all(struct ekd_fetch *f);

/* auth.c */
struct ekd_auth *ekd_auth_get(struct ekd_fetch *f, struct ekd_host *host,
			      const char *repo, const char *credentials_host);
/* Whether there is anything for @host. */
bool ekd_auth_has(const struct ekd_fetch *f, const struct ekd_host *host);
/*
 * Frees all of @host, which no request refers to; false: one is asked for, and
 * nothing is freed.
 */
bool ekd_auth_forget(struct ekd_fetch *f, const struct ekd_host *host);
/* Whether it can be asked now; false: @rq waits, or was failed. */
bool ekd_auth_ready(struct ekd_fetch *f, struct ekd_request *rq);
/* What a 401 from the endpoint's own host leads to. */
void ekd_auth_refused(struct ekd_fetch *f, struct ekd_request *rq,
		      const char *challenges);
void ekd_auth_answered(struct ekd_fetch *f, struct ekd_auth *auth,
		       struct ekd_http *http, CURLcode code);
/* The credentials callback has answered; @secret may be NULL. */
void ekd_auth_secret(struct ekd_fetch *f, struct ekd_auth *auth, char *secret);
void ekd_auth_free_all(struct ekd_fetch *f);

/* secrets.c */
ek_status ekd_secrets_new(struct ekd_fetch *f, struct ekd_secrets **secrets,
			  struct ek_err *err);
/* @auth is not freed before ekd_auth_secret() was called for it. */
ek_status ekd_secrets_ask(struct ekd_secrets *secrets, struct ekd_auth *auth,
			  struct ek_err *err);
/* Hands out what has come; on the fetch thread. */
void ekd_secrets_take(struct ekd_secrets *secrets);
void ekd_secrets_free(struct ekd_secrets *secrets);

/* request.c */
enum ekd_failure {
	EKD_AGAIN,   /* may be better later, or elsewhere */
	EKD_OFFLINE, /* as AGAIN, and the server could not be talked to */
	EKD_FINAL,   /* this place will not say anything else */
};
/* Pick a URL and join a host's queue. */
void ekd_request_go(struct ekd_fetch *f, struct ekd_request *rq);
void ekd_request_start(struct ekd_fetch *f, struct ekd_request *rq);
/* @err says why; next: another try, another place, or the end. */
void ekd_request_failed(struct ekd_fetch *f, struct ekd_request *rq,
			enum ekd_failure how, const struct ek_err *err);
/* The end. @err NULL: success. Frees it. */
void ekd_request_end(struct ekd_fetch *f, struct ekd_request *rq,
		     const struct ek_err *err);
void ekd_request_detach(struct ekd_request *rq);
/* Rest until @wake, or fail at once when the deadline is sooner. */
void ekd_request_rest(struct ekd_fetch *f, struct ekd_request *rq,
		      uint64_t wake, const struct ek_err *err);
void ekd_requests_timers(struct ekd_fetch *f, uint64_t now);
/* From other threads. */
ek_status ekd_request_new(enum ekd_kind kind, const struct ekd_reference *ref,
			  const char *name, struct ekd_request **rq,
			  struct ek_err *err);
void ekd_request_free(struct ekd_request *rq);
ek_status ekd_request_submit(struct ekd_fetch *f, struct ekd_request *rq,
			     uint64_t *id, struct ek_err *err);

/* answer.c */
/* The head is here: false when the body is not wanted (http->broken). */
bool ekd_answer_head(struct ekd_http *http, struct ekd_request *rq);
bool ekd_answer_body(struct ekd_http *http, struct ekd_request *rq,
		     const uint8_t *bytes, size_t n);
void ekd_answered(struct ekd_fetch *f, struct ekd_request *rq,
		  struct ekd_http *http, CURLcode code);

#endif
