/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_SERVE_H
#define EKD_SERVE_H

/*
 * Who gets which bytes when. Readers ask for ranges of blobs; what the store
 * has is answered at once, what it lacks is fetched once (single flight a
 * leaf), verified, stored and then answered. Demand goes before reading ahead,
 * that before prefetch, that before completion. Every reader gets the right
 * bytes or a failure within its deadline.
 *
 * Knows blobs, leaves and backends; nothing of EROFS, HTTP or kernels. Any
 * thread may use any call, but those that say "blocks" not from a callback.
 * Callbacks run without a lock held, on the caller's or a thread of this
 * module, and must not block.
 */

#include "cachefilesd/fetch/fetch.h"
#include "cachefilesd/store/store.h"

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most bytes and leaves of one read. */
#define EKD_READ_MAX	(1u << 20)
#define EKD_READ_LEAVES 320

struct ekd_serve;
struct ekd_served;

/*
 * Where a blob's bytes come from. @start is as ekd_fetch_range(): @done comes
 * once, from another thread, never from within a call and with no lock of the
 * backend's held. @cancel hurries it with EK_CANCELLED; unknown ids are
 * ignored. @info is as ekd_fetch_info(). @free is called when no request is
 * under way.
 */
struct ekd_backend {
	ek_status (*start)(struct ekd_backend *backend, uint64_t offset,
			   size_t n, enum ekd_priority priority,
			   uint32_t deadline_ms, ekd_fetched done, void *arg,
			   uint64_t *id, struct ek_err *err);
	void (*cancel)(struct ekd_backend *backend, uint64_t id);
	ek_status (*info)(struct ekd_backend *backend, uint64_t id,
			  struct ekd_fetch_info *info, struct ek_err *err);
	void (*free)(struct ekd_backend *backend);
	/* A reader waits for this one now. As @cancel; may be NULL. */
	void (*raise)(struct ekd_backend *backend, uint64_t id,
		      enum ekd_priority priority);
	/* Bytes from it were wrong: the next come from elsewhere, if there is
	 * another place. As @cancel; may be NULL. */
	void (*blame)(struct ekd_backend *backend);
	/* @done may block: leaves are then verified and written in it. */
	bool done_may_block;
};

/* Blob @digest ("sha256:HEX") of @ref's repository; @ref is copied. */
ek_status ekd_backend_registry(struct ekd_fetch *fetch,
			       const struct ekd_reference *ref,
			       const char *digest, struct ekd_backend **backend,
			       struct ek_err *err);
/* The file @fd (owned from now on, also on failure), from its byte 0. */
ek_status ekd_backend_local(int fd, struct ekd_backend **backend,
			    struct ek_err *err);

struct ekd_serve_options {
	uint32_t deadline_ms;	/* of a reader; 0: 30,000 */
	uint32_t background_ms; /* of other requests; 0: 120,000 */
	uint32_t fetch_max;	/* bytes of one request; 0: 4 MiB */
	/* Read-ahead of one reader; 0: 16 MiB; less than a leaf: none. */
	uint32_t ahead_max;
	uint32_t fill_threads; /* that verify and write; 0: 2 */
	uint64_t memory_max;   /* bytes under way; 0: 32 MiB */
	uint64_t blob_max;     /* of one blob; 0: 24 MiB */
	uint32_t wrong_tries;  /* requests for a leaf that is wrong; 0: 4 */
	/* A request that is so late seems lost, another is sent; 0: 2,000. */
	uint32_t stalled_ms;
	/* Before background work is tried again; doubled then; 0: 1,000. */
	uint32_t pause_ms;
	uint64_t complete_rate; /* bytes a second of completion; 0: no limit */
	/* For tests: told of each step (ekd_serve_steps), maybe with locks. */
	void (*step)(void *arg, const char *name);
	void *step_arg;
	/* One line for the log, or NULL. */
	void (*log)(void *arg, const char *line);
	void *log_arg;
};

/* Names of all steps, "serve:...", closed by NULL. */
extern const char *const ekd_serve_steps[];

ek_status ekd_serve_new(const struct ekd_serve_options *options,
			struct ekd_serve **serve, struct ek_err *err);
/* Every blob must be closed before. NULL allowed. Blocks. */
void ekd_serve_free(struct ekd_serve *serve);

/*
 * Serve @blob (borrowed until close; once at a time) from @backend (owned from
 * now on, also on failure). @complete (may be NULL) is told once when the last
 * leaf is here, also if that is so from the beginning (then within this call).
 */
ek_status ekd_served_open(struct ekd_serve *serve, struct ekd_blob *blob,
			  struct ekd_backend *backend,
			  void (*complete)(void *arg), void *arg,
			  struct ekd_served **served, struct ek_err *err);
