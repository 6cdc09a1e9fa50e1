/* SPDX-License-Identifier: Apache-2.0 */

/* The worker's calls to the holder: each waits for the reply with its number.
 */

#include "base/try.h"
#include "cachefilesd/holder/client-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define HOLDER_WAIT_S 10
/* Above the holder's own limit for its children. */
#define REPLY_WAIT_S 150
/* Holders that die with the same request. */
#define TRIES 4

static struct timespec after(int seconds)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += seconds;
	return t;
}

static void unlink_call(struct ekd_holder *holder, struct call *call)
{
	struct call **at = &holder->calls;

	while (*at && *at != call)
		at = &(*at)->next;
	if (*at)
		*at = call->next;
}

/*
 * Send under the lock, with the holder there. That one may be dead, and the
 * other thread not have seen it: the call is lost then, and was not sent.
 */
static ek_status send_call(struct ekd_holder *holder, struct call *call, int fd,
			   struct ek_err *err)
{
	struct timespec until = after(HOLDER_WAIT_S);
	ek_status status;
	int waited = 0;

	while (holder->channel < 0 && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&holder->changed, &holder->lock,
						&until);
	if (holder->channel < 0)
		return ek_fail(err, EK_IO,
			       "there is no holder: run "
			       "erofs-cachefilesd run again");
	if (++holder->seq == 0)
		holder->seq = 1;
	call->seq = holder->seq;
	call->message->seq = call->seq;
	call->next = holder->calls;
	holder->calls = call;
	status = ekd_message_send(holder->channel, call->message, &fd, fd >= 0,
				  true, holder->out, err);
	call->sent = status == EK_OK;
	return status == EK_CANCELLED ? EK_OK : status;
}

/* EK_CANCELLED: the holder died, which did it or did not, if it was sent. */
static ek_status wait_call(struct ekd_holder *holder, struct call *call,
			   struct ek_err *err)
{
	struct timespec until = after(REPLY_WAIT_S);
	int waited = 0;

	while (!call->done && !call->lost && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&holder->changed, &holder->lock,
						&until);
	if (call->done)
		return EK_OK;
	if (call->lost)
		return ek_fail(err, EK_CANCELLED, "the holder died meanwhile");
	return ek_fail(err, EK_IO, "the holder does not answer");
}

static ek_status ask_once(struct ekd_holder *holder, struct call *call, int fd,
			  struct ek_err *err)
{
	ek_status status;

	pthread_mutex_lock(&holder->lock);
	status = send_call(holder, call, fd, err);
	if (status == EK_OK)
		status = wait_call(holder, call, err);
	unlink_call(holder, call);
	pthread_mutex_unlock(&holder->lock);
	return status;
}

/* It changes nothing: the next holder may be asked the same. */
static bool may_repeat(uint32_t op)
{
	return op == EKD_OP_OPEN || op == EKD_OP_MOUNTS ||
	       op == EKD_OP_CREDENTIALS;
}

/*
 * Ask: @message becomes the reply. @fd goes along unless -1; *got (NULL: none
 * is expected) is the one that came. A worker that starts as its holder dies
 * asks the next one: it is all that still has the door.
 */
static ek_status ask(struct ekd_holder *holder, struct ekd_message *message,
		     int fd, int *got, struct ek_err *err)
{
	struct call call;
	ek_status status;
	int tries = 0;

	do {
		call = (struct call){.message = message, .fd = -1};
		status = ask_once(holder, &call, fd, err);
	} while (status == EK_CANCELLED && ++tries < TRIES &&
		 (!call.sent || may_repeat(message->op)));
	if (status == EK_CANCELLED)
		return ek_fail(err, EK_IO, "the holder died meanwhile");
	if (status == EK_OK && message->status != EK_OK) {
		status = ek_fail(err, message->status, "%s", message->text);
		if (err)
			err->sys = message->sys;
	}
	if (status == EK_OK && got && call.fd < 0)
		status = ek_fail(err, EK_CORRUPT,
				 "the holder sent no descriptor");
	if (status == EK_OK && got)
		*got = call.fd;
	else if (call.fd >= 0)
		close(call.fd);
	return status;
}

