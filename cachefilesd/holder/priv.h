/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_HOLDER_PRIV_H
#define EKD_HOLDER_PRIV_H

/* What the parts of the holder share. It has one thread. */

#include "cachefilesd/holder/holder.h"

#include <time.h>

/*
 * Children at once; those of them that mount or unmount, which may wait for
 * reads that only another worker will answer; the time after which one is
 * killed.
 */
#define EKD_JOBS      64
#define EKD_JOBS_FUSE 32
#define EKD_JOB_S     120
/* Deaths that are remembered for the back-off. */
#define EKD_DEATHS 8

/* Descriptors that a worker's start uses last are at least this. */
#define EKD_HIGH_FD 64
/* Open files that holder and worker can have at least. */
#define EKD_FILES 256u

/* What a child leaves behind, in memory shared with the holder. */
struct ekd_result {
	ek_status status;
	int sys;
	bool ended;    /* it came to its end */
	bool answered; /* it sent the reply itself */
	char text[EKD_TEXT];
	char secret[EKD_SECRET];
};

struct ekd_job {
	pid_t pid;	/* 0: free */
	uint32_t op;	/* enum ekd_op */
	uint32_t seq;	/* of the request */
	uint32_t asker; /* generation of the worker */
	int64_t since;	/* ms */
	bool killed;
	int memory; /* config: the memfd that it writes, else -1 */
};

struct ekd_worker {
	pid_t pid; /* 0: none */
	int pidfd, channel;
	bool own_child, ready, asked_to_quit;
	int64_t started, quit_at;
};

/* What the watchdog saw last; see worker.c. */
struct ekd_watch {
	uint64_t beats, taken, answered;
	uint32_t silent, stuck, mute;
	int64_t next;
};

enum ekd_ending {
	EKD_GO_ON,
	EKD_END_STOP,	/* worker, door, sockets: all of it */
	EKD_END_KEEP,	/* the worker serves on alone */
	EKD_END_HANDED, /* another holder has it all */
	EKD_END_FAILED, /* the worker cannot start */
};

/* Of STOP beside those of the protocol: as SIGTERM means it. */
enum { EKD_STOP_AS_FITS = 2 };

struct ekd_conn {
	uint64_t id; /* 0: free */
	int fd;
};

struct ekd_state {
	const struct ekd_holder_options *options;
	char run[EKD_PATH], state[EKD_PATH];
	int exe, lock, signals, devnull;	/* exe: the worker's program */
	int config;				/* memfd for the next worker */
	int run_fd, images_fd, store_fd, rw_fd; /* directories; -1: absent */
	int door, shared_fd, api, listener;
	bool api_public; /* it has its name */
	struct ekd_door_kept kept;
	struct ekd_shared *shared;
	struct ekd_worker worker;
	struct ekd_watch watch;
	bool ever_ready, upgrading;
	int group; /* the worker's control group; -1: none */
	bool group_told;
	uint64_t group_kills; /* for want of memory, when it started */
	int64_t alive_at;     /* ms: tell the service manager then; 0: never */
	int64_t alive_ms;
	int64_t start_at; /* ms: start a worker then; 0: not */
	int64_t deaths[EKD_DEATHS];
	unsigned failed_starts;
	int64_t down_since; /* ms: no worker serves; 0: one does */
	enum ekd_ending ending;
	int exit_code;
	struct ekd_conn conns[EKD_CONNS];
	struct ekd_job jobs[EKD_JOBS];
	struct ekd_result *results; /* EKD_JOBS, shared with children */
	struct ekd_message in, out;
	uint8_t scratch[EKD_MESSAGE];
	struct ek_err err; /* for what only the log is told */
};

