/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_WORKER_BOOT_H
#define EKD_WORKER_BOOT_H

/*
 * The first thing that a worker does: take over the descriptors that the
 * holder gave it, and give up what it does not need. The holder has already
 * changed to the worker's user without capabilities and set no_new_privs
 * before it started the program: worker code never runs as root.
 */

#include "cachefilesd/holder/client.h"

#include <erofskit/status.h>

struct ekd_boot {
	struct ekd_holder_fds fds;
	int config; /* memfd with the configuration's bytes, from offset 0 */
	struct ekd_shared *shared;
	uint32_t generation; /* 0: the first worker */
	void (*step)(void *arg, const char *name);
	void *arg;
};

/* Names of all steps, "boot:...", closed by NULL. */
extern const char *const ekd_boot_steps[];

/*
 * For verb `worker`, before any thread is started: check and take the
 * descriptors that the holder put at fixed numbers, map the shared memory.
 * boot->step and arg are the caller's. EK_INVALID: not started by a holder.
 */
ek_status ekd_boot_adopt(struct ekd_boot *boot, struct ek_err *err);

/*
 * Check that the process is not root, has no capability and cannot gain one:
 * EK_INVALID when that is not so. Changes nothing.
 */
ek_status ekd_boot_check(struct ek_err *err);

/*
 * Only the system calls of boot-seccomp.c are left, for all threads: others
 * fail with EPERM; those that only an attacker would try end the process. Call
 * it once all libraries are initialised, before the network or the door is
 * touched. EK_UNSUPPORTED: the kernel has no seccomp filters.
 */
ek_status ekd_boot_seccomp(const struct ekd_boot *boot, struct ek_err *err);

/* A thread that calls ekd_shared_beat() every 100 ms. */
ek_status ekd_boot_heartbeat(const struct ekd_boot *boot, struct ek_err *err);

#endif