/* Answers all readers with EK_CANCELLED, ends all requests. Blocks. */
void ekd_served_close(struct ekd_served *served);

/* One read; the caller's memory, untouched by him until @done. */
struct ekd_read {
	uint64_t offset; /* inside the blob, as is its end */
	size_t n;	 /* 1 to EKD_READ_MAX, over at most EKD_READ_LEAVES */
	void *to;
	uint32_t pid; /* who asks, for ekd_serve_waits(); 0: unknown */
	/*
	 * Called once, maybe before ekd_served_read() returns. EK_OK: all of
	 * @to is right. Else EK_IO (sys ETIMEDOUT: the deadline; ENOSPC: no
	 * room for it), EK_CORRUPT (wrong bytes, several times), EK_NOTFOUND,
	 * EK_INVALID, EK_CANCELLED. @err lives during the call.
	 */
	void (*done)(struct ekd_read *read, ek_status status,
		     const struct ek_err *err);
	void *arg;
	/* The scheduler's own. */
	struct {
		struct ekd_read *next, **link;
		int64_t since, deadline, recheck;
		uint32_t first, end, missing;
		uint64_t got[EKD_READ_LEAVES / 64];
		ek_status status;
		int sys;
		char *text;
	} own;
};
void ekd_served_read(struct ekd_served *served, struct ekd_read *read);
/* The same of any @n, in pieces of EKD_READ_MAX; blocks. */
ek_status ekd_served_pread(struct ekd_served *served, uint64_t offset, void *to,
			   size_t n, struct ek_err *err);

/*
 * Fetch this range when no reader waits; ranges are taken in the order of
 * these calls, over all blobs. Beyond the end is cut. EK_LIMIT: too many
 * ranges are listed.
 */
ek_status ekd_served_prefetch(struct ekd_served *served, uint64_t offset,
			      uint64_t n, struct ek_err *err);
/* Fetch all that is missing, in the background; @on false: stop that. */
void ekd_served_complete(struct ekd_served *served, bool on);

struct ekd_served_stats {
	uint64_t size, present;	 /* bytes */
	uint64_t reads, hits;	 /* all; those answered from the store */
	uint64_t waited, failed; /* answered after a wait; with a failure */
	uint64_t asked;		 /* bytes that readers asked for */
	uint64_t fetched;	 /* bytes that came, of which: */
	uint64_t demand, ahead, prefetched, completed;
	uint64_t requests, request_failures;
	uint64_t joined;  /* reads that joined a request under way */
	uint64_t doubled; /* demand requests for leaves under way */
	uint64_t wrong;	  /* leaves that were not their bytes */
	uint64_t no_room; /* leaves for which there was none */
	uint64_t wait_us, wait_max_us; /* of those that waited */
	uint32_t waiting, under_way;   /* now: readers, requests */
	uint32_t prefetch_listed;      /* ranges to be prefetched */
	uint32_t prefetch_failed;      /* that were given up */
	bool completing, complete;
	/* The last failure of a request or fill, "" if there was none. */
	char last_error[256];
};
void ekd_served_stats(struct ekd_served *served,
		      struct ekd_served_stats *stats);

/* Bytes under way now and at most so far. */
struct ekd_serve_stats {
	uint64_t memory, memory_peak;
	uint32_t blobs, waiting, under_way;
};
void ekd_serve_stats(struct ekd_serve *serve, struct ekd_serve_stats *stats);

/* A reader that waits; texts live during the call. */
struct ekd_wait {
	const char *blob;
	uint32_t pid;
	uint64_t offset, n;
	uint32_t waits_ms, left_ms; /* until its deadline */
	uint32_t attempts;	    /* of the request that it waits for */
	const char *host;	    /* of the last attempt, or "" */
	const char *last_error;	    /* or "" */
};
/* Those that wait for @min_ms or longer. @tell may not use this module. */
void ekd_serve_waits(struct ekd_serve *serve, uint32_t min_ms,
		     void (*tell)(void *arg, const struct ekd_wait *wait),
		     void *arg);

/*
 * A trace: ranges of several blobs in the order in which they were first
 * touched. Recorded while readers read, written as text (trace.h), replayed
 * with ekd_served_prefetch().
 */
struct ekd_trace;
ek_status ekd_trace_new(struct ekd_trace **trace, struct ek_err *err);
/* No blob may record to it. NULL allowed. */
void ekd_trace_free(struct ekd_trace *trace);
/* Record reads of @served to @trace from now on; NULL: no more. */
ek_status ekd_served_record(struct ekd_served *served, struct ekd_trace *trace,
			    struct ek_err *err);
/* What was recorded so far, as the text of a file; free(*text). */
ek_status ekd_trace_text(struct ekd_trace *trace, char **text, size_t *n,
			 struct ek_err *err);

#endif
