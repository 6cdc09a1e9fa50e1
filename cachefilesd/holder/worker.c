/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The worker: started under its own user, watched, started again.
 *
 * It is killed when its heart stands still while requests wait, or when
 * requests lie in the kernel and nobody takes one, for SAMPLES looks on end;
 * or when it has reads and answers none of them, not even with an error, for
 * twice as long as a reader waits: its heart is a thread that may beat on.
 * Looks are counted rather than time: a host that slept has no hung worker.
 */

#include "base/try.h"
#include "cachefilesd/holder/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAMPLES 8
/* A request may be taken and not counted yet when its process stops. */
#define IDLE_LOOKS  (2 * SAMPLES)
#define HANG_MS	    2000
#define QUIT_MS	    5000
#define DEADLINE_MS 30000
#define SOCKET	    (1 << 20)
#define FDS	    65536u

void ekd_worker_none(struct ekd_state *h)
{
	h->worker.pid = 0;
	h->worker.pidfd = -1;
	h->worker.channel = -1;
	h->worker.ready = false;
	h->worker.asked_to_quit = false;
}

static void reset_watch(struct ekd_state *h)
{
	memset(&h->watch, 0, sizeof(h->watch));
	h->watch.next = ekd_now_ms();
}

void ekd_worker_kill(struct ekd_state *h)
{
	if (h->worker.pid)
		pidfd_send_signal(h->worker.pidfd, SIGKILL, NULL, 0);
}

ek_status ekd_worker_adopt(struct ekd_state *h, pid_t pid, int channel,
			   struct ek_err *err)
{
	int pidfd = pidfd_open(pid, 0);

	if (pidfd < 0)
		return ek_fail_sys(err, errno, "the worker, process %d",
				   (int)pid);
	h->worker.pid = pid;
	h->worker.pidfd = pidfd;
	h->worker.channel = channel;
	h->worker.own_child = false;
	h->worker.started = ekd_now_ms();
	reset_watch(h);
	return EK_OK;
}

/* Its descriptors at their numbers; all others close at exec. */
static bool place_fds(struct ekd_state *h, int channel)
{
	const int from[] = {channel, h->door,	  h->shared_fd,
			    h->api,  h->listener, h->config};
	const int n = EKD_FD_END - EKD_FD_CHANNEL;
	int high[EKD_FD_END - EKD_FD_CHANNEL];

	for (int i = 0; i < n; i++) {
		high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, EKD_HIGH_FD);
		if (high[i] < 0)
			return false;
	}
	for (int i = 0; i < n; i++)
		if (high[i] != EKD_FD_CHANNEL + i &&
		    dup2(high[i], EKD_FD_CHANNEL + i) < 0)
			return false;
	return dup2(h->devnull, 0) == 0 &&
	       close_range(EKD_FD_END, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

/* No root, no capability, no way to get one. */
static bool drop_rights(struct ekd_state *h)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		/* The holder may be spared by the unit; the worker not. */
		if (write(fd, "0", 1) < 0)
			errno = 0;
		close(fd);
	}
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
			break; /* no_new_privs is what counts */
	if (setgroups(0, NULL) != 0 ||
	    setresgid(h->options->gid, h->options->gid, h->options->gid) != 0 ||
	    setresuid(h->options->uid, h->options->uid, h->options->uid) != 0)
		return false;
	memset(caps, 0, sizeof(caps));
	return syscall(SYS_capset, &head, caps) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static void set_limits(void)
{
	struct rlimit limit = {0, 0};

	setrlimit(RLIMIT_CORE, &limit); /* it has secrets in its memory */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FDS) {
		limit.rlim_cur = limit.rlim_max < FDS ? limit.rlim_max : FDS;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * For a holder that finds the worker without one. By the worker itself while
 * it has the holder's lock still, and in one write over what was there: a
 * holder that dies at any instruction leaves no worker without a note. The lock
 * goes at exec, when the worker's listener is where a new holder looks for it.
 */
static void note_pid(struct ekd_state *h)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%-10d\n", (int)getpid());
	int fd = openat(h->run_fd, "worker", O_WRONLY | O_CREAT | O_CLOEXEC,
			0600);

	if (fd < 0 || write(fd, text, (size_t)n) != n)
		ekd_log(h, 1, "event=note-pid failed=yes");
	if (fd >= 0)
		close(fd);
}

