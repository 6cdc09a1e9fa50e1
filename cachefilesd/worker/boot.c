/* SPDX-License-Identifier: Apache-2.0 */

/* A worker takes over what the holder gave it, and proves that it is small. */

#include "base/try.h"
#include "cachefilesd/worker/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BEAT_MS 100

const char *const ekd_boot_steps[] = {
	"boot:adopted", "boot:confined", "boot:hand-over", "boot:handed", NULL,
};

static void step(const struct ekd_boot *boot, const char *name)
{
	if (boot->step)
		boot->step(boot->arg, name);
}

static bool is_socket(int fd, int type, bool listens)
{
	int got = 0, accepts = 0;
	socklen_t n = sizeof(got);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &got, &n) != 0 || got != type)
		return false;
	n = sizeof(accepts);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &n) == 0 &&
	       (accepts != 0) == listens;
}

static bool fds_ok(void)
{
	struct stat st;

	return is_socket(EKD_FD_CHANNEL, SOCK_SEQPACKET, false) &&
	       fstat(EKD_FD_DOOR, &st) == 0 && fstat(EKD_FD_CONFIG, &st) == 0 &&
	       S_ISREG(st.st_mode) &&
	       is_socket(EKD_FD_API, SOCK_STREAM, true) &&
	       is_socket(EKD_FD_LISTENER, SOCK_SEQPACKET, true);
}

ek_status ekd_boot_adopt(struct ekd_boot *boot, struct ek_err *err)
{
	if (!fds_ok())
		return ek_fail(err, EK_INVALID,
			       "a worker is started by the service alone: use "
			       "erofs-cachefilesd run");
	for (int fd = EKD_FD_CHANNEL; fd < EKD_FD_END; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
			return ek_fail_sys(err, errno, "descriptor %d", fd);
	EK_TRY(ekd_shared_map(EKD_FD_SHARED, &boot->shared, err));
	boot->fds.channel = EKD_FD_CHANNEL;
	boot->fds.door = EKD_FD_DOOR;
	boot->fds.shared = EKD_FD_SHARED;
	boot->fds.api = EKD_FD_API;
	boot->fds.listener = EKD_FD_LISTENER;
	boot->config = EKD_FD_CONFIG;
	boot->generation = ekd_shared_generation(boot->shared);
	step(boot, "boot:adopted");
	return EK_OK;
}

ek_status ekd_boot_check(struct ek_err *err)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return ek_fail(err, EK_INVALID,
			       "the worker may gain rights: no_new_privs is "
			       "not set");
	if (getuid() == 0 || geteuid() == 0)
		return ek_fail(err, EK_INVALID,
			       "the worker must not be root: set its user in "
			       "the configuration");
	if (syscall(SYS_capget, &head, caps) != 0)
		return ek_fail_sys(err, errno, "capabilities");
	for (int i = 0; i < 2; i++)
		if (caps[i].effective | caps[i].permitted | caps[i].inheritable)
			return ek_fail(err, EK_INVALID,
				       "the worker has capabilities");
	return EK_OK;
}

static _Noreturn void *beat(void *shared)
{
	const struct timespec pause = {.tv_nsec = BEAT_MS * 1000000L};

	for (;;) {
		ekd_shared_beat(shared);
		nanosleep(&pause, NULL);
	}
}

ek_status ekd_boot_heartbeat(const struct ekd_boot *boot, struct ek_err *err)
{
	pthread_t thread;
	int sys = pthread_create(&thread, NULL, beat, boot->shared);

	if (sys != 0)
		return ek_fail_sys(err, sys, "the heartbeat's thread");
	pthread_detach(thread);
	return EK_OK;
}
