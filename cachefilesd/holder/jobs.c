/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Children that do what may block: opening and stating files of the door,
 * mount(2), umount(2), reading records, running a program for credentials.
 *
 * A child closes the door first: were both holder and worker to die while it
 * waits for a read, its descriptor would keep the connection open and every
 * reader waiting for ever.
 */

#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* It may wait for the door. */
static bool may_wait(uint32_t op)
{
	return op == EKD_OP_MOUNT || op == EKD_OP_OVERLAY ||
	       op == EKD_OP_UMOUNT;
}

/*
 * Those that wait leave room for the others: a worker that starts asks what
 * is mounted and for its files, and only then are they answered.
 */
static struct ekd_job *find_free(struct ekd_state *h, uint32_t op)
{
	struct ekd_job *found = NULL;
	unsigned waiting = 0;

	for (unsigned i = 0; i < EKD_JOBS; i++) {
		if (h->jobs[i].pid == 0)
			found = &h->jobs[i];
		else
			waiting += may_wait(h->jobs[i].op);
	}
	return may_wait(op) && waiting >= EKD_JOBS_FUSE ? NULL : found;
}

bool ekd_job_any(const struct ekd_state *h)
{
	for (unsigned i = 0; i < EKD_JOBS; i++)
		if (h->jobs[i].pid != 0)
			return true;
	return false;
}

static struct ekd_result *result_of(struct ekd_state *h, struct ekd_job *job)
{
	return &h->results[job - h->jobs];
}

/*
 * A child keeps no descriptor that somebody waits for the end of; of the
 * channel only what answers itself, at once.
 */
static void shed(struct ekd_state *h)
{
	sigset_t none;

	if (h->in.op != EKD_OP_OPEN && h->in.op != EKD_OP_MOUNTS &&
	    h->worker.channel >= 0)
		close(h->worker.channel);
	close(h->door);
	close(h->lock);
	close(h->api);
	close(h->listener);
	for (unsigned i = 0; i < EKD_CONNS; i++)
		if (h->conns[i].id)
			close(h->conns[i].fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void run_child(struct ekd_state *h, struct ekd_result *result,
				ek_status (*work)(struct ekd_state *h,
						  struct ekd_result *result,
						  struct ek_err *err))
{
	struct ek_err err = {.text = ""};

	shed(h);
	result->status = work(h, result, &err);
	if (result->status != EK_OK) {
		result->sys = err.sys;
		snprintf(result->text, sizeof(result->text), "%.*s",
			 EKD_TEXT - 1, err.text);
	}
	result->ended = true;
	_exit(0);
}

bool ekd_job_start(struct ekd_state *h,
		   ek_status (*work)(struct ekd_state *h,
				     struct ekd_result *result,
				     struct ek_err *err))
{
	struct ekd_job *job = find_free(h, h->in.op);
	pid_t pid;

	if (!job)
		return false;
	memset(result_of(h, job), 0, sizeof(struct ekd_result));
	pid = fork();
	if (pid < 0)
		return false;
	if (pid == 0)
		run_child(h, result_of(h, job), work);
	job->pid = pid;
	job->op = h->in.op;
	job->seq = h->in.seq;
	job->asker = ekd_shared_generation(h->shared);
	job->since = ekd_now_ms();
	job->killed = false;
	job->memory = -1;
	return true;
}

static _Noreturn void exec_worker(struct ekd_state *h, const char *const *words,
				  const char *last, int out)
{
	static char name[] = "erofs-cachefilesd-worker";
	union {
		const char *from;
		char *to; /* exec changes nothing */
	} word;
	extern char **environ;
	char *argv[16] = {name};
	int n = 1;

	while (*words && n < 14) {
		word.from = *words++;
		argv[n++] = word.to;
	}
	word.from = last;
	argv[n] = word.to;
	dup2(h->devnull, 0);
	if (out != 1)
		dup2(out, 1);
	fexecve(h->exe, argv, environ);
	_exit(127);
}

/* All that comes until the end, with a NUL; false: too much, or an error. */
static bool read_all(int fd, char *to, size_t room)
{
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, to + n, room - 1 - n)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		n += (size_t)got;
		if (n == room - 1)
			return false;
	}
	to[n] = 0;
	to[strcspn(to, "\r\n")] = 0;
	return true;
}

