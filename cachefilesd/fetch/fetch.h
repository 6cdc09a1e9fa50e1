/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FETCH_H
#define EKD_FETCH_H

/*
 * Bytes from registries over HTTP (libcurl, multi interface): the OCI
 * distribution protocol with authentication, ranges, redirects, mirrors,
 * retries. Knows HTTP and digests; nothing of EROFS or of kernels. What comes
 * back is whole and of the right length, but not verified beyond a manifest's
 * digest: leaves are verified by the store.
 *
 * One ekd_fetch has one thread of its own that drives all transfers. Any thread
 * may start requests; callbacks run on that thread, must not block and must
 * not call what blocks here (manifest, image, small_blob, stream, free). They
 * may start and cancel requests. No call changes signal masks; the threads
 * block all signals.
 *
 * How requests fail: EK_NOTFOUND (404 of all places), EK_CORRUPT (what came is
 * not what the protocol or a digest promised), EK_LIMIT, EK_CANCELLED, EK_NOMEM
 * and EK_IO, with ek_err.sys ETIMEDOUT (the deadline), EACCES (401, 403) or EIO
 * (all else). Texts name host and cause, and hold no secret: no header, no
 * query of a URL, no token.
 */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ekd_fetch;

/* The longest range of one request, the largest manifest or small blob. */
#define EKD_RANGE_MAX (64u << 20)
#define EKD_SMALL_MAX (8u << 20)
/*
 * A server that answers a range with the whole blob is read up to the range
 * and left after it, if the range begins below this offset; else refused.
 * Streams that go on are not bound by it.
 */
#define EKD_SKIP_MAX (64u << 20)

/* All strings are copied; zeros give the defaults. */
struct ekd_fetch_options {
	/*
	 * Per host; 0: 8. So many demand requests run at once; others begin
	 * while fewer than that less one run in all, so demand never waits for
	 * them. Background requests begin while two at most of what is not
	 * demand run, as long as demand is under way at the host.
	 */
	uint32_t connections;
	/* Milliseconds; 0: 10 s to connect, 30 s without a byte. */
	uint32_t connect_ms, stall_ms;
	/* Tries of one request before it fails; 0: 5. Back-off with jitter. */
	uint32_t tries;
	/* The first back-off in milliseconds, doubled up to 64-fold; 0: 200. */
	uint32_t backoff_ms;
	/* Deadline of a manifest or small blob; 0: 60 s. */
	uint32_t small_ms;
	/* Plain HTTP is used for these hosts alone ("host:port"; NULL ends). */
	const char *const *plain_http;
	/*
	 * Tried in order before the registry itself ("https://host/", or
	 * "http://host:port" for a host of plain_http). A mirror that failed
	 * for want of a connection is passed over for a while.
	 */
	const char *const *mirrors;
	/*
	 * "http://[user:password@]host:port"; NULL: what https_proxy,
	 * http_proxy and no_proxy in the environment say; "": none.
	 */
	const char *proxy;
	const char *ca_file; /* further roots, or NULL */
	const char *client_cert, *client_key;
	/*
	 * "user:password" for a registry host, or NULL. Called on a thread for
	 * this alone, so it may block; the text is freed by fetch with free()
	 * after being wiped. "<token>:TEXT" is an identity token (docker).
	 */
	char *(*credentials)(void *arg, const char *host);
	void *credentials_arg;
	/* One line for the log, without secrets; may be NULL. */
	void (*log)(void *arg, const char *line);
	void *log_arg;
};

ek_status ekd_fetch_new(const struct ekd_fetch_options *options,
			struct ekd_fetch **fetch, struct ek_err *err);
/*
 * Fails what is under way with EK_CANCELLED, then frees. Waits for a call of
 * the credentials callback. No other call may run or follow. NULL allowed.
 */
void ekd_fetch_free(struct ekd_fetch *fetch);

/*
 * "registry/repo:tag", "registry/repo@sha256:HEX", "registry/repo" (tag
 * "latest"), each with or without "oci://" before it; parsed and checked. The
 * registry is never guessed: it has a dot, a port, or is "localhost". With tag
 * and digest the digest counts.
 */
struct ekd_reference {
	char host[256];	 /* with port */
	char repo[256];	 /* path of the repository */
	char tag[129];	 /* "" when a digest is given */
	char digest[72]; /* "sha256:HEX" or "" */
};
ek_status ekd_reference_parse(const char *text, struct ekd_reference *ref,
			      struct ek_err *err);

enum ekd_priority {
	EKD_DEMAND = 0, /* a reader waits */
	EKD_READAHEAD,
	EKD_BACKGROUND,
};