static _Noreturn void run_worker(struct ekd_state *h, int channel)
{
	static char name[] = "erofs-cachefilesd-worker", verb[] = "work";
	static const char *const mine[] = {
		"NOTIFY_SOCKET",  "LISTEN_PID",	   "LISTEN_FDS",
		"LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID",
	};
	char *argv[] = {name, verb, NULL};
	extern char **environ;
	sigset_t none;

	note_pid(h);
	for (unsigned i = 0; i < sizeof(mine) / sizeof(mine[0]); i++)
		unsetenv(mine[i]);
	if (ekd_shared_generation(h->shared) > 0)
		unsetenv("EKD_KILL"); /* it did its work */
	if (h->group >= 0 && !ekd_group_enter(h->group))
		ekd_log(h, 1, "event=worker-memory limit=none");
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	set_limits();
	if (!place_fds(h, channel) || !drop_rights(h))
		_exit(126);
	fexecve(h->exe, argv, environ);
	_exit(127);
}

ek_status ekd_worker_start(struct ekd_state *h, struct ek_err *err)
{
	const int size = SOCKET;
	int ends[2];
	pid_t pid;

	h->start_at = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return ek_fail_sys(err, errno, "a channel for the worker");
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	ekd_group_open(h);
	ekd_holder_step(h, "holder:before-fork");
	pid = fork();
	if (pid == 0)
		run_worker(h, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return ek_fail_sys(err, errno, "starting the worker");
	}
	if (ekd_worker_adopt(h, pid, ends[0], err) != EK_OK) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(ends[0]);
		return EK_IO;
	}
	h->worker.own_child = true;
	ekd_log(h, 2, "event=start worker=%d generation=%u", (int)pid,
		(unsigned)ekd_shared_generation(h->shared));
	ekd_holder_step(h, "holder:started");
	return EK_OK;
}

void ekd_worker_quit(struct ekd_state *h)
{
	if (h->worker.pid == 0 || h->worker.asked_to_quit)
		return;
	h->worker.asked_to_quit = true;
	h->worker.quit_at = ekd_now_ms() + QUIT_MS;
	memset(&h->out, 0, sizeof(h->out));
	h->out.op = EKD_OP_QUIT;
	ekd_request_send(h, NULL, 0);
}

/* Milliseconds until the next start: many deaths within 2 s slow it down. */
static int64_t back_off(struct ekd_state *h, int64_t now)
{
	unsigned recent = 0;

	memmove(&h->deaths[1], &h->deaths[0],
		sizeof(h->deaths) - sizeof(h->deaths[0]));
	h->deaths[0] = now;
	for (unsigned i = 0; i < EKD_DEATHS; i++)
		recent += h->deaths[i] && now - h->deaths[i] < 2000;
	if (h->failed_starts > 1) /* it does not even come up */
		return h->failed_starts > 10 ? 5000 : 10LL << h->failed_starts;
	return recent == EKD_DEATHS ? 100 : 0;
}

/* Whoever waits gets an error. */
static void replace_door(struct ekd_state *h, const char *why)
{
	ekd_log(h, 0, "event=door-lost reason=\"%s\"", why);
	ekd_records_detach(h);
	close(h->door);
	h->door = -1;
	if (ekd_setup_door(h, &h->err) != EK_OK) {
		ekd_log(h, 0, "event=door error=\"%s\"", h->err.text);
		h->ending = EKD_END_FAILED;
		h->exit_code = 1;
	}
	ekd_notify_door(h);
}

static uint32_t deadline_ms(const struct ekd_state *h)
{
	return h->options->deadline_ms ? h->options->deadline_ms : DEADLINE_MS;
}

void ekd_worker_late(struct ekd_state *h)
{
	if (h->worker.pid || !h->failed_starts || !h->down_since ||
	    ekd_now_ms() - h->down_since < deadline_ms(h))
		return;
	h->down_since = 0; /* until one served and died again */
	replace_door(h, "no worker comes up");
	/* Nothing mounted needs a worker any more. */
	if (h->ending == EKD_END_KEEP)
		h->ending = EKD_END_STOP;
}

/* Looks until reads of which none is answered tell that it hangs. */
static uint32_t mute_looks(const struct ekd_state *h, uint32_t look_ms)
{
	return SAMPLES + 2 * (deadline_ms(h) / look_ms);
}

static bool door_broken(struct ekd_state *h, bool *pending)
{
	struct pollfd poll_fd = {.fd = h->door, .events = POLLIN};
	int n = poll(&poll_fd, 1, 0);

	*pending = n > 0 && (poll_fd.revents & POLLIN);
	return n > 0 && (poll_fd.revents & POLLERR);
}

