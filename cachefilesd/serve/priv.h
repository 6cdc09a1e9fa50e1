/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_SERVE_PRIV_H
#define EKD_SERVE_PRIV_H

/*
 * What the files of the scheduler share.
 *
 * Two locks, never both: serve->lock guards readers that wait, flights, lists
 * and counters; served->touch_lock what each read touches (streams, trace; that
 * of a trace is taken within it). The first is held over start and cancel of
 * backends, never over I/O of the store or a callback of a reader. A read that
 * is here takes the second only, or none when its blob is complete, unless it
 * has something read ahead.
 *
 * A *flight* is one request for a run of leaves: held (starts later),
 * fetching, filling, gone. It stays in its blob's list until the last reader
 * that it answered was told, so that a blob without flights is quiet.
 */

#include "cachefilesd/serve/serve.h"

#include <pthread.h>
#include <stdatomic.h>

#define EKD_NEVER INT64_MAX

static inline int64_t ekd_sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Why a flight is under way, by urgency. */
enum ekd_why {
	EKD_WHY_DEMAND,
	EKD_WHY_AHEAD,
	EKD_WHY_PREFETCH,
	EKD_WHY_COMPLETE,
	EKD_WHYS,
};

/* Kill points, in the order of ekd_serve_steps. */
enum ekd_serve_step {
	EKD_AT_MISSED,	 /* a reader waits */
	EKD_AT_STARTED,	 /* a request was started */
	EKD_AT_ARRIVED,	 /* its bytes came */
	EKD_AT_FILLED,	 /* a leaf was stored, nobody told */
	EKD_AT_COPIED,	 /* readers have it, none answered */
	EKD_AT_ANSWERED, /* readers were answered */
	EKD_AT_WRONG,	 /* a leaf was wrong */
	EKD_AT_RETRIED,	 /* and was asked for again */
	EKD_AT_FAILED,	 /* a request failed */
	EKD_AT_AHEAD,	 /* read-ahead was started */
	EKD_AT_PREFETCH, /* so was a prefetch */
	EKD_AT_COMPLETE, /* the last leaf is here */
};

enum ekd_flight_state { EKD_HELD, EKD_FETCHING, EKD_FILLING };

struct ekd_flight {
	struct ekd_flight *next;   /* of the blob */
	struct ekd_flight *queued; /* to be filled */
	struct ekd_served *served;
	enum ekd_flight_state state;
	enum ekd_why why;
	uint32_t first, end; /* leaves */
	uint32_t pos;	     /* those before it are through */
	uint32_t tries;	     /* rounds before this one */
	bool raised;	     /* the backend knows that a reader waits */
	uint64_t id;	     /* of the backend */
	int64_t started;     /* microseconds */
	int64_t due;	/* when it starts (held) or should be here (fetching) */
	uint8_t *bytes; /* what came */
};

/* What is known of the way to a blob's backend; serve->lock. */
struct ekd_path {
	int64_t rtt;	/* microseconds; 0: not known */
	uint64_t rate;	/* bytes a second of one request; 0: not known */
	uint64_t total; /* of all together */
	int64_t busy_since;
	uint64_t busy_bytes;
};

/* A reader that reads in order; touch_lock. */
struct ekd_stream {
	uint64_t start, next; /* the run */
	uint64_t asked;	      /* bytes of it that were asked for */
	uint64_t ahead;	      /* read ahead up to here */
	uint64_t used;	      /* clock */
};
#define EKD_STREAMS 16

struct ekd_listed {
	uint64_t seq;
	uint32_t first, end;
};

