/* SPDX-License-Identifier: Apache-2.0 */

/* The holder's life: start, one loop, the ways in which it ends. */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAKE_MS 10000
#define STOP_MS 6000

const char *const ekd_holder_steps[] = {
	"holder:door-mounted",
	"holder:before-fork",
	"holder:started",
	"holder:worker-died",
	"holder:kill",
	"holder:recorded",
	"holder:mounted",
	"holder:unmounting",
	"holder:taken",
	"holder:giving",
	NULL,
};

int64_t ekd_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void ekd_log(struct ekd_state *h, int level, const char *fmt, ...)
{
	char line[512];
	va_list args;

	if (!h->options->log)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	h->options->log(h->options->arg, level, line);
}

void ekd_holder_step(struct ekd_state *h, const char *name)
{
	if (h->options->step)
		h->options->step(h->options->arg, name);
}

/* Above the numbers at which a worker finds its descriptors. */
static int open_high(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC), high;

	if (fd < 0)
		return -1;
	high = fcntl(fd, F_DUPFD_CLOEXEC, EKD_HIGH_FD);
	close(fd);
	return high;
}

/*
 * For all that it keeps. It is root, so that mostly a low limit of the shell
 * that it comes from can be lifted.
 */
static ek_status enough_files(struct ek_err *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return ek_fail_sys(err, errno, "the limit of open files");
	if (limit.rlim_cur >= EKD_FILES)
		return EK_OK;
	limit.rlim_cur = EKD_FILES;
	if (limit.rlim_max < EKD_FILES)
		limit.rlim_max = EKD_FILES;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return ek_fail_sys(err, errno,
				   "the limit of open files is below %u and "
				   "cannot be raised (ulimit -n)",
				   EKD_FILES);
	return EK_OK;
}

static ek_status set_up_process(struct ekd_state *h, struct ek_err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	h->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->signals < 0)
		return ek_fail_sys(err, errno, "a descriptor for signals");
	EK_TRY(enough_files(err));
	h->exe = fcntl(h->options->worker, F_DUPFD_CLOEXEC, EKD_HIGH_FD);
	if (h->exe < 0)
		return ek_fail_sys(err, errno, "the worker's program");
	h->devnull = open_high("/dev/null", O_RDWR);
	if (h->devnull < 0)
		return ek_fail_sys(err, errno, "/dev/null");
	h->results =
		mmap(NULL, sizeof(*h->results) * EKD_JOBS,
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (h->results == MAP_FAILED)
		return ek_fail_sys(err, errno, "memory for children");
	return EK_OK;
}

/*
 * The lock, and what somebody gives. Who has the lock is asked anew each time:
 * a child of a dead holder has it until it is a worker, or dies.
 */
static ek_status take(struct ekd_state *h, bool *taken, struct ek_err *err)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	int64_t until = ekd_now_ms() + TAKE_MS;
	ek_status status;
	bool alone;

	for (;;) {
		EK_TRY(ekd_setup_lock(h, &alone, err));
		status = ekd_take(h, !alone, taken, err);
		if (status != EK_LIMIT || ekd_now_ms() >= until)
			return status;
		nanosleep(&pause, NULL);
	}
}

/* From whoever has them, else new. */
static ek_status get_descriptors(struct ekd_state *h, struct ek_err *err)
{
	ek_status status;
	bool taken;

	status = take(h, &taken, err);
	if (status != EK_OK || taken)
		return status;
	ekd_notify_adopt(h, &taken);
	if (taken && ekd_shared_map(h->shared_fd, &h->shared, err) == EK_OK) {
		h->kept = *ekd_shared_door(h->shared);
		ekd_shared_next(h->shared);
		return EK_OK;
	}
	if (taken) /* of another version of this program */
		ekd_notify_useless(h);
	ekd_records_detach(h);
	EK_TRY(ekd_shared_make(&h->shared_fd, err));
	EK_TRY(ekd_shared_map(h->shared_fd, &h->shared, err));
	EK_TRY(ekd_setup_door(h, err));
	return ekd_setup_sockets(h, err);
}

static void ask_to_stop(struct ekd_state *h)
{
	/* Which mounts live is a child's work: see ekd_do_stop(). */
	memset(&h->in, 0, sizeof(h->in));
	h->in.op = EKD_OP_STOP;
	h->in.value = EKD_STOP_AS_FITS;
	if (!ekd_job_start(h, ekd_do_stop))
		ekd_log(h, 1, "event=stop error=\"busy: try again\"");
}

