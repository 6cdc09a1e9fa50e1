/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_HOLDER_CLIENT_H
#define EKD_HOLDER_CLIENT_H

/*
 * The worker's side of the holder's protocol: asks for what needs root. Calls
 * are synchronous and may come from any thread at once; replies find their
 * caller. When the holder died, the worker serves on; a new holder comes over
 * holder.sock and gets the descriptors back, all without the caller's doing.
 * A call waits up to 10 s for a holder; EK_IO when there is none. When it died
 * during the call the next one is asked, if that does no harm; else it is EK_IO
 * (and not known whether it was done: ask ekd_holder_mounts()).
 */

#include "cachefilesd/holder/protocol.h"
#include "cachefilesd/kernel/door.h"

#include <erofskit/status.h>

struct ekd_holder;

struct ekd_holder_hooks {
	void *arg;
	/*
	 * All of them are called on a thread of the client and may not call
	 * the holder; each may be NULL.
	 *
	 * An API connection that the predecessor had, kept under @id already;
	 * the callee owns @fd. They come before ekd_holder_ready() returns.
	 */
	void (*conn)(void *arg, uint64_t id, int fd);
	/* The configuration was read anew: a memfd, the callee's. */
	void (*config)(void *arg, int fd);
	/* Stop: checkpoint and exit the process, within 5 s. */
	void (*stop)(void *arg);
	/* A holder is there again, or gone. */
	void (*present)(void *arg, bool there);
	void (*step)(void *arg, const char *name);
};

/* What the boot gives: see boot.h. They stay open as long as the process. */
struct ekd_holder_fds {
	int channel;  /* to the holder */
	int door;     /* /dev/fuse */
	int shared;   /* the shared memory */
	int api;      /* listening API socket */
	int listener; /* listening holder.sock */
};

/*
 * @fds and what @hooks names live as long as *holder; @shared too.
 */
ek_status ekd_holder_connect(const struct ekd_holder_fds *fds,
			     struct ekd_shared *shared,
			     const struct ekd_holder_hooks *hooks,
			     struct ekd_holder **holder, struct ek_err *err);
/* NULL allowed. No call may be under way. */
void ekd_holder_free(struct ekd_holder *holder);

/*
 * The worker can serve: the door was started, the API listens. The holder
 * publishes the API socket and tells the service manager. Connections of the
 * predecessor come by hooks->conn before it returns. EK_OK too when the holder
 * died: the next one learns it as it comes.
 */
ek_status ekd_holder_ready(struct ekd_holder *holder, struct ek_err *err);

/*
 * Open @path (absolute) for reading: a regular file beneath one of the
 * configured roots, through no symbolic link; where no roots are configured,
 * only what the worker's user may read. *fd is the caller's.
 */
ek_status ekd_holder_open_local(struct ekd_holder *holder, const char *path,
				int *fd, struct ek_err *err);

/*
 * Mount an EROFS image. Waits for the kernel, which reads through the door:
 * not on a thread that answers reads. EK_EXISTS: id or target in use.
 */
ek_status ekd_holder_mount(struct ekd_holder *holder,
			   const struct ekd_mount *mount, struct ek_err *err);
/* An overlay over mounts that exist. */
ek_status ekd_holder_overlay(struct ekd_holder *holder,
			     const struct ekd_overlay *overlay,
			     struct ek_err *err);
/*
 * Unmount what was mounted under @id. EKD_UMOUNT_LAZY detaches it while it is
 * in use; else that is EK_IO with EBUSY. EK_EXISTS: an overlay is above it;
 * EK_NOTFOUND: no such mount.
 */
ek_status ekd_holder_umount(struct ekd_holder *holder, const char *id,
			    uint32_t flags, struct ek_err *err);
/* All mounts and overlays that exist, by @tell on the caller's thread. */
ek_status ekd_holder_mounts(struct ekd_holder *holder,
			    void (*tell)(void *arg,
					 const struct ekd_mounted *mounted),
			    void *arg, struct ek_err *err);

/*
 * Keep a duplicate of API connection @fd for a successor, under @id (not 0);
 * EK_LIMIT beyond EKD_CONNS. Drop when it was closed; dropping an unknown one
 * is no error.
 */
ek_status ekd_holder_keep_conn(struct ekd_holder *holder, uint64_t id, int fd,
			       struct ek_err *err);
ek_status ekd_holder_drop_conn(struct ekd_holder *holder, uint64_t id,
			       struct ek_err *err);

/*
 * User and password for @host as "user:password" in @to (EKD_SECRET bytes),
 * from a short-lived child. EK_NOTFOUND: none is configured.
 */
ek_status ekd_holder_credentials(struct ekd_holder *holder, const char *host,
				 char to[EKD_SECRET], struct ek_err *err);

/*
 * End the service. Refused (EK_EXISTS, text names one) while mounts read
 * through the door; complete ones do not. With EKD_STOP_KEEP the holder alone
 * ends, and the worker goes on until the next `run`; without, hooks->stop
 * comes.
 */
ek_status ekd_holder_stop(struct ekd_holder *holder, uint32_t flags,
			  struct ek_err *err);

#endif