struct ekd_served {
	struct ekd_served *next;
	struct ekd_serve *serve;
	struct ekd_blob *blob;
	const struct ek_leaves *leaves;
	struct ekd_backend *backend;
	void (*complete)(void *arg);
	void *complete_arg;
	_Atomic uint64_t reads, hits, asked;
	_Atomic uint64_t window; /* of read-ahead, by the path; 0: not known */
	_Atomic bool far;	 /* a leaf more costs less than asking twice */
	/* touch_lock */
	pthread_mutex_t touch_lock;
	struct ekd_stream streams[EKD_STREAMS];
	uint64_t clock;
	uint8_t *missed;   /* bits of leaves that readers waited for */
	int64_t near_left; /* bytes that may be fetched beside these */
	struct ekd_trace *_Atomic trace;
	uint32_t trace_index;
	/* serve->lock */
	struct ekd_read *waiters, **waiters_end;
	struct ekd_flight *flights;
	uint32_t n_flights[EKD_WHYS]; /* fetching or filling */
	uint64_t memory;	      /* of these */
	unsigned holds;		      /* reads that go on after answers */
	bool closing, starved, told;
	struct ekd_path path;
	struct ekd_listed *list; /* to be prefetched: [head, n_list) */
	size_t head, n_list, list_room;
	bool completing, pass_failed, pass_fetched, passed_over;
	uint32_t most_present; /* leaves, at the begin of a pass */
	uint32_t passes;       /* without a failure */
	uint32_t cursor;       /* of completion */
	uint32_t pass_wait;    /* milliseconds before the next try */
	int64_t pass_at;
	struct ekd_served_stats stats;
};

struct ekd_serve {
	struct ekd_serve_options options;
	pthread_mutex_t lock;
	pthread_cond_t pacer_wake; /* monotonic clock */
	pthread_cond_t fill_wake, quiet;
	pthread_t pacer;
	pthread_t *fillers;
	uint32_t n_fillers;
	bool pacer_runs;
	/* lock */
	bool stop;
	struct ekd_served *list;
	struct ekd_flight *to_fill, **to_fill_end; /* demand */
	struct ekd_flight *later, **later_end;	   /* all else */
	uint64_t memory, memory_peak;
	uint64_t seq; /* of listed ranges */
	int64_t wake_at;
	int64_t complete_at; /* by the rate of completion */
	unsigned answering;  /* who tells readers of flights that are gone */
};

static inline uint64_t ekd_leaf_at(const struct ekd_served *s, uint32_t i)
{
	return (uint64_t)i * s->leaves->leaf_size;
}

/* Bytes of leaves [first, end). */
static inline uint64_t ekd_run_bytes(const struct ekd_served *s, uint32_t first,
				     uint32_t end)
{
	uint64_t to = ekd_leaf_at(s, end);

	return (to < s->leaves->blob_size ? to : s->leaves->blob_size) -
	       ekd_leaf_at(s, first);
}

static inline bool ekd_has(const struct ekd_read *r, uint32_t leaf)
{
	uint32_t i = leaf - r->own.first;

	return r->own.got[i / 64] >> i % 64 & 1;
}

static inline bool ekd_wants(const struct ekd_read *r, uint32_t leaf)
{
	return leaf >= r->own.first && leaf < r->own.end && !ekd_has(r, leaf);
}

/* serve.c */
int64_t ekd_now_us(void);
void ekd_serve_at(struct ekd_serve *v, enum ekd_serve_step step);
/* lock is held. */
void ekd_note_error(struct ekd_served *s, const struct ek_err *err);
__attribute__((format(printf, 2, 3))) void ekd_serve_log(struct ekd_serve *v,
							 const char *fmt, ...);

/*
 * read.c; serve->lock is held but for ekd_read_answer(). @out collects readers
 * that are done, to be answered without the lock.
 */
void ekd_read_end(struct ekd_served *s, struct ekd_read *r, ek_status status,
		  const struct ek_err *err, struct ekd_read **out);
void ekd_read_answer(struct ekd_serve *v, struct ekd_read *out);
bool ekd_read_wanted(const struct ekd_served *s, uint32_t leaf);
/* A flight that @r waits for, or NULL. */
const struct ekd_flight *ekd_read_flight(const struct ekd_served *s,
					 const struct ekd_read *r);
/* Leaf @leaf is verified: copy it to all that want it. */
void ekd_read_deliver(struct ekd_served *s, uint32_t leaf, const uint8_t *bytes,
		      struct ekd_read **out);
/*
 * A request sent at @asked for leaves [first, end) came to nothing: fail all
 * that want one of them, but for those that another request may still serve and
 * those that came later and have not asked for themselves yet.
 */
