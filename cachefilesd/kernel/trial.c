/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The processes of a trial:
 *
 *   caller -> keeper   has a mount namespace; the deadline is its
 *             server   first process of a PID namespace: with it goes all
 *             reader   mounts and reads; may wait where no signal reaches it
 *
 * Each dies with the one above. The server's death ends the door, and so
 * whatever the reader waits for; the namespaces end with the last of them, and
 * the mounts with the namespaces.
 */

#include "cachefilesd/kernel/trial.h"
#include "base/try.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The caller waits so much longer than the keeper. */
#define KEEPER_MS 2000

/* Where files are made, in memory and for these processes alone. */
static const char *const stages[] = {"/mnt", "/sys", "/tmp"};

static void note(struct ekd_trial *trial, ek_status status,
		 const struct ek_err *err)
{
	snprintf(trial->text, sizeof(trial->text), "%.*s",
		 (int)sizeof(trial->text) - 1, err->text);
	trial->status = status;
}

static ek_status enter_stage(struct ek_err *err)
{
	int sys = ENOENT;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return ek_fail_sys(err, errno, "a mount namespace");
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		if (mount("tmpfs", stages[i], "tmpfs", MS_NOSUID | MS_NODEV,
			  "size=1M,mode=0700") == 0 &&
		    chdir(stages[i]) == 0)
			return EK_OK;
		sys = errno;
	}
	return ek_fail_sys(err, sys, "mounting a tmpfs");
}

static void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static _Noreturn void be_reader(const struct ekd_trial_sides *sides,
				struct ekd_trial_stage *stage,
				struct ekd_trial *trial)
{
	struct ek_err err = {.text = ""};

	die_with_parent();
	close(stage->fd);
	note(trial, sides->read(stage, &err), &err);
	_exit(0);
}

/* The reader ended, or it is far too late: wherever the server is. */
static void over(int sig)
{
	(void)sig;
	_exit(0);
}

static ek_status play(const struct ekd_trial_sides *sides,
		      struct ekd_trial *trial, struct ek_err *err)
{
	struct ekd_trial_stage stage = {.fd = -1};
	pid_t pid;

	EK_TRY(enter_stage(err));
	EK_TRY(ekd_trial_image(&stage.primary, &stage.device, err));
	EK_TRY(sides->prepare(&stage, err));
	trial->resend = stage.kept.resend;
	signal(SIGCHLD, over);
	pid = fork();
	if (pid == 0)
		be_reader(sides, &stage, trial);
	if (pid < 0)
		return ek_fail_sys(err, errno, "a process");
	return sides->serve(&stage, err);
}

static _Noreturn void be_server(const struct ekd_trial_sides *sides, int ms,
				struct ekd_trial *trial)
{
	struct ek_err err = {.text = ""};
	ek_status status;

	die_with_parent();
	/* Should all above be dead already. */
	signal(SIGALRM, over);
	alarm((unsigned)(ms + KEEPER_MS) / 1000 + 1);
	status = play(sides, trial, &err);
	note(trial, status, &err);
	_exit(0);
}

/* Whether @pid ended by itself within @ms; it has ended in any case. */
static bool ended(pid_t pid, int ms)
{
	struct pollfd poll_fd = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	int n = 0;

	if (poll_fd.fd >= 0) {
		do
			n = poll(&poll_fd, 1, ms);
		while (n < 0 && errno == EINTR);
		close(poll_fd.fd);
	}
	if (n <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return n > 0;
}

static _Noreturn void be_keeper(const struct ekd_trial_sides *sides, int ms,
				struct ekd_trial *trial)
{
	struct ek_err err;
	pid_t pid;

	die_with_parent();
	signal(SIGCHLD, SIG_DFL);
	if (unshare(CLONE_NEWNS | CLONE_NEWPID) != 0) {
		note(trial, ek_fail_sys(&err, errno, "namespaces to try it in"),
		     &err);
		_exit(0);
	}
	pid = fork();
	if (pid == 0)
		be_server(sides, ms, trial);
	if (pid < 0)
		note(trial, ek_fail_sys(&err, errno, "a process"), &err);
	else if (!ended(pid, ms))
		note(trial,
		     ek_fail(&err, EK_IO, "the trial did not end in %d ms", ms),
		     &err);
	_exit(0);
}

void ekd_trial_run(enum ekd_trial_door door, int ms, struct ekd_trial *trial)
{
	struct ekd_trial *shared;
	pid_t pid;

	memset(trial, 0, sizeof(*trial));
	trial->status = EK_IO;
	snprintf(trial->text, sizeof(trial->text), "the trial was ended");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return;
	*shared = *trial;
	pid = fork();
	if (pid == 0)
		be_keeper(&ekd_trial_doors[door], ms, shared);
	if (pid > 0)
		ended(pid, ms + KEEPER_MS);
	/* A process that could not be killed may write there still. */
	*trial = *shared;
	trial->text[sizeof(trial->text) - 1] = 0;
	munmap(shared, sizeof(*shared));
}
