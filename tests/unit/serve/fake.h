/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_SERVE_FAKE_H
#define UNIT_SERVE_FAKE_H

#include "cachefilesd/serve/serve.h"

#include <pthread.h>
#include <stdbool.h>

#define LEAF 4096u

/* How the fake backend answers a request. */
enum how {
	RIGHT,
	WRONG, /* one byte of its first leaf */
	SHORT,
	FAIL,	/* EK_IO */
	REFUSE, /* start itself fails */
};

struct asked {
	struct asked *next;
	uint64_t id, offset;
	size_t n;
	enum ekd_priority priority;
	int64_t due_ms;
	bool held, cancelled;
	enum how how;
	ekd_fetched done;
	void *arg;
};

/*
 * A backend whose answers a test writes the script of. Members under the line
 * are guarded by the lock.
 */
struct fake {
	struct ekd_backend backend;
	const uint8_t *bytes;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	/* ---- */
	struct asked *list;
	uint64_t last_id;
	bool stop, freed;
	/* What becomes of new requests. */
	bool hold;	   /* until fake_release() */
	bool hold_later;   /* those that are not demand */
	unsigned delay_ms; /* random up to it, if @shuffle */
	bool shuffle;
	enum how how;
	unsigned how_times; /* then RIGHT again; 0: for ever */
	/* What was asked. */
	unsigned requests, demand;
	uint64_t fetched;
	uint64_t order[256];	     /* offsets of the first requests */
	uint8_t asked_leaf[1 << 16]; /* how often each */
};

/* One blob of random bytes, its store, scheduler and fake backend. */
struct rig {
	char path[64];
	struct ekd_store *store;
	struct ekd_blob *blob;
	struct ek_leaves *leaves;
	struct ekd_serve *serve;
	struct ekd_served *served;
	struct fake *fake;
	uint8_t *bytes;
	size_t size;
	int completed; /* times that completion was told */
};

struct rig_options {
	size_t size;
	uint64_t quota;
	struct ekd_serve_options serve;
	const struct ekd_store_hooks *hooks; /* of the store */
	bool local; /* a local file instead of the fake */
	bool ahead; /* with read-ahead: what is fetched hangs on time then */
};

void rig_new(struct rig *rig, const struct rig_options *options);
void rig_free(struct rig *rig);
/* Close what is served and serve it again; with a local file only. */
void rig_reopen(struct rig *rig);
/* All of a test's reads are compared with the bytes. */
ek_status rig_read(struct rig *rig, uint64_t offset, size_t n,
		   struct ek_err *err);
struct ekd_served_stats rig_stats(struct rig *rig);

void fake_set(struct fake *fake, bool hold, enum how how, unsigned times);
/* Answer all that is held, from now on at once. */
void fake_release(struct fake *fake);
/* Wait until so many requests were made; fails the test after 10 s. */
void fake_wait(struct fake *fake, unsigned requests);
unsigned fake_requests(struct fake *fake);

/* A read under way on its own. */
struct pending {
	struct ekd_read read;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
	ek_status status;
	int sys;
	uint8_t *to;
};
struct pending *read_start(struct rig *rig, uint64_t offset, size_t n);
bool read_over(struct pending *p);
/* Waits; compares the bytes if it went well; frees. */
ek_status read_end(struct rig *rig, struct pending *p, int *sys);

int64_t now_ms(void);
void sleep_ms(unsigned ms);
/* Until @cond, or fail the test after 10 s. */
#define wait_until(cond)                                                       \
	do {                                                                   \
		int64_t wait_end = now_ms() + 10000;                           \
		while (!(cond)) {                                              \
			if (now_ms() > wait_end)                               \
				fail_msg("never: %s", #cond);                  \
			sleep_ms(1);                                           \
		}                                                              \
	} while (0)

#endif
