/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The thread of the worker that listens to the holder. When the holder died it
 * accepts on holder.sock in its place: a new holder comes, gets the
 * descriptors, and its connection becomes the channel.
 */

#include "base/try.h"
#include "cachefilesd/holder/client-priv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TAKE_WAIT_S 5

static void step(struct ekd_holder *holder, const char *name)
{
	if (holder->hooks.step)
		holder->hooks.step(holder->hooks.arg, name);
}

bool ekd_link_keep(struct ekd_holder *holder, uint64_t id, int fd)
{
	for (unsigned i = 0; i < EKD_CONNS; i++) {
		if (holder->conns[i].id)
			continue;
		holder->conns[i].id = id;
		holder->conns[i].fd = fd;
		return true;
	}
	close(fd);
	return false;
}

void ekd_link_drop(struct ekd_holder *holder, uint64_t id)
{
	for (unsigned i = 0; i < EKD_CONNS; i++) {
		if (holder->conns[i].id != id)
			continue;
		close(holder->conns[i].fd);
		holder->conns[i].id = 0;
	}
}

/* Who waits for the holder that died will not get a reply. */
static void lose_channel(struct ekd_holder *holder)
{
	pthread_mutex_lock(&holder->lock);
	close(holder->channel);
	holder->channel = -1;
	for (struct call *c = holder->calls; c; c = c->next)
		c->lost = !c->done;
	pthread_cond_broadcast(&holder->changed);
	pthread_mutex_unlock(&holder->lock);
	if (holder->hooks.present)
		holder->hooks.present(holder->hooks.arg, false);
}

static void take_reply(struct ekd_holder *holder, int *fd)
{
	struct ekd_message *m = &holder->received;

	pthread_mutex_lock(&holder->lock);
	for (struct call *c = holder->calls; c; c = c->next) {
		if (c->seq != m->seq || c->done || c->message->op != m->op)
			continue;
		*c->message = *m;
		c->fd = *fd;
		*fd = -1;
		c->done = true;
	}
	pthread_cond_broadcast(&holder->changed);
	pthread_mutex_unlock(&holder->lock);
	if (m->op == EKD_OP_CREDENTIALS) {
		explicit_bzero(m, sizeof(*m));
		explicit_bzero(holder->in, sizeof(holder->in));
	}
}

static void take_conn(struct ekd_holder *holder, uint64_t id, int *fd)
{
	int copy = dup(*fd);
	bool room = false;

	pthread_mutex_lock(&holder->lock);
	if (copy >= 0)
		room = ekd_link_keep(holder, id, copy);
	pthread_mutex_unlock(&holder->lock);
	if (!room || !holder->hooks.conn)
		return;
	holder->hooks.conn(holder->hooks.arg, id, *fd);
	*fd = -1;
}

static void take_notice(struct ekd_holder *holder, int *fd)
{
	const struct ekd_message *m = &holder->received;

	if (m->op == EKD_OP_QUIT && holder->hooks.stop) {
		holder->hooks.stop(holder->hooks.arg);
	} else if (m->op == EKD_OP_CONFIG && *fd >= 0 && holder->hooks.config) {
		holder->hooks.config(holder->hooks.arg, *fd);
		*fd = -1;
	} else if (m->op == EKD_OP_CONN && *fd >= 0) {
		take_conn(holder, m->value, fd);
	}
}

static void receive(struct ekd_holder *holder)
{
	int fds[EKD_MESSAGE_FDS], fd = -1;
	ek_status status;
	unsigned n;

	status = ekd_message_receive(holder->channel, &holder->received, fds,
				     &n, NULL, holder->in, NULL);
	if (status != EK_OK) {
		lose_channel(holder);
		return;
	}
	for (unsigned i = 1; i < n; i++)
		close(fds[i]);
	if (n)
		fd = fds[0];
	if (holder->received.reply)
		take_reply(holder, &fd);
	else
		take_notice(holder, &fd);
	if (fd >= 0)
		close(fd);
}

/* Only root, or whoever the worker is, may take the descriptors. */
static bool peer_ok(int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 &&
	       (cred.uid == 0 || cred.uid == geteuid());
}