ek_status ekd_do_credentials(struct ekd_state *h, struct ekd_result *result,
			     struct ek_err *err)
{
	static const char *const words[] = {"credentials", NULL};
	const char *const *argv = h->options->credentials_argv;
	int ends[2], status = 0;
	bool got;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return ek_fail_sys(err, errno, "a pipe");
	pid = fork();
	if (pid < 0)
		return ek_fail_sys(err, errno, "a child");
	if (pid == 0)
		exec_worker(h, argv ? argv : words, h->in.host, ends[1]);
	close(ends[1]);
	got = read_all(ends[0], result->secret, EKD_SECRET);
	if (!got)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!got || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		explicit_bzero(result->secret, EKD_SECRET);
		return ek_fail(err, EK_IO,
			       "credentials for %s could not be read, or are "
			       "over 4 KiB",
			       h->in.host);
	}
	if (!result->secret[0])
		return ek_fail(err, EK_NOTFOUND, "no credentials for %s",
			       h->in.host);
	return EK_OK;
}

bool ekd_job_reload(struct ekd_state *h)
{
	static const char *const words[] = {"config", NULL};
	const char *const *argv = h->options->config_argv;
	struct ekd_job *job = find_free(h, EKD_OP_CONFIG);
	int memory = memfd_create("erofs-cachefilesd config", MFD_CLOEXEC);
	pid_t pid = -1;

	if (job && memory >= 0)
		pid = fork();
	if (pid == 0) {
		shed(h);
		exec_worker(h, argv ? argv : words, NULL, memory);
	}
	if (pid < 0) {
		if (memory >= 0)
			close(memory);
		return false;
	}
	memset(job, 0, sizeof(*job));
	job->pid = pid;
	job->op = EKD_OP_CONFIG;
	job->since = ekd_now_ms();
	job->memory = memory;
	return true;
}

static void end_reload(struct ekd_state *h, struct ekd_job *job, int status)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		ekd_log(h, 0, "event=reload failed=yes");
		close(job->memory);
		return;
	}
	memset(&h->out, 0, sizeof(h->out));
	h->out.op = EKD_OP_CONFIG;
	ekd_request_send(h, &job->memory, 1);
	close(h->config);
	h->config = job->memory;
	ekd_log(h, 2, "event=reload");
}

static void end_stop(struct ekd_state *h, const struct ekd_result *result,
		     struct ekd_job *job)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	bool keep = result->secret[0] == 'k';

	if (result->status == EK_OK && h->ending == EKD_GO_ON)
		h->ending = keep ? EKD_END_KEEP : EKD_END_STOP;
	if (!job->seq)
		return;
	ekd_request_reply(h, EKD_OP_STOP, job->seq, result->status, result->sys,
			  result->text);
	/* The worker has somebody to tell before it hears QUIT. */
	if (h->ending == EKD_END_STOP)
		nanosleep(&pause, NULL);
}

static void end_asked(struct ekd_state *h, struct ekd_job *job)
{
	struct ekd_result *result = result_of(h, job);

	if (!result->ended) {
		result->status = EK_IO;
		snprintf(result->text, sizeof(result->text),
			 job->killed ? "took too long" : "a child died");
	}
	if (job->op == EKD_OP_STOP) {
		end_stop(h, result, job);
		return;
	}
	if (result->status != EK_OK && result->status != EK_NOTFOUND)
		ekd_log(h, 1, "event=refused op=%u error=\"%s\"",
			(unsigned)job->op, result->text);
	/* Whoever asked may be dead by now. */
	if (result->answered || job->asker != ekd_shared_generation(h->shared))
		return;
	if (job->op == EKD_OP_CREDENTIALS && result->status == EK_OK) {
		memset(&h->out, 0, sizeof(h->out));
		h->out.op = job->op;
		h->out.reply = true;
		h->out.seq = job->seq;
		memcpy(h->out.secret, result->secret, EKD_SECRET);
		ekd_request_send(h, NULL, 0);
		explicit_bzero(&h->out, sizeof(h->out));
		explicit_bzero(h->scratch, sizeof(h->scratch));
	} else {
		ekd_request_reply(h, job->op, job->seq, result->status,
				  result->sys, result->text);
	}
}

void ekd_job_ended(struct ekd_state *h)
{
	for (unsigned i = 0; i < EKD_JOBS; i++) {
		struct ekd_job *job = &h->jobs[i];
		int status = 0;

		if (job->pid == 0 ||
		    waitpid(job->pid, &status, WNOHANG) != job->pid)
			continue;
		if (job->op == EKD_OP_CONFIG)
			end_reload(h, job, status);
		else
			end_asked(h, job);
		explicit_bzero(result_of(h, job), sizeof(struct ekd_result));
		job->pid = 0;
	}
}

void ekd_job_check(struct ekd_state *h)
{
	int64_t now = ekd_now_ms();

	for (unsigned i = 0; i < EKD_JOBS; i++) {
		struct ekd_job *job = &h->jobs[i];

		if (job->pid && !job->killed &&
		    now - job->since > EKD_JOB_S * 1000) {
			job->killed = true;
			kill(job->pid, SIGKILL);
		}
	}
}
