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
 * may start requests; callbacks run on that thread and must not block.
 */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ekd_fetch;

struct ekd_fetch_options {
	/* Per host; 0: 8. */
	uint32_t connections;
	/* Milliseconds; 0: 10 s to connect, 30 s without a byte. */
	uint32_t connect_ms, stall_ms;
	/* Tries of one request before it fails; 0: 5. Back-off with jitter. */
	uint32_t tries;
	/* Plain HTTP is used for these hosts alone ("host:port"; NULL ends). */
	const char *const *plain_http;
	/* Tried in order before the registry itself ("https://host/"). */
	const char *const *mirrors;
	const char *ca_file; /* further roots, or NULL */
	const char *client_cert, *client_key;
	/*
	 * "user:password" for a registry host, or NULL. Called on the fetch
	 * thread; the text is freed by fetch with free() after being wiped.
	 */
	char *(*credentials)(void *arg, const char *host);
	void *credentials_arg;
	/* One line for the log, without secrets; may be NULL. */
	void (*log)(void *arg, const char *line);
	void *log_arg;
};

ek_status ekd_fetch_new(const struct ekd_fetch_options *options,
			struct ekd_fetch **fetch, struct ek_err *err);
/* Fails what is under way with EK_CANCELLED, then frees. */
void ekd_fetch_free(struct ekd_fetch *fetch);

/* "registry/repo:tag", "registry/repo@sha256:HEX"; parsed and checked. */
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
 * Blob bytes [offset, offset + n) of @digest in @ref's repository, n at most
 * 64 MiB. @deadline_ms from now. *id (may be NULL) is for ekd_fetch_cancel().
 */
ek_status ekd_fetch_range(struct ekd_fetch *fetch,
			  const struct ekd_reference *ref, const char *digest,
			  uint64_t offset, size_t n, enum ekd_priority priority,
			  uint32_t deadline_ms, ekd_fetched done, void *arg,
			  uint64_t *id, struct ek_err *err);

/*
 * A manifest, index or small blob (at most 8 MiB), checked against @digest when
 * it is not "". @media gets the Content-Type. Blocks the caller.
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
 * Stream a whole blob in order to @write (called on the fetch thread), for a
 * layer that is read once. Blocks the caller; checks its digest at the end.
 */
ek_status ekd_fetch_stream(struct ekd_fetch *fetch,
			   const struct ekd_reference *ref, const char *digest,
			   ek_status (*write)(void *arg, const uint8_t *bytes,
					      size_t n, struct ek_err *err),
			   void *arg, struct ek_err *err);

/* Give up on a request: its callback gets EK_CANCELLED if it was not called. */
void ekd_fetch_cancel(struct ekd_fetch *fetch, uint64_t id);

struct ekd_fetch_stats {
	uint64_t requests, retries, failures, bytes;
	uint64_t demand_requests, auth_refreshes, redirects;
};
void ekd_fetch_stats(struct ekd_fetch *fetch, struct ekd_fetch_stats *stats);

#endif
