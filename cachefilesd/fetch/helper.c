/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/helper.h"
#include "cachefilesd/fetch/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct helper {
	const char *name;
	pid_t pid;
	int out;
	uint64_t until;
	char *text;
	size_t n, most;
};

/* A file in memory: unlike a pipe it cannot break while it is written. */
static ek_status input_of(const char *text, int *fd, struct ek_err *err)
{
	size_t n = strlen(text);
	int sys;

	*fd = memfd_create("input", MFD_CLOEXEC);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "input of a helper");
	if (write(*fd, text, n) == (ssize_t)n && lseek(*fd, 0, SEEK_SET) == 0)
		return EK_OK;
	sys = errno;
	close(*fd);
	return ek_fail_sys(err, sys, "input of a helper");
}

static int spawn(const char *const argv[], int in, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int sys;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	/* A group of its own, so that its children die with it. */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
						POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	sys = posix_spawn_file_actions_adddup2(&files, in, 0);
	if (sys == 0)
		sys = posix_spawn_file_actions_adddup2(&files, out, 1);
	if (sys == 0)
		sys = posix_spawn_file_actions_addopen(&files, 2, "/dev/null",
						       O_WRONLY, 0);
	if (sys == 0)
		sys = posix_spawn_file_actions_addclosefrom_np(&files, 3);
	if (sys == 0)
		sys = posix_spawnp(pid, argv[0], &files, &attr,
				   (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return sys;
}

static ek_status start(const char *const argv[], const char *input,
		       struct helper *h, struct ek_err *err)
{
	int in, out[2], sys;

	EKD_TRY(input_of(input, &in, err));
	if (pipe2(out, O_CLOEXEC) != 0) {
		sys = errno;
		close(in);
		return ek_fail_sys(err, sys, "output of a helper");
	}
	sys = spawn(argv, in, out[1], &h->pid);
	close(in);
	close(out[1]);
	if (sys != 0) {
		close(out[0]);
		/* Its absence is a failure, unlike that of a configuration. */
		ek_fail_sys(err, sys, "%s", h->name);
		if (err)
			err->status = EK_IO;
		return EK_IO;
	}
	h->out = out[0];
	return EK_OK;
}

/* Until @fd has something; false: time is up. */
static bool wait_for(int fd, uint64_t until)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now;
	int n;

	do {
		now = ekd_now();
		n = poll(&p, 1, now < until ? (int)(until - now) : 0);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

static ek_status read_all(struct helper *h, struct ek_err *err)
{
	ssize_t n;

	h->text = calloc(1, h->most + 1);
	if (!h->text)
		return ek_fail(err, EK_NOMEM, "no memory for a helper");
	for (;;) {
		if (!wait_for(h->out, h->until))
			return ekd_fail_io(err, ETIMEDOUT, "%s takes too long",
					   h->name);
		n = read(h->out, h->text + h->n, h->most + 1 - h->n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ek_fail_sys(err, errno, "%s", h->name);
		if (n == 0)
			break;
		h->n += (size_t)n;
		if (h->n > h->most)
			return ek_fail(err, EK_LIMIT,
				       "%s says more than %zu bytes", h->name,
				       h->most);
	}
	h->text[h->n] = '\0';
	return EK_OK;
}

/* Its end, by its own hand or ours. */
static ek_status reap(struct helper *h, bool kill_it, int *code,
		      struct ek_err *err)
{
	ek_status status = EK_OK;
	int fd, how = 0;

	if (!kill_it) {
		fd = pidfd_open(h->pid, 0);
		if (fd >= 0 && !wait_for(fd, h->until)) {
			status = ekd_fail_io(err, ETIMEDOUT,
					     "%s takes too long", h->name);
			kill_it = true;
		}
		if (fd >= 0)
			close(fd);
	}
	if (kill_it)
		kill(-h->pid, SIGKILL);
	while (waitpid(h->pid, &how, 0) < 0 && errno == EINTR)
		;
	if (status == EK_OK && !kill_it && !WIFEXITED(how))
		status = ekd_fail_io(err, EIO, "%s was killed", h->name);
	*code = WIFEXITED(how) ? WEXITSTATUS(how) : -1;
	return status;
}

ek_status ekd_helper_run(const char *const argv[], const char *input,
			 size_t most, uint32_t timeout_ms, char **output,
			 int *code, struct ek_err *err)
{
	struct helper h = {.name = argv[0], .most = most, .out = -1};
	ek_status status, reaped;
	struct ek_err why;

	*output = NULL;
	h.until = ekd_now() + timeout_ms;
	EKD_TRY(start(argv, input, &h, err));
	status = read_all(&h, err);
	close(h.out);
	reaped = reap(&h, status != EK_OK, code, &why);
	if (status == EK_OK && reaped != EK_OK) {
		status = reaped;
		if (err)
			*err = why;
	}
	if (status == EK_OK) {
		*output = h.text;
	} else {
		if (h.text)
			explicit_bzero(h.text, h.n);
		free(h.text);
	}
	return status;
}
