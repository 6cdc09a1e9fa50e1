/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One service, one holder: a new one gets the descriptors from the old (an
 * upgrade) or from a worker whose holder died, over holder.sock.
 */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define GIVE_WAIT_S 2
/* An orphaned worker may first have to notice that it is one. */
#define TAKE_WAIT_S 3
#define FDS	    4u

/* -1: nobody listens. */
static int call(struct ekd_state *h)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	const int one = 1;

	if (fd < 0)
		return -1;
	snprintf(to.sun_path, sizeof(to.sun_path), "%.90s/holder.sock", h->run);
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	ekd_message_limit(fd, TAKE_WAIT_S);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static ek_status take_conns(struct ekd_state *h, int fd, uint32_t n,
			    struct ek_err *err)
{
	int fds[EKD_MESSAGE_FDS];
	unsigned got;

	for (uint32_t i = 0; i < n; i++) {
		EK_TRY(ekd_message_receive(fd, &h->in, fds, &got, NULL,
					   h->scratch, err));
		for (unsigned k = 1; k < got; k++)
			close(fds[k]);
		if (h->in.op != EKD_OP_CONN || got == 0) {
			if (got)
				close(fds[0]);
			return ek_fail(err, EK_CORRUPT,
				       "take-over: a "
				       "connection is missing");
		}
		h->conns[i].id = h->in.value;
		h->conns[i].fd = fds[0];
	}
	return EK_OK;
}

static ek_status ask(struct ekd_state *h, int fd, int *pid, int *channel,
		     struct ek_err *err)
{
	int fds[EKD_MESSAGE_FDS];
	unsigned n, wanted;

	memset(&h->out, 0, sizeof(h->out));
	h->out.op = EKD_OP_TAKE;
	h->out.seq = 1;
	h->out.value = h->options->upgrade ? EKD_TAKE_UPGRADE : 0;
	EK_TRY(ekd_message_send(fd, &h->out, NULL, 0, true, h->scratch, err));
	EK_TRY(ekd_message_receive(fd, &h->in, fds, &n, pid, h->scratch, err));
	wanted = h->in.status == EK_OK && h->in.hand.role == EKD_ROLE_HOLDER
			 ? FDS + 1
			 : FDS;
	if (h->in.op != EKD_OP_TAKE || !h->in.reply ||
	    (h->in.status == EK_OK && n != wanted)) {
		for (unsigned i = 0; i < n; i++)
			close(fds[i]);
		return ek_fail(err, EK_CORRUPT, "take-over: not a holder");
	}
	if (h->in.status != EK_OK)
		return ek_fail(err, h->in.status, "%s", h->in.text);
	h->door = fds[0];
	h->shared_fd = fds[1];
	h->api = fds[2];
	h->listener = fds[3];
	if (h->in.hand.role == EKD_ROLE_HOLDER) {
		*channel = fds[FDS];
		*pid = (int)h->in.hand.pid;
	} else {
		*channel = fd;
	}
	return take_conns(h, fd, h->in.hand.conns, err);
}

static ek_status finish(struct ekd_state *h, int fd, int pid, int channel,
			struct ek_err *err)
{
	EK_TRY(ekd_shared_map(h->shared_fd, &h->shared, err));
	h->kept = *ekd_shared_door(h->shared);
	if (pid)
		EK_TRY(ekd_worker_adopt(h, pid, channel, err));
	ekd_holder_step(h, "holder:taken");
	memset(&h->out, 0, sizeof(h->out));
	h->out.op = EKD_OP_DONE;
	return ekd_message_send(fd, &h->out, NULL, 0, true, h->scratch, err);
}

/* The worker listens at our holder.sock: it is ours, whatever its number. */
static bool is_ours(struct ekd_state *h, int listener)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char path[sizeof(at.sun_path) + 1] = "";
	socklen_t size = sizeof(at);

	if (getsockname(listener, (struct sockaddr *)&at, &size) != 0 ||
	    at.sun_family != AF_UNIX)
		return false;
	memcpy(path, at.sun_path, sizeof(at.sun_path));
	return strncmp(path, h->run, strlen(h->run)) == 0 &&
	       strcmp(path + strlen(h->run), "/holder.sock") == 0;
}

/*
 * The worker whose holder died, by the number that was noted; -1: there is
 * none. A descriptor of the process.
 */