/* Called once; @bytes (NULL on failure) live during the call. */
typedef void (*ekd_fetched)(void *arg, ek_status status,
			    const struct ek_err *err, const uint8_t *bytes,
			    size_t n);

/*
 * Blob bytes [offset, offset + n) of @digest in @ref's repository, n from 1 to
 * EKD_RANGE_MAX. @deadline_ms from now, at least 1. *id (may be NULL) is for
 * ekd_fetch_cancel() and is set before @done can be called; never 0. When this
 * call fails, @done is not called.
 */
ek_status ekd_fetch_range(struct ekd_fetch *fetch,
			  const struct ekd_reference *ref, const char *digest,
			  uint64_t offset, size_t n, enum ekd_priority priority,
			  uint32_t deadline_ms, ekd_fetched done, void *arg,
			  uint64_t *id, struct ek_err *err);

/*
 * A manifest, index or small blob (at most EKD_SMALL_MAX), checked against
 * @digest when it is not "". With "" a manifest is that of @ref's own digest
 * or tag; a small blob needs a digest. @media gets the Content-Type without
 * its parameters. The caller frees *bytes with free(). Blocks the caller.
 */
ek_status ekd_fetch_manifest(struct ekd_fetch *fetch,
			     const struct ekd_reference *ref,
			     const char *digest, uint8_t **bytes, size_t *n,
			     char media[128], struct ek_err *err);
ek_status ekd_fetch_small_blob(struct ekd_fetch *fetch,
			       const struct ekd_reference *ref,
			       const char *digest, uint8_t **bytes, size_t *n,
			       struct ek_err *err);

/*
 * The manifest of one image: as ekd_fetch_manifest() for @ref's own tag or
 * digest, and where that is an index, the manifest in it for @platform
 * ("linux/amd64", "linux/arm64/v8"; NULL: this host's). @digest gets the
 * manifest's digest, computed from its bytes.
 */
ek_status ekd_fetch_image(struct ekd_fetch *fetch,
			  const struct ekd_reference *ref, const char *platform,
			  uint8_t **bytes, size_t *n, char digest[72],
			  char media[128], struct ek_err *err);

/*
 * Stream a whole blob in order to @write (called on the fetch thread; a failure
 * ends the transfer and is returned), for a layer that is read once. Goes on
 * where it was after a broken transfer. Blocks the caller; checks the digest at
 * the end, so what was written counts only after success.
 */
ek_status ekd_fetch_stream(struct ekd_fetch *fetch,
			   const struct ekd_reference *ref, const char *digest,
			   ek_status (*write)(void *arg, const uint8_t *bytes,
					      size_t n, struct ek_err *err),
			   void *arg, struct ek_err *err);

/*
 * Give up on a request: its callback gets EK_CANCELLED, on the fetch thread and
 * soon, if it was not called. Unknown ids are ignored.
 */
void ekd_fetch_cancel(struct ekd_fetch *fetch, uint64_t id);

/*
 * A reader waits now for what was asked for with less priority. Never lowers.
 */
void ekd_fetch_raise(struct ekd_fetch *fetch, uint64_t id,
		     enum ekd_priority priority);

/*
 * Bytes of this blob did not verify: what is asked of it from now on comes
 * from the registry itself, by way of a fresh redirect if it gives one.
 */
void ekd_fetch_blame(struct ekd_fetch *fetch, const char *digest);

/* How a request that is under way stands; EK_NOTFOUND when it is not. */
struct ekd_fetch_info {
	uint32_t attempts;    /* tries begun */
	char host[256];	      /* of the last try, redirects followed */
	char last_error[256]; /* of the last failed try, or "" */
};
ek_status ekd_fetch_info(struct ekd_fetch *fetch, uint64_t id,
			 struct ekd_fetch_info *info, struct ek_err *err);

struct ekd_fetch_stats {
	uint64_t requests, retries, failures, bytes;
	uint64_t demand_requests, auth_refreshes, redirects;
};
void ekd_fetch_stats(struct ekd_fetch *fetch, struct ekd_fetch_stats *stats);

/* One host that was talked to; times in milliseconds of CLOCK_REALTIME. */
struct ekd_fetch_host {
	char host[256];
	uint64_t requests; /* tries, token requests among them */
	uint64_t failures; /* of these tries */
	uint64_t bytes;	   /* of bodies */
	uint64_t last_ok_ms, last_error_ms; /* 0: never */
	char last_error[256];
	uint32_t running; /* transfers now */
};
/* Up to @room hosts into @hosts; *n is how many there are. */
void ekd_fetch_hosts(struct ekd_fetch *fetch, struct ekd_fetch_host *hosts,
		     size_t room, size_t *n);

#endif
