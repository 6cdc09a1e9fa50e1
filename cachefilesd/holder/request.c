/* SPDX-License-Identifier: Apache-2.0 */

/* What a worker asks for. Decoded and checked before it gets here. */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

/* Send h->out to the worker; one that does not read is not worth waiting. */
void ekd_request_send(struct ekd_state *h, const int *fds, unsigned n)
{
	ek_status status;

	if (h->worker.channel < 0)
		return;
	status = ekd_message_send(h->worker.channel, &h->out, fds, n, false,
				  h->scratch, &h->err);
	if (status == EK_OK || status == EK_CANCELLED)
		return;
	ekd_log(h, 0, "event=kill pid=%d reason=\"%s\"", (int)h->worker.pid,
		h->err.text);
	ekd_worker_kill(h);
}

void ekd_request_reply(struct ekd_state *h, uint32_t op, uint32_t seq,
		       ek_status status, int sys, const char *text)
{
	memset(&h->out, 0, sizeof(h->out));
	h->out.op = op;
	h->out.reply = true;
	h->out.seq = seq;
	h->out.status = status;
	if (status != EK_OK) {
		h->out.sys = sys > 0 && sys < 4096 ? sys : 0;
		snprintf(h->out.text, EKD_TEXT, "%.*s", EKD_TEXT - 1, text);
	}
	ekd_request_send(h, NULL, 0);
}

static void reply_ok(struct ekd_state *h)
{
	ekd_request_reply(h, h->in.op, h->in.seq, EK_OK, 0, "");
}

static void send_conns(struct ekd_state *h)
{
	for (unsigned i = 0; i < EKD_CONNS; i++) {
		if (!h->conns[i].id)
			continue;
		memset(&h->out, 0, sizeof(h->out));
		h->out.op = EKD_OP_CONN;
		h->out.value = h->conns[i].id;
		ekd_request_send(h, &h->conns[i].fd, 1);
	}
}

static void serve_ready(struct ekd_state *h)
{
	h->worker.ready = true;
	h->failed_starts = 0;
	h->down_since = 0;
	if (h->in.seq) { /* else it served before this holder came */
		send_conns(h);
		reply_ok(h);
	}
	if (ekd_setup_publish(h, &h->err) != EK_OK)
		ekd_log(h, 0, "event=publish error=\"%s\"", h->err.text);
	if (!h->ever_ready) {
		ekd_notify_store(h);
		ekd_notify("READY=1\nSTATUS=serving");
	}
	h->ever_ready = true;
	h->upgrading = false;
	ekd_log(h, 2, "event=ready worker=%d generation=%u", (int)h->worker.pid,
		(unsigned)ekd_shared_generation(h->shared));
}

/* *fd goes into the table. */
static void serve_keep(struct ekd_state *h, int *fd)
{
	struct ekd_conn *free_conn = NULL;

	for (unsigned i = 0; i < EKD_CONNS; i++) {
		if (h->conns[i].id == h->in.value) {
			free_conn = NULL;
			break; /* under that id there is one */
		}
		if (!h->conns[i].id && !free_conn)
			free_conn = &h->conns[i];
	}
	if (*fd < 0 || !free_conn) {
		ekd_request_reply(
			h, EKD_OP_KEEP, h->in.seq,
			*fd < 0 ? EK_INVALID : EK_LIMIT, 0,
			"no room, the id is in use, or no descriptor");
		return;
	}
	free_conn->id = h->in.value;
	free_conn->fd = *fd;
	*fd = -1;
	reply_ok(h);
}

static void serve_drop(struct ekd_state *h)
{
	for (unsigned i = 0; i < EKD_CONNS; i++) {
		if (h->conns[i].id != h->in.value)
			continue;
		close(h->conns[i].fd);
		h->conns[i].id = 0;
	}
	reply_ok(h);
}

/*
 * Where the configuration names no directories, root's rights open nothing
 * that the worker could not: else it reads the host's secrets.
 */
static ek_status become_worker(struct ekd_state *h, struct ek_err *err)
{
	if (!h->options->open_as_worker)
		return EK_OK;
	if (setgroups(0, NULL) != 0)
		return ek_fail_sys(err, errno, "letting go of groups");
	setfsgid(h->options->gid);
	setfsuid(h->options->uid); /* drops the file capabilities too */
	/* They tell the old one; an id that cannot be is refused. */
	if ((uid_t)setfsuid((uid_t)-1) != h->options->uid ||
	    (gid_t)setfsgid((gid_t)-1) != h->options->gid)
		return ek_fail(err, EK_IO, "becoming the worker's user");
	return EK_OK;
}

ek_status ekd_do_open(struct ekd_state *h, struct ekd_result *result,
		      struct ek_err *err)
{
	const char *path = h->in.path, *slash = strrchr(path, '/');
	char parent[EKD_PATH];
	ek_status status;
	int dir, fd;