/* @status: of waitpid(), when it was an own child. */
static void tell_death(struct ekd_state *h, int status)
{
	if (!h->worker.own_child)
		ekd_log(h, 1, "event=death worker=%d", (int)h->worker.pid);
	else if (WIFSIGNALED(status))
		ekd_log(h, 1, "event=death worker=%d signal=%d%s",
			(int)h->worker.pid, WTERMSIG(status),
			ekd_group_killed(h) ? " reason=memory" : "");
	else
		ekd_log(h, h->worker.asked_to_quit ? 2 : 1,
			"event=death worker=%d exit=%d", (int)h->worker.pid,
			WEXITSTATUS(status));
}

void ekd_worker_died(struct ekd_state *h)
{
	bool was_ready = h->worker.ready, quit = h->worker.asked_to_quit;
	int64_t now = ekd_now_ms();
	bool pending;
	int status = 0;

	if (h->worker.own_child)
		while (waitpid(h->worker.pid, &status, 0) < 0 && errno == EINTR)
			;
	tell_death(h, status);
	if (h->worker.channel >= 0)
		close(h->worker.channel);
	close(h->worker.pidfd);
	if (!was_ready)
		h->failed_starts++;
	if (was_ready || (h->failed_starts == 1 && !h->down_since))
		h->down_since = now;
	/* It says itself why it cannot serve. */
	if (!h->ever_ready && h->worker.own_child && WIFEXITED(status) &&
	    !quit && h->ending == EKD_GO_ON) {
		h->ending = EKD_END_FAILED;
		h->exit_code = WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
	}
	ekd_worker_none(h);
	ekd_shared_next(h->shared);
	ekd_holder_step(h, "holder:worker-died");
	if (h->ending != EKD_GO_ON && h->ending != EKD_END_KEEP)
		return;
	if (!h->kept.resend)
		/* What the dead one had taken would hang for ever. */
		replace_door(h, "this kernel cannot deliver again");
	else if (door_broken(h, &pending))
		replace_door(h, "the connection broke");
	h->start_at = now + (quit ? 0 : back_off(h, now));
	if (h->start_at == 0)
		h->start_at = 1;
}

void ekd_worker_watch(struct ekd_state *h)
{
	uint32_t hang_ms = h->options->hang_ms ? h->options->hang_ms : HANG_MS;
	const struct ekd_door_gauge *gauge = ekd_shared_gauge(h->shared);
	uint64_t beats = ekd_shared_beats(h->shared);
	uint64_t taken = __atomic_load_n(&gauge->taken, __ATOMIC_RELAXED);
	uint64_t answered = __atomic_load_n(&gauge->answered, __ATOMIC_RELAXED);
	bool waiting = __atomic_load_n(&gauge->waiting, __ATOMIC_RELAXED) > 0;
	uint32_t look_ms = hang_ms >= SAMPLES ? hang_ms / SAMPLES : 1;
	int64_t now = ekd_now_ms();
	bool pending, broken;

	if (h->worker.pid == 0 || now < h->watch.next)
		return;
	h->watch.next = now + look_ms;
	broken = door_broken(h, &pending);
	h->watch.silent = beats == h->watch.beats ? h->watch.silent + 1 : 0;
	h->watch.stuck =
		pending && taken == h->watch.taken ? h->watch.stuck + 1 : 0;
	h->watch.mute = waiting && answered == h->watch.answered
				? h->watch.mute + 1
				: 0;
	h->watch.beats = beats;
	h->watch.taken = taken;
	h->watch.answered = answered;
	if (!broken && h->watch.stuck < SAMPLES &&
	    (h->watch.silent < SAMPLES || (!pending && !waiting)) &&
	    h->watch.silent < IDLE_LOOKS &&
	    h->watch.mute < mute_looks(h, look_ms) &&
	    (!h->worker.asked_to_quit || now < h->worker.quit_at))
		return;
	if (!h->worker.ready && !broken && !h->worker.asked_to_quit &&
	    now - h->worker.started < 30000)
		return; /* it may check what it has before it serves */
	ekd_log(h, 0, "event=kill worker=%d reason=%s", (int)h->worker.pid,
		broken ? "door-lost" : "hangs");
	ekd_holder_step(h, "holder:kill");
	ekd_worker_kill(h);
	reset_watch(h);
}