void ekd_read_fail(struct ekd_served *s, uint32_t first, uint32_t end,
		   int64_t asked, ek_status status, const struct ek_err *err,
		   struct ekd_read **out);

/* flight.c; serve->lock is held. */
/* Microseconds that a demand request may be late. */
static inline int64_t ekd_stalled(const struct ekd_served *s)
{
	return s->serve->options.stalled_ms * INT64_C(1000);
}
/*
 * Start what @r needs and is not under way. False: that failed, @r is in @out.
 * Others may be there in any case.
 */
bool ekd_plan(struct ekd_served *s, struct ekd_read *r, struct ekd_read **out);
/* The same for all that wait, of all blobs that lacked memory. */
void ekd_plan_starved(struct ekd_serve *v, struct ekd_read **out);
void ekd_plan_all(struct ekd_served *s, struct ekd_read **out);
bool ekd_in_flight(const struct ekd_served *s, uint32_t leaf);
/* May so many bytes be under way for this? */
bool ekd_may_start(const struct ekd_served *s, enum ekd_why why,
		   uint64_t bytes);
/* EK_LIMIT: there is no memory for it now. */
ek_status ekd_flight_start(struct ekd_served *s, enum ekd_why why,
			   uint32_t first, uint32_t end, struct ek_err *err);
/* Leaves [first, end) again, at @due. */
ek_status ekd_flight_hold(struct ekd_served *s, enum ekd_why why,
			  uint32_t first, uint32_t end, uint32_t tries,
			  int64_t due, struct ek_err *err);
/* A held flight's time has come. False: it is gone, so may others be. */
bool ekd_flight_resume(struct ekd_flight *f, struct ekd_read **out);
void ekd_flight_free(struct ekd_flight *f);
/* No lock: it is over, its memory is free, others may go. */
void ekd_flight_end(struct ekd_flight *f);
/* The most urgent flight with @leaf, or NULL. */
const struct ekd_flight *ekd_flight_of(const struct ekd_served *s,
				       uint32_t leaf);
/* Most leaves of one flight of this kind. */
uint32_t ekd_flight_leaves(const struct ekd_served *s, enum ekd_why why);

/* fill.c */
void ekd_fill(struct ekd_flight *f, const uint8_t *bytes);
/* lock is held: a filling thread does it. */
void ekd_fill_later(struct ekd_flight *f);
void *ekd_filler(void *arg);
/* No lock: tell of a blob that has become complete. */
void ekd_tell_complete(struct ekd_served *s);

/* path.c; serve->lock is held. */
void ekd_path_note(struct ekd_served *s, const struct ekd_flight *f,
		   int64_t now);
/* Microseconds that @n bytes should take. */
int64_t ekd_path_expect(const struct ekd_path *path, uint64_t n);

/* ahead.c; no lock. */
struct ekd_ahead {
	uint64_t from, to; /* bytes; empty: nothing to do */
};
struct ekd_ahead ekd_touch(struct ekd_served *s, uint64_t offset, size_t n);
/* A reader waits for leaves [first, end): what lies beside them. */
struct ekd_ahead ekd_beside(struct ekd_served *s, uint32_t first, uint32_t end);
void ekd_ahead_start(struct ekd_served *s, struct ekd_ahead ahead);
void ekd_beside_start(struct ekd_served *s, struct ekd_ahead beside);

/* background.c; lock is held. */
/* Start one prefetch or completion; false: there is none to start. */
bool ekd_background(struct ekd_serve *v, int64_t now, int64_t *next);
/* A prefetch or completion of [first, end) did not work. */
void ekd_background_failed(struct ekd_served *s, const struct ekd_flight *f,
			   const struct ek_err *err);
void ekd_background_full(struct ekd_served *s, const struct ek_err *err);
bool ekd_has_background(const struct ekd_serve *v);

/* pacer.c */
void *ekd_pacer(void *arg);
/* lock is held: be awake at @at. */
void ekd_pacer_at(struct ekd_serve *v, int64_t at);

/* record.c; touch_lock is held. */
void ekd_trace_note(struct ekd_trace *trace, uint32_t index, uint64_t offset,
		    size_t n);

#endif