	EK_TRY(become_worker(h, err));
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = 0;
	status = ekd_path_beneath(h->options->open_roots,
				  parent[0] ? parent : "/", &dir, err);
	if (status == EK_OK)
		status = ekd_path_file(dir, slash + 1, &fd, err);
	if (status != EK_OK && err->sys == EACCES && h->options->open_as_worker)
		return ek_fail_sys(err, EACCES,
				   "%s: not readable for everybody, nor "
				   "beneath one of local_roots",
				   path);
	if (status != EK_OK)
		return status;
	EK_TRY(ekd_path_on_disk(fd, path, err));
	memset(&h->out, 0, sizeof(h->out));
	h->out.op = EKD_OP_OPEN;
	h->out.reply = true;
	h->out.seq = h->in.seq;
	status = ekd_message_send(h->worker.channel, &h->out, &fd, 1, true,
				  h->scratch, err);
	result->answered = status == EK_OK;
	return status;
}

ek_status ekd_do_mounts(struct ekd_state *h, struct ekd_result *result,
			struct ek_err *err)
{
	struct ekd_record *record = malloc(sizeof(*record));
	char id[EKD_ID];
	ek_status status;

	if (!record)
		return ek_fail(err, EK_NOMEM, "no memory for a record");
	status = ekd_record_next(h, h->in.after, id, err);
	while (status == EK_OK &&
	       ekd_record_read(h, id, record, NULL) != EK_OK) {
		/* Gone meanwhile, or damaged: no mount of ours. */
		char last[EKD_ID];

		memcpy(last, id, EKD_ID);
		status = ekd_record_next(h, last, id, err);
	}
	if (status == EK_OK) {
		memset(&h->out, 0, sizeof(h->out));
		h->out.op = EKD_OP_MOUNTS;
		h->out.reply = true;
		h->out.seq = h->in.seq;
		h->out.mounted = record->mounted;
		status = ekd_message_send(h->worker.channel, &h->out, NULL, 0,
					  true, h->scratch, err);
		result->answered = status == EK_OK;
	}
	free(record);
	return status;
}

ek_status ekd_do_stop(struct ekd_state *h, struct ekd_result *result,
		      struct ek_err *err)
{
	char id[EKD_ID];
	ek_status status;

	if (h->in.value == EKD_STOP_KEEP) {
		result->secret[0] = 'k';
		return EK_OK;
	}
	status = ekd_record_lazy(h, id, err);
	if (status == EK_NOTFOUND)
		return EK_OK;
	if (status != EK_OK)
		return status;
	if (h->in.value == EKD_STOP_AS_FITS) {
		result->secret[0] = 'k';
		return EK_OK;
	}
	return ek_fail(err, EK_EXISTS,
		       "%s is mounted and needs the service: unmount it, "
		       "complete it, or keep the worker",
		       id);
}

typedef ek_status job_fn(struct ekd_state *h, struct ekd_result *result,
			 struct ek_err *err);

static job_fn *job_of(uint32_t op)
{
	switch (op) {
	case EKD_OP_OPEN:
		return ekd_do_open;
	case EKD_OP_MOUNT:
		return ekd_do_mount;
	case EKD_OP_OVERLAY:
		return ekd_do_overlay;
	case EKD_OP_UMOUNT:
		return ekd_do_umount;
	case EKD_OP_MOUNTS:
		return ekd_do_mounts;
	case EKD_OP_CREDENTIALS:
		return ekd_do_credentials;
	case EKD_OP_STOP:
		return ekd_do_stop;
	default:
		return NULL;
	}
}

static void serve(struct ekd_state *h, int *fd)
{
	job_fn *job = job_of(h->in.op);

	if (job) {
		if (!ekd_job_start(h, job))
			ekd_request_reply(h, h->in.op, h->in.seq, EK_LIMIT, 0,
					  "too many requests at once");
	} else if (h->in.op == EKD_OP_READY) {
		serve_ready(h);
	} else if (h->in.op == EKD_OP_KEEP) {
		serve_keep(h, fd);
	} else if (h->in.op == EKD_OP_DROP) {
		serve_drop(h);
	} else {
		ekd_log(h, 0, "event=kill pid=%d reason=\"a holder's message\"",
			(int)h->worker.pid);
		ekd_worker_kill(h);
	}
}

void ekd_request_serve(struct ekd_state *h)
{
	int fds[EKD_MESSAGE_FDS], fd = -1;
	ek_status status;
	unsigned n;

	status = ekd_message_receive(h->worker.channel, &h->in, fds, &n, NULL,
				     h->scratch, &h->err);
	if (status == EK_CANCELLED) {
		/* Its death follows; one that only hung up must go too. */
		close(h->worker.channel);
		h->worker.channel = -1;
		ekd_worker_kill(h);
		return;
	}
	if (status != EK_OK || h->in.reply) {
		ekd_log(h, 0, "event=kill pid=%d reason=\"%s\"",
			(int)h->worker.pid,
			status == EK_OK ? "a reply that nobody asked for"
					: h->err.text);
		ekd_worker_kill(h);
		return;
	}
	for (unsigned i = 1; i < n; i++)
		close(fds[i]);
	if (n)
		fd = fds[0];
	serve(h, &fd);
	if (fd >= 0)
		close(fd);
}
