/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_HOLDER_H
#define EKD_HOLDER_H

/*
 * The holder: the small process with root's rights. It opens and mounts the
 * door, keeps every descriptor, mounts and unmounts on requests whose every
 * field it checks, starts and watches the worker. It reads no network, no
 * JSON, decompresses nothing, and takes no memory once it runs, but for a
 * record at a time when it makes a lost door anew.
 */

#include "cachefilesd/holder/protocol.h"

#include <erofskit/status.h>

#include <sys/types.h>

#define EKD_ROOTS 16

struct ekd_holder_options {
	const char *run_dir;   /* sockets, door/, layers/, mounts/; made */
	const char *state_dir; /* store/, images/ (the worker's), rw/; made */
	uid_t uid;	       /* the worker's */
	gid_t gid;
	int config; /* memfd with the configuration, for the worker */
	/*
	 * The program of all that the holder starts, opened (O_PATH will do):
	 * what is installed under its name meanwhile is for the next holder.
	 */
	int worker;
	/* Absolute directories: local files to open, targets of mounts. */
	const char *open_roots[EKD_ROOTS + 1];	/* closed by NULL */
	const char *mount_roots[EKD_ROOTS + 1]; /* closed by NULL */
	bool open_as_worker; /* local files: only what the worker may read */
	bool allow_suid;
	bool upgrade;		/* take over from a living holder */
	bool no_resend;		/* for tests */
	uint64_t worker_memory; /* bytes, where a limit can be set; 0: none */
	uint32_t hang_ms;	/* a worker is hung after so long; 0: 2000 */
	/* So long a reader may wait; 0: 30000. With no worker that serves for
	 * so long, the door is made anew: readers get errors. */
	uint32_t deadline_ms;
	/* Words after the program's name; NULL-closed. Defaults when NULL:
	 * "credentials" (then HOST); "config" (then nothing). */
	const char *const *credentials_argv;
	const char *const *config_argv; /* writes the configuration to fd 1 */
	/* One line of key=value; level 0 error, 1 warning, 2 notice. */
	void (*log)(void *arg, int level, const char *line);
	void (*step)(void *arg, const char *name);
	void *arg;
};

/* Names of all steps, "holder:...", closed by NULL. */
extern const char *const ekd_holder_steps[];

/*
 * Be the holder until stopped. EK_EXISTS: one runs (text says its pid).
 * *exit_code: for the process.
 */
ek_status ekd_holder_run(const struct ekd_holder_options *options,
			 int *exit_code, struct ek_err *err);

#endif