static ek_status send_conns(struct ekd_holder *holder, int fd,
			    struct ek_err *err)
{
	struct ekd_message *m = &holder->received;

	for (unsigned i = 0; i < EKD_CONNS; i++) {
		if (!holder->conns[i].id)
			continue;
		memset(m, 0, sizeof(*m));
		m->op = EKD_OP_CONN;
		m->value = holder->conns[i].id;
		EK_TRY(ekd_message_send(fd, m, &holder->conns[i].fd, 1, true,
					holder->answer, err));
	}
	return EK_OK;
}

static ek_status hand_over(struct ekd_holder *holder, int fd,
			   struct ek_err *err)
{
	const int given[] = {holder->fds.door, holder->fds.shared,
			     holder->fds.api, holder->fds.listener};
	struct ekd_message *m = &holder->received;
	uint32_t seq = m->seq, conns = 0;
	ek_status status;

	pthread_mutex_lock(&holder->lock);
	for (unsigned i = 0; i < EKD_CONNS; i++)
		conns += holder->conns[i].id != 0;
	memset(m, 0, sizeof(*m));
	m->op = EKD_OP_TAKE;
	m->reply = true;
	m->seq = seq;
	m->hand.role = EKD_ROLE_WORKER;
	m->hand.pid = (uint32_t)getpid();
	m->hand.conns = conns;
	status = ekd_message_send(fd, m, given, 4, true, holder->answer, err);
	step(holder, "boot:handed");
	if (status == EK_OK)
		status = send_conns(holder, fd, err);
	holder->giving = status == EK_OK;
	pthread_mutex_unlock(&holder->lock);
	return status;
}

/* Talk to whoever came; EK_OK: it is the holder now. */
static ek_status give(struct ekd_holder *holder, int fd, struct ek_err *err)
{
	struct ekd_message *m = &holder->received;
	int fds[EKD_MESSAGE_FDS];
	unsigned n;

	EK_TRY(ekd_message_receive(fd, m, fds, &n, NULL, holder->in, err));
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	if (m->op != EKD_OP_TAKE || m->reply)
		return ek_fail(err, EK_CORRUPT, "not a holder");
	step(holder, "boot:hand-over");
	EK_TRY(hand_over(holder, fd, err));
	EK_TRY(ekd_message_receive(fd, m, fds, &n, NULL, holder->in, err));
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	if (m->op != EKD_OP_DONE)
		return ek_fail(err, EK_CORRUPT, "not a holder");
	return EK_OK;
}

/* Tell a new holder that this worker serves already. */
static void say_ready(struct ekd_holder *holder)
{
	struct ekd_message *m = &holder->received;

	memset(m, 0, sizeof(*m));
	m->op = EKD_OP_READY;
	pthread_mutex_lock(&holder->lock);
	if (holder->ready)
		ekd_message_send(holder->channel, m, NULL, 0, true,
				 holder->answer, NULL);
	pthread_mutex_unlock(&holder->lock);
}

static void admit(struct ekd_holder *holder)
{
	int fd = accept4(holder->fds.listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	ekd_message_limit(fd, TAKE_WAIT_S);
	if (!peer_ok(fd) || give(holder, fd, NULL) != EK_OK) {
		pthread_mutex_lock(&holder->lock);
		holder->giving = false;
		pthread_mutex_unlock(&holder->lock);
		close(fd);
		return;
	}
	ekd_message_limit(fd, 0);
	pthread_mutex_lock(&holder->lock);
	holder->channel = fd;
	holder->giving = false;
	pthread_cond_broadcast(&holder->changed);
	pthread_mutex_unlock(&holder->lock);
	say_ready(holder);
	if (holder->hooks.present)
		holder->hooks.present(holder->hooks.arg, true);
}

void *ekd_link_run(void *arg)
{
	struct ekd_holder *holder = arg;

	for (;;) {
		bool orphan = holder->channel < 0;
		struct pollfd polls[2] = {
			{.fd = holder->wake, .events = POLLIN},
			{.fd = orphan ? holder->fds.listener : holder->channel,
			 .events = POLLIN},
		};

		if (poll(polls, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (polls[0].revents)
			return NULL;
		if (!polls[1].revents)
			continue;
		if (orphan)
			admit(holder);
		else
			receive(holder);
	}
}