static void take_signals(struct ekd_state *h)
{
	struct signalfd_siginfo info;

	while (read(h->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			ekd_job_ended(h);
		else if (info.ssi_signo == SIGHUP && !ekd_job_reload(h))
			ekd_log(h, 1, "event=reload error=\"busy\"");
		else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			ask_to_stop(h);
	}
}

static int wait_ms(const struct ekd_state *h)
{
	int64_t now = ekd_now_ms(), next = now + 1000;

	if (h->start_at && h->start_at < next)
		next = h->start_at;
	if (h->worker.pid && h->watch.next < next)
		next = h->watch.next;
	return next > now ? (int)(next - now) : 0;
}

/* One look at all that may have happened. */
static void turn(struct ekd_state *h)
{
	enum { SIGNALS, CHANNEL, DEATH, LISTENER, N };
	struct pollfd polls[N] = {
		[SIGNALS] = {.fd = h->signals, .events = POLLIN},
		[CHANNEL] = {.fd = h->worker.channel, .events = POLLIN},
		[DEATH] = {.fd = h->worker.pidfd, .events = POLLIN},
		[LISTENER] = {.fd = h->listener, .events = POLLIN},
	};

	if (poll(polls, N, wait_ms(h)) < 0 && errno != EINTR)
		return;
	/* What it still said counts; what it asked for is answered to nobody */
	if (polls[CHANNEL].revents)
		ekd_request_serve(h);
	if (polls[DEATH].revents)
		ekd_worker_died(h);
	if (polls[SIGNALS].revents)
		take_signals(h);
	if (polls[LISTENER].revents && h->ending == EKD_GO_ON)
		ekd_give(h);
	ekd_job_check(h);
	ekd_worker_watch(h);
	ekd_worker_late(h);
	ekd_notify_alive(h);
	if (h->start_at && ekd_now_ms() >= h->start_at &&
	    (h->ending == EKD_GO_ON || h->ending == EKD_END_KEEP) &&
	    ekd_worker_start(h, &h->err) != EK_OK) {
		ekd_log(h, 0, "event=start error=\"%s\"", h->err.text);
		h->start_at = ekd_now_ms() + 1000;
	}
}

/* The worker goes, then the door. */
static void stop_all(struct ekd_state *h)
{
	int64_t until = ekd_now_ms() + STOP_MS;

	ekd_notify("STOPPING=1");
	ekd_worker_quit(h);
	while (h->worker.pid && ekd_now_ms() < until)
		turn(h);
	if (h->worker.pid) {
		ekd_worker_kill(h);
		while (h->worker.pid)
			turn(h);
	}
	ekd_setup_remove(h);
	ekd_notify_forget();
}

static void finish(struct ekd_state *h)
{
	switch (h->ending) {
	case EKD_END_STOP:
		stop_all(h);
		ekd_log(h, 2, "event=stopped");
		break;
	case EKD_END_FAILED:
		stop_all(h);
		break;
	case EKD_END_KEEP:
		ekd_notify("STOPPING=1");
		ekd_log(h, 1,
			"event=stopped worker=%d note=\"mounts need it: "
			"it serves on\"",
			(int)h->worker.pid);
		break;
	default:
		break;
	}
}

static ek_status begin(struct ekd_state *h, struct ek_err *err)
{
	if (geteuid() != 0)
		return ek_fail(err, EK_INVALID,
			       "the service must be started by root");
	EK_TRY(set_up_process(h, err));
	ekd_notify_watch(h);
	EK_TRY(ekd_setup_dirs(h, err));
	EK_TRY(get_descriptors(h, err));
	if (h->upgrading) {
		char text[64];

		snprintf(text, sizeof(text), "MAINPID=%d", (int)getpid());
		ekd_notify(text);
		ekd_worker_quit(h);
		h->ever_ready = true;
	}
	if (h->worker.pid == 0)
		return ekd_worker_start(h, err);
	return EK_OK;
}

ek_status ekd_holder_run(const struct ekd_holder_options *options,
			 int *exit_code, struct ek_err *err)
{
	struct ekd_state *h = calloc(1, sizeof(*h));
	ek_status status;

	if (!h)
		return ek_fail(err, EK_NOMEM, "no memory for the holder");
	h->options = options;
	h->config = options->config;
	h->door = h->shared_fd = h->api = h->listener = h->group = -1;
	h->lock = -1;
	ekd_worker_none(h);
	status = begin(h, err);
	if (status != EK_OK) {
		free(h);
		return status;
	}
	while (h->ending == EKD_GO_ON)
		turn(h);
	/* The worker that goes on must be one that serves. */
	while (h->ending == EKD_END_KEEP && !h->worker.ready)
		turn(h);
	finish(h);
	*exit_code = h->exit_code;
	/* The process ends: the kernel closes what is left. */
	ekd_shared_unmap(h->shared);
	free(h);
	return EK_OK;
}