static int find_orphan(struct ekd_state *h)
{
	char text[32] = "";
	int fd = openat(h->run_fd, "worker", O_RDONLY | O_CLOEXEC);
	bool got = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0;
	long pid = got ? strtol(text, NULL, 10) : 0;
	int pidfd = pid > 1 ? pidfd_open((pid_t)pid, 0) : -1;
	int listener = -1;
	bool ours = false;

	if (fd >= 0)
		close(fd);
	if (pidfd >= 0)
		listener = pidfd_getfd(pidfd, EKD_FD_LISTENER, 0);
	if (listener >= 0) {
		ours = is_ours(h, listener);
		close(listener);
	}
	if (pidfd >= 0 && !ours) {
		close(pidfd);
		return -1;
	}
	return pidfd;
}

static bool ended(int pidfd)
{
	struct pollfd gone = {.fd = pidfd, .events = POLLIN};

	return poll(&gone, 1, 0) > 0;
}

/*
 * An orphan that does not answer, or not to the end: it is ended, and what it
 * did not give is taken from it, where every worker has its descriptors.
 */
static ek_status take_by_force(struct ekd_state *h, int pidfd,
			       struct ek_err *err)
{
	int *const to[] = {&h->door, &h->shared_fd, &h->api, &h->listener};
	struct pollfd gone = {.fd = pidfd, .events = POLLIN};

	for (int i = 0; i < 4; i++) {
		if (*to[i] < 0)
			*to[i] = pidfd_getfd(pidfd, EKD_FD_DOOR + i, 0);
		if (*to[i] < 0)
			return ek_fail_sys(err, errno,
					   "a worker without a holder does "
					   "not answer: end it");
	}
	if (!ended(pidfd))
		ekd_log(h, 0, "event=kill reason=hangs-alone");
	pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	while (poll(&gone, 1, -1) < 0 && errno == EINTR)
		;
	if (!h->shared)
		EK_TRY(ekd_shared_map(h->shared_fd, &h->shared, err));
	h->kept = *ekd_shared_door(h->shared);
	ekd_shared_next(h->shared);
	return EK_OK;
}

/*
 * After a take-over that was not finished. What came from a living holder is
 * that one's still; what an orphan gave is kept: it may be all that is left.
 */
static void let_go(struct ekd_state *h, bool living)
{
	int *const had[] = {&h->door, &h->shared_fd, &h->api, &h->listener};

	if (h->worker.pid)
		close(h->worker.pidfd);
	ekd_worker_none(h);
	if (!living)
		return;
	if (h->shared)
		ekd_shared_unmap(h->shared);
	h->shared = NULL;
	for (int i = 0; i < 4; i++) {
		if (*had[i] >= 0)
			close(*had[i]);
		*had[i] = -1;
	}
	for (unsigned i = 0; i < EKD_CONNS; i++) {
		if (h->conns[i].id)
			close(h->conns[i].fd);
		h->conns[i].id = 0;
	}
}

/* Who has the lock does not answer as a holder does, so far. */
static ek_status unsettled(struct ekd_state *h, struct ek_err *err)
{
	return ek_fail(err, EK_LIMIT,
		       "%s: another process starts or stops there", h->run);
}

/*
 * Ask who answers at holder.sock. @living: somebody has the lock, a holder or
 * the child of one that died, which is not a worker yet. EK_LIMIT: try again.
 */
static ek_status talk(struct ekd_state *h, bool living, struct ek_err *err)
{
	int fd = call(h), pid = 0, channel = -1;
	const int none = 0;
	ek_status status;

	if (fd < 0 && living)
		return unsettled(h, err);
	if (fd < 0)
		return ek_fail(err, EK_EXISTS,
			       "%s/holder.sock: the worker there cannot be "
			       "asked",
			       h->run);
	status = ask(h, fd, &pid, &channel, err);
	/* A worker gives to whoever has the lock, of several that start. */
	if (status == EK_OK && living && channel == fd &&
	    flock(h->lock, LOCK_EX | LOCK_NB) != 0)
		status = unsettled(h, err);
	if (status == EK_OK)
		status = finish(h, fd, pid, channel, err);
	else if (living && status == EK_CANCELLED)
		status = unsettled(h, err);
	if (status != EK_OK) {
		if (channel >= 0 && channel != fd)
			close(channel);
		close(fd);
		let_go(h, living);
		return status;
	}
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &none, sizeof(none));
	ekd_message_limit(fd, 0);
	if (channel != fd)
		close(fd);
	/* A holder lets go of the lock as it exits. */
	if (living)
		while (flock(h->lock, LOCK_EX) != 0 && errno == EINTR)
			;
	h->upgrading = h->options->upgrade;
	return EK_OK;
}