static struct ekd_message *new_message(uint32_t op, struct ek_err *err)
{
	struct ekd_message *message = calloc(1, sizeof(*message));

	if (message)
		message->op = op;
	else
		ek_fail(err, EK_NOMEM, "no memory for a message");
	return message;
}

/* EK_INVALID: @text with its NUL does not fit the @n bytes of @to. */
static ek_status put_text(char *to, size_t n, const char *text,
			  struct ek_err *err)
{
	size_t len = strnlen(text, n);

	if (len == n)
		return ek_fail(err, EK_INVALID, "too long for a message");
	memcpy(to, text, len + 1);
	return EK_OK;
}

ek_status ekd_holder_connect(const struct ekd_holder_fds *fds,
			     struct ekd_shared *shared,
			     const struct ekd_holder_hooks *hooks,
			     struct ekd_holder **holder, struct ek_err *err)
{
	struct ekd_holder *new = calloc(1, sizeof(*new));
	pthread_condattr_t attr;
	int sys;

	if (!new)
		return ek_fail(err, EK_NOMEM,
			       "no memory for the holder's client");
	new->fds = *fds;
	new->shared = shared;
	new->hooks = *hooks;
	new->channel = fcntl(fds->channel, F_DUPFD_CLOEXEC, 3);
	new->wake = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&new->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&new->changed, &attr);
	pthread_condattr_destroy(&attr);
	sys = errno;
	if (new->channel >= 0 && new->wake >= 0) {
		close(fds->channel); /* its end is seen by the holder */
		sys = pthread_create(&new->thread, NULL, ekd_link_run, new);
		if (sys == 0) {
			*holder = new;
			return EK_OK;
		}
	}
	if (new->channel >= 0)
		close(new->channel);
	if (new->wake >= 0)
		close(new->wake);
	free(new);
	return ek_fail_sys(err, sys, "the holder's client");
}