/* run.c */
int64_t ekd_now_ms(void);
void ekd_log(struct ekd_state *h, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void ekd_holder_step(struct ekd_state *h, const char *name);

/* setup.c */
ek_status ekd_setup_dirs(struct ekd_state *h, struct ek_err *err);
ek_status ekd_setup_lock(struct ekd_state *h, bool *got, struct ek_err *err);
/* A door of our own, where none is left from before. */
ek_status ekd_setup_door(struct ekd_state *h, struct ek_err *err);
ek_status ekd_setup_sockets(struct ekd_state *h, struct ek_err *err);
ek_status ekd_setup_publish(struct ekd_state *h, struct ek_err *err);
void ekd_setup_remove(struct ekd_state *h);

/* worker.c */
/* The worker is (no longer) there. */
void ekd_worker_none(struct ekd_state *h);
ek_status ekd_worker_adopt(struct ekd_state *h, pid_t pid, int channel,
			   struct ek_err *err);
ek_status ekd_worker_start(struct ekd_state *h, struct ek_err *err);
void ekd_worker_kill(struct ekd_state *h);
void ekd_worker_quit(struct ekd_state *h);
void ekd_worker_died(struct ekd_state *h);
/* No worker came up for too long: readers get errors. */
void ekd_worker_late(struct ekd_state *h);
/* Look at the gauges; kill it if it hangs. */
void ekd_worker_watch(struct ekd_state *h);

/* cgroup.c */
/*
 * Make (or find) group "worker" beside @own, a path of /proc/self/cgroup that
 * ends in "/holder", beneath @root, and limit its memory to @limit bytes.
 * EK_NOTFOUND: there is no such place.
 */
ek_status ekd_group_make(int root, const char *own, uint64_t limit, int *group,
			 struct ek_err *err);
/* The calling process goes there. */
bool ekd_group_enter(int group);
/* Processes of it that the kernel killed for want of memory, ever. */
uint64_t ekd_group_kills(int group);
/* h->group for the next worker, where one can be; says once if not. */
void ekd_group_open(struct ekd_state *h);
/* The worker was killed for want of memory. */
bool ekd_group_killed(const struct ekd_state *h);

/* request.c */
void ekd_request_serve(struct ekd_state *h);
void ekd_request_reply(struct ekd_state *h, uint32_t op, uint32_t seq,
		       ek_status status, int sys, const char *text);
void ekd_request_send(struct ekd_state *h, const int *fds, unsigned n);

/* jobs.c */
/*
 * Do h->in in a child; false: none is free. The child's @work fills the
 * result's secret, or answers itself and says so.
 */
bool ekd_job_start(struct ekd_state *h,
		   ek_status (*work)(struct ekd_state *h,
				     struct ekd_result *result,
				     struct ek_err *err));
bool ekd_job_reload(struct ekd_state *h);
/* A child ended, perhaps several. */
void ekd_job_ended(struct ekd_state *h);
void ekd_job_check(struct ekd_state *h);
bool ekd_job_any(const struct ekd_state *h);

/* paths.c: descriptors (O_PATH but for regular files) through no symlink. */
/* @path beneath a root of @roots. */
ek_status ekd_path_beneath(const char *const *roots, const char *path, int *fd,
			   struct ek_err *err);
/* EK_EXISTS: directory @fd (O_PATH), called @name, has something in it. */
ek_status ekd_path_empty(int fd, const char *name, struct ek_err *err);
/* EK_INVALID: @fd is no file of a disk but a window into the kernel. */
ek_status ekd_path_on_disk(int fd, const char *name, struct ek_err *err);
/* @rel beneath @dir: a directory (O_PATH). */
ek_status ekd_path_walk(int dir, const char *rel, bool make, int *fd,
			struct ek_err *err);
/* Open regular file @name in @dir for reading. */
ek_status ekd_path_file(int dir, const char *name, int *fd, struct ek_err *err);
ek_status ekd_path_source(struct ekd_state *h, const struct ekd_source *source,
			  int *fd, struct ek_err *err);
/* Where @fd is, as the kernel says it. */
ek_status ekd_path_real(int fd, char to[EKD_PATH], struct ek_err *err);

/* mount.c, overlay.c: for children */
ek_status ekd_do_open(struct ekd_state *h, struct ekd_result *result,
		      struct ek_err *err);
ek_status ekd_do_mount(struct ekd_state *h, struct ekd_result *result,
		       struct ek_err *err);
ek_status ekd_do_overlay(struct ekd_state *h, struct ekd_result *result,
			 struct ek_err *err);
ek_status ekd_do_umount(struct ekd_state *h, struct ekd_result *result,
			struct ek_err *err);
ek_status ekd_do_mounts(struct ekd_state *h, struct ekd_result *result,
			struct ek_err *err);
/* secret[0] is 'k' when the worker is to go on. */
ek_status ekd_do_stop(struct ekd_state *h, struct ekd_result *result,
		      struct ek_err *err);
ek_status ekd_do_credentials(struct ekd_state *h, struct ekd_result *result,
			     struct ek_err *err);
/* Links to the descriptors of a mount, in images/ID of the run directory. */
ek_status ekd_links_make(struct ekd_state *h, const char *id, int *dir,
			 struct ek_err *err);
ek_status ekd_link_put(int dir, const char *name, int fd, struct ek_err *err);
void ekd_links_remove(struct ekd_state *h, const char *id);

/* rw.c */
/*
 * @dir (rw/ID) and its @upper (both O_PATH) are for what @overlay lies upon.
 * EK_DIFFERS: they hold changes of another image.
 */
ek_status ekd_rw_claim(struct ekd_state *h, const struct ekd_overlay *overlay,
		       int dir, int upper, struct ek_err *err);

/* records.c */
struct ekd_record {
	struct ekd_mounted mounted;
	uint64_t dev;	       /* major << 32 | minor; 0: not known */
	char source[EKD_PATH]; /* as mountinfo shows it */
	char target[EKD_PATH]; /* as the kernel calls it */
};

/* Read record @id; mounted.alive is as it is now. */
ek_status ekd_record_read(struct ekd_state *h, const char *id,
			  struct ekd_record *record, struct ek_err *err);
/* @new: EK_EXISTS when there is a living one. */
ek_status ekd_record_write(struct ekd_state *h, const struct ekd_record *record,
			   bool new, struct ek_err *err);
void ekd_record_remove(struct ekd_state *h, const char *id);
/* The least id behind @after; EK_NOTFOUND: none. */
ek_status ekd_record_next(struct ekd_state *h, const char *after,
			  char id[EKD_ID], struct ek_err *err);
/* A mount at @target: its type, source and device. EK_NOTFOUND. */
ek_status ekd_mounted_at(const char *target, char type[32],
			 char source[EKD_PATH], uint64_t *dev,
			 struct ek_err *err);
/* Name a living mount that needs this service; EK_NOTFOUND: none. */
ek_status ekd_record_lazy(struct ekd_state *h, char id[EKD_ID],
			  struct ek_err *err);
/* Name a living overlay over @id; EK_NOTFOUND: none. */
ek_status ekd_record_above(struct ekd_state *h, const char *id,
			   char above[EKD_ID], struct ek_err *err);
/* After the door was lost: detach what read through it. */
void ekd_records_detach(struct ekd_state *h);

/* takeover.c */
/*
 * *taken: descriptors came from a living holder or an orphaned worker.
 * EK_LIMIT: try again, with another try for the lock (@living: it is taken).
 */
ek_status ekd_take(struct ekd_state *h, bool living, bool *taken,
		   struct ek_err *err);
/* Somebody came to holder.sock. */
void ekd_give(struct ekd_state *h);

/* notify.c */
void ekd_notify(const char *text);
/* How often the service manager wants to hear of us; tell it when it is time.
 */
void ekd_notify_watch(struct ekd_state *h);
void ekd_notify_alive(struct ekd_state *h);
/* The service manager keeps our descriptors. */
void ekd_notify_store(struct ekd_state *h);
/* There is another door. The old one ends when nobody keeps it. */
void ekd_notify_door(struct ekd_state *h);
/* It is to keep none: there is nothing to come back to. */
void ekd_notify_forget(void);
/*
 * Descriptors that the service manager kept; *found: all needed are there,
 * and the sockets have their names still. Otherwise none is open any more.
 */
void ekd_notify_adopt(struct ekd_state *h, bool *found);
/* Those that were adopted are of no use: close them, there and here. */
void ekd_notify_useless(struct ekd_state *h);

#endif
