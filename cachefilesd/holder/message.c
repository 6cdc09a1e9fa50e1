/* SPDX-License-Identifier: Apache-2.0 */

/* Messages over a socket, with descriptors. */

#include "base/try.h"
#include "cachefilesd/holder/protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int) * EKD_MESSAGE_FDS) +
		   CMSG_SPACE(sizeof(struct ucred))];
};

void ekd_message_limit(int fd, int seconds)
{
	struct timeval limit = {.tv_sec = seconds};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

ek_status ekd_message_send(int fd, const struct ekd_message *message,
			   const int *fds, unsigned n_fds, bool wait,
			   uint8_t *scratch, struct ek_err *err)
{
	struct iovec iov = {.iov_base = scratch};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t sent;

	EK_BUG_ON(n_fds > EKD_MESSAGE_FDS);
	EK_TRY(ekd_message_encode(message, scratch, &iov.iov_len, err));
	if (n_fds) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * n_fds);
	}
	do
		sent = sendmsg(fd, &msg,
			       MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
	while (sent < 0 && errno == EINTR);
	if (sent == (ssize_t)iov.iov_len)
		return EK_OK;
	if (sent < 0 && errno == EAGAIN)
		return ek_fail(err, EK_LIMIT, "the other side does not read");
	if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
		return ek_fail(err, EK_CANCELLED, "the other side is gone");
	return ek_fail_sys(err, sent < 0 ? errno : EIO, "sending a message");
}

static void take_control(struct msghdr *msg, int *fds, unsigned *n_fds,
			 int *pid)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = c->cmsg_len - CMSG_LEN(0);
		struct ucred cred;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			n /= sizeof(int);
			for (size_t i = 0; i < n; i++) {
				int fd;

				memcpy(&fd, CMSG_DATA(c) + i * sizeof(int),
				       sizeof(int));
				if (*n_fds < EKD_MESSAGE_FDS)
					fds[(*n_fds)++] = fd;
				else
					close(fd);
			}
		} else if (c->cmsg_type == SCM_CREDENTIALS && pid &&
			   n >= sizeof(cred)) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			*pid = cred.pid;
		}
	}
}

ek_status ekd_message_receive(int fd, struct ekd_message *message,
			      int fds[EKD_MESSAGE_FDS], unsigned *n_fds,
			      int *pid, uint8_t *scratch, struct ek_err *err)
{
	struct iovec iov = {.iov_base = scratch, .iov_len = EKD_MESSAGE};
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ek_status status;
	ssize_t n;

	*n_fds = 0;
	if (pid)
		*pid = 0;
	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return ek_fail(err, EK_LIMIT, "no message came in time");
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return ek_fail(err, EK_CANCELLED, "the other side is gone");
	if (n < 0)
		return ek_fail_sys(err, errno, "receiving a message");
	take_control(&msg, fds, n_fds, pid);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		status = ek_fail(err, EK_CORRUPT, "message: too long");
	else
		status = ekd_message_decode(scratch, (size_t)n, message, err);
	if (status != EK_OK) {
		for (unsigned i = 0; i < *n_fds; i++)
			close(fds[i]);
		*n_fds = 0;
	}
	return status;
}