ek_status ekd_take(struct ekd_state *h, bool living, bool *taken,
		   struct ek_err *err)
{
	int orphan = living ? -1 : find_orphan(h);
	ek_status status;
	bool died;

	*taken = false;
	if (!living && orphan < 0)
		return EK_OK;
	status = talk(h, living, err);
	died = !living && status != EK_OK &&
	       (status == EK_CANCELLED || ended(orphan));
	if (!living && (status == EK_LIMIT || (died && h->door >= 0)))
		status = take_by_force(h, orphan, err);
	else if (died)
		status = EK_NOTFOUND; /* before it could answer */
	if (orphan >= 0)
		close(orphan);
	*taken = status == EK_OK;
	return status == EK_NOTFOUND ? EK_OK : status;
}

static ek_status refuse(struct ekd_state *h, int fd, ek_status status,
			const char *text, struct ek_err *err)
{
	memset(&h->out, 0, sizeof(h->out));
	h->out.op = EKD_OP_TAKE;
	h->out.reply = true;
	h->out.seq = h->in.seq;
	h->out.status = status;
	snprintf(h->out.text, EKD_TEXT, "%s", text);
	ekd_message_send(fd, &h->out, NULL, 0, false, h->scratch, NULL);
	return ek_fail(err, status, "refused: %s", text);
}

static ek_status send_all(struct ekd_state *h, int fd, struct ek_err *err)
{
	const int fds[] = {h->door, h->shared_fd, h->api, h->listener,
			   h->worker.channel};
	uint32_t conns = 0;

	for (unsigned i = 0; i < EKD_CONNS; i++)
		conns += h->conns[i].id != 0;
	memset(&h->out, 0, sizeof(h->out));
	h->out.op = EKD_OP_TAKE;
	h->out.reply = true;
	h->out.seq = h->in.seq;
	h->out.hand.role = EKD_ROLE_HOLDER;
	h->out.hand.pid = (uint32_t)h->worker.pid;
	h->out.hand.conns = conns;
	EK_TRY(ekd_message_send(fd, &h->out, fds, FDS + 1, true, h->scratch,
				err));
	for (unsigned i = 0; i < EKD_CONNS; i++) {
		if (!h->conns[i].id)
			continue;
		memset(&h->out, 0, sizeof(h->out));
		h->out.op = EKD_OP_CONN;
		h->out.value = h->conns[i].id;
		EK_TRY(ekd_message_send(fd, &h->out, &h->conns[i].fd, 1, true,
					h->scratch, err));
	}
	return EK_OK;
}

static ek_status give(struct ekd_state *h, int fd, struct ek_err *err)
{
	struct ucred cred = {0};
	socklen_t size = sizeof(cred);
	int fds[EKD_MESSAGE_FDS];
	char text[64];
	unsigned n;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0 ||
	    cred.uid != geteuid())
		return ek_fail(err, EK_INVALID, "a caller who is not us");
	EK_TRY(ekd_message_receive(fd, &h->in, fds, &n, NULL, h->scratch, err));
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	if (h->in.op != EKD_OP_TAKE || h->in.reply)
		return ek_fail(err, EK_CORRUPT, "not a holder");
	snprintf(text, sizeof(text), "process %d holds it already",
		 (int)getpid());
	if (!(h->in.value & EKD_TAKE_UPGRADE))
		return refuse(h, fd, EK_EXISTS, text, err);
	if (h->worker.pid == 0 || h->worker.channel < 0 || !h->worker.ready ||
	    ekd_job_any(h) || h->upgrading)
		return refuse(h, fd, EK_LIMIT, "it is busy: try again", err);
	ekd_holder_step(h, "holder:giving");
	EK_TRY(send_all(h, fd, err));
	EK_TRY(ekd_message_receive(fd, &h->in, fds, &n, NULL, h->scratch, err));
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	if (h->in.op != EKD_OP_DONE)
		return ek_fail(err, EK_CORRUPT, "not a holder");
	return EK_OK;
}

void ekd_give(struct ekd_state *h)
{
	int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	ekd_message_limit(fd, GIVE_WAIT_S);
	if (give(h, fd, &h->err) == EK_OK) {
		ekd_log(h, 2, "event=handed-over");
		h->ending = EKD_END_HANDED;
	} else {
		ekd_log(h, 1, "event=take-over error=\"%s\"", h->err.text);
	}
	close(fd);
}