void ekd_holder_free(struct ekd_holder *holder)
{
	const uint64_t one = 1;

	if (!holder)
		return;
	while (write(holder->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(holder->thread, NULL);
	if (holder->channel >= 0)
		close(holder->channel);
	close(holder->wake);
	for (unsigned i = 0; i < EKD_CONNS; i++)
		if (holder->conns[i].id)
			close(holder->conns[i].fd);
	pthread_cond_destroy(&holder->changed);
	pthread_mutex_destroy(&holder->lock);
	free(holder);
}

/*
 * Nobody need be told: there is no holder, and a new one will get the table
 * and whether this worker serves. Under the lock, after these were changed.
 */
static bool told_later(struct ekd_holder *holder)
{
	return holder->channel < 0 && !holder->giving;
}

ek_status ekd_holder_ready(struct ekd_holder *holder, struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m = new_message(EKD_OP_READY, err);
	struct call call = {.message = m, .fd = -1};
	ek_status status;
	bool later;

	if (!m)
		return EK_NOMEM;
	pthread_mutex_lock(&holder->lock);
	holder->ready = true;
	later = told_later(holder);
	pthread_mutex_unlock(&holder->lock);
	if (later)
		return EK_OK;
	status = ask_once(holder, &call, -1, err);
	/* The next holder hears it when it takes the descriptors. */
	return status == EK_CANCELLED ? EK_OK : status;
}

ek_status ekd_holder_open_local(struct ekd_holder *holder, const char *path,
				int *fd, struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m = new_message(EKD_OP_OPEN, err);

	if (!m)
		return EK_NOMEM;
	EK_TRY(put_text(m->path, EKD_PATH, path, err));
	return ask(holder, m, -1, fd, err);
}

ek_status ekd_holder_mount(struct ekd_holder *holder,
			   const struct ekd_mount *mount, struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m = new_message(EKD_OP_MOUNT, err);

	if (!m)
		return EK_NOMEM;
	m->mount = *mount;
	return ask(holder, m, -1, NULL, err);
}

ek_status ekd_holder_overlay(struct ekd_holder *holder,
			     const struct ekd_overlay *overlay,
			     struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m = new_message(EKD_OP_OVERLAY, err);

	if (!m)
		return EK_NOMEM;
	m->overlay = *overlay;
	return ask(holder, m, -1, NULL, err);
}

ek_status ekd_holder_umount(struct ekd_holder *holder, const char *id,
			    uint32_t flags, struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m = new_message(EKD_OP_UMOUNT, err);

	if (!m)
		return EK_NOMEM;
	EK_TRY(put_text(m->umount.id, EKD_ID, id, err));
	m->umount.flags = flags;
	return ask(holder, m, -1, NULL, err);
}

ek_status ekd_holder_mounts(struct ekd_holder *holder,
			    void (*tell)(void *arg,
					 const struct ekd_mounted *mounted),
			    void *arg, struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m = new_message(EKD_OP_MOUNTS, err);
	struct ek_err own = {.status = EK_OK};
	ek_status status;

	while (m) {
		char last[EKD_ID];

		status = ask(holder, m, -1, NULL, &own);
		if (status != EK_OK) {
			if (status == EK_NOTFOUND)
				return EK_OK;
			return ek_fail(err, status, "%s", own.text);
		}
		tell(arg, &m->mounted);
		memcpy(last,
		       m->mounted.is_overlay ? m->mounted.overlay.id
					     : m->mounted.mount.id,
		       EKD_ID);
		memset(m, 0, sizeof(*m));
		m->op = EKD_OP_MOUNTS;
		memcpy(m->after, last, EKD_ID);
	}
	return EK_NOMEM;
}

ek_status ekd_holder_keep_conn(struct ekd_holder *holder, uint64_t id, int fd,
			       struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m = new_message(EKD_OP_KEEP, err);
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	bool room, later;

	if (copy < 0)
		return ek_fail_sys(err, errno, "keeping a connection");
	pthread_mutex_lock(&holder->lock);
	room = ekd_link_keep(holder, id, copy);
	later = told_later(holder);
	pthread_mutex_unlock(&holder->lock);
	if (!room)
		return ek_fail(err, EK_LIMIT, "over %d connections are kept",
			       EKD_CONNS);
	if (later)
		return EK_OK;
	if (!m)
		return EK_NOMEM;
	m->value = id;
	return ask(holder, m, fd, NULL, err);
}

ek_status ekd_holder_drop_conn(struct ekd_holder *holder, uint64_t id,
			       struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m = new_message(EKD_OP_DROP, err);
	bool later;

	pthread_mutex_lock(&holder->lock);
	ekd_link_drop(holder, id);
	later = told_later(holder);
	pthread_mutex_unlock(&holder->lock);
	if (later)
		return EK_OK;
	if (!m)
		return EK_NOMEM;
	m->value = id;
	return ask(holder, m, -1, NULL, err);
}

ek_status ekd_holder_credentials(struct ekd_holder *holder, const char *host,
				 char to[EKD_SECRET], struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m =
		new_message(EKD_OP_CREDENTIALS, err);
	ek_status status;

	if (!m)
		return EK_NOMEM;
	EK_TRY(put_text(m->host, EKD_HOST, host, err));
	status = ask(holder, m, -1, NULL, err);
	if (status == EK_OK)
		memcpy(to, m->secret, EKD_SECRET);
	explicit_bzero(m, sizeof(*m));
	pthread_mutex_lock(&holder->lock);
	explicit_bzero(holder->out, sizeof(holder->out));
	pthread_mutex_unlock(&holder->lock);
	return status;
}

ek_status ekd_holder_stop(struct ekd_holder *holder, uint32_t flags,
			  struct ek_err *err)
{
	EK_AUTO_FREE struct ekd_message *m = new_message(EKD_OP_STOP, err);

	if (!m)
		return EK_NOMEM;
	m->value = flags;
	return ask(holder, m, -1, NULL, err);
}
