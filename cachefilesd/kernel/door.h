/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_DOOR_H
#define EKD_DOOR_H

/*
 * A door: the kernel interface through which files are served. Behind
 * these calls is one table a kind, door-ops.h; there is one kind, the FUSE
 * door, which speaks /dev/fuse itself: a flat directory of read-only files with
 * fixed node ids, direct I/O, several threads that read requests, and answers
 * from any thread at any later time. Mounting is the holder's.
 *
 * The kernel keeps the requests, the holder keeps the descriptor, a successor
 * asks for re-delivery: what a killed process had taken comes again.
 *
 * States: opened (add), started (all calls), stopped (answer, abandon, free).
 * Any thread may use a door, except as said.
 */

#include <erofskit/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ekd_door;
struct ekd_door_request;
struct ekd_door_ops;

/* The kinds. */
extern const struct ekd_door_ops ekd_door_fuse;

/* Most bytes of a file's name. */
#define EKD_DOOR_NAME 128
/* Most bytes that one read asks for. */
#define EKD_DOOR_READ (1u << 20)

/* What was agreed with the kernel when the door was made; in shared memory. */
struct ekd_door_kept {
	uint32_t valid; /* 0: no door was made yet */
	uint32_t major;
	uint32_t max_read; /* bytes */
	uint32_t resend;   /* the kernel delivers again when asked */
	uint32_t spare[4];
};

/*
 * Counters that the holder's watchdog reads, in shared memory; changed with
 * atomic operations alone.
 */
struct ekd_door_gauge {
	uint64_t taken;	   /* requests read from the kernel, ever */
	uint64_t answered; /* ever */
	uint32_t waiting;  /* reads taken and not yet answered */
	uint32_t spare;
};

struct ekd_door_hooks {
	void *arg;
	/*
	 * A read inside the file's size, not empty. On a thread of the door;
	 * must end, now or later and from any thread, in ekd_door_answer() or
	 * ekd_door_abandon(), exactly once. May not block for long.
	 */
	void (*read)(void *arg, struct ekd_door_request *request);
	/* A kill point, one of ekd_door_steps; NULL allowed. */
	void (*step)(void *arg, const char *name);
};

/* Names of all steps, "door:...", closed by NULL. */
extern const char *const ekd_door_steps[];

/*
 * Serve, as a door of kind @ops, the connection @fd (/dev/fuse, handshake done:
 * @kept says what was agreed; not closed by the door). @gauge may be NULL.
 * @threads: 1 to 64 that read requests; 0: 4. Nothing is read before
 * ekd_door_start().
 */
ek_status ekd_door_open(const struct ekd_door_ops *ops, int fd,
			const struct ekd_door_kept *kept,
			struct ekd_door_gauge *gauge,
			const struct ekd_door_hooks *hooks, unsigned threads,
			struct ekd_door **door, struct ek_err *err);

/*
 * Serve file @name (1 to EKD_DOOR_NAME of [a-zA-Z0-9._-], not beginning with
 * '.') of @size bytes. Node id and attributes depend on name and size alone.
 * After a restart, add all before ekd_door_start(), else readers that wait get
 * errors. EK_EXISTS: there is one; EK_LIMIT: over 4,096 files.
 */
ek_status ekd_door_add(struct ekd_door *door, const char *name, uint64_t size,
		       void *cookie, struct ek_err *err);
/*
 * No further reads of it; returns when none is under way and no hook is with
 * one, so that the cookie may go. Not from hooks. EK_NOTFOUND.
 */
ek_status ekd_door_remove(struct ekd_door *door, const char *name,
			  struct ek_err *err);

/* Ask for re-delivery (where the kernel can), then start the threads. */
ek_status ekd_door_start(struct ekd_door *door, struct ek_err *err);
/*
 * Take no more requests; returns when the threads are gone. Reads under way
 * stay open: answer or abandon them.
 */
void ekd_door_stop(struct ekd_door *door);
/* NULL allowed. Stops; no request may be under way. */
void ekd_door_free(struct ekd_door *door);

/* Of a request, until it is answered or abandoned. */
void *ekd_door_cookie(const struct ekd_door_request *request);
uint64_t ekd_door_offset(const struct ekd_door_request *request);
size_t ekd_door_size(const struct ekd_door_request *request);
/* The reader, 0 when the kernel does not tell (read-ahead). */
uint32_t ekd_door_pid(const struct ekd_door_request *request);
/* Room for ekd_door_size() bytes that belongs to the request; page aligned. */
void *ekd_door_buffer(struct ekd_door_request *request);

/*
 * The answer: @error 0 and all bytes in ekd_door_buffer(), or an errno (EIO).
 * The request is gone afterwards.
 */
void ekd_door_answer(struct ekd_door_request *request, int error);
/* No answer: a successor in this or another process gets it again. */
void ekd_door_abandon(struct ekd_door_request *request);

struct ekd_door_stats {
	uint64_t taken, reads, read_bytes, errors, resent, unknown, late;
	uint32_t waiting, files;
};
void ekd_door_stats(struct ekd_door *door, struct ekd_door_stats *stats);

/* The connection broke (aborted, unmounted): nothing more will come. */
bool ekd_door_broken(const struct ekd_door *door);

/*
 * For the holder: the other half of mounting. Wait for the kernel's first
 * word on @fd and agree; *kept is filled. @no_resend: for tests, as on a
 * kernel before 6.9.
 */
ek_status ekd_fuse_handshake(int fd, bool no_resend, struct ekd_door_kept *kept,
			     struct ek_err *err);

/* One kernel interface, for verb `doors`. */
struct ekd_door_report {
	const char *name; /* "fuse", "loop", "fanotify", "cachefiles" */
	bool works;	  /* the kernel has what it needs */
	bool served;	  /* and this program serves through it */
	char why[256];	  /* one line for people */
};
#define EKD_DOORS 4
/* What this host can do, in the order of preference; needs root to try. */
void ekd_doors_probe(struct ekd_door_report reports[EKD_DOORS]);

#endif
