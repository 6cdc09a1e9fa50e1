/* SPDX-License-Identifier: Apache-2.0 */

/* How each door serves the pair of a trial, and how it is mounted behind it. */

#include "base/try.h"
#include "cachefilesd/kernel/loop.h"
#include "cachefilesd/kernel/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FAN_PRE_ACCESS /* newer than Debian 12's headers */
#define FAN_PRE_ACCESS 0x00100000
#endif

static ek_status size_of(int fd, uint64_t *size, struct ek_err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return ek_fail_sys(err, errno, "the trial's image");
	*size = (uint64_t)st.st_size;
	return EK_OK;
}

/* A read of the FUSE door: the cookie is the file's descriptor. */
static void answer(void *arg, struct ekd_door_request *request)
{
	const int *fd = ekd_door_cookie(request);
	size_t n = ekd_door_size(request);

	(void)arg;
	ekd_door_answer(request,
			pread(*fd, ekd_door_buffer(request), n,
			      (off_t)ekd_door_offset(request)) == (ssize_t)n
				? 0
				: EIO);
}

static ek_status prepare_fuse(struct ekd_trial_stage *stage, struct ek_err *err)
{
	const struct ekd_door_hooks hooks = {.read = answer};
	uint64_t primary = 0, device = 0;
	char options[128];

	stage->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (stage->fd < 0)
		return ek_fail_sys(err, errno, "/dev/fuse");
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,max_read=%u",
		 stage->fd, EKD_DOOR_READ);
	if (mkdir("door", 0700) != 0 ||
	    mount("erofs-cachefilesd", "door", "fuse.erofs-cachefilesd",
		  MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, options) != 0)
		return ek_fail_sys(err, errno, "mounting FUSE");
	EK_TRY(ekd_fuse_handshake(stage->fd, false, &stage->kept, err));
	EK_TRY(ekd_door_open(&ekd_door_fuse, stage->fd, &stage->kept, NULL,
			     &hooks, 2, &stage->door, err));
	EK_TRY(size_of(stage->primary, &primary, err));
	EK_TRY(size_of(stage->device, &device, err));
	EK_TRY(ekd_door_add(stage->door, "primary", primary, &stage->primary,
			    err));
	return ekd_door_add(stage->door, "device", device, &stage->device, err);
}

static ek_status serve_fuse(struct ekd_trial_stage *stage, struct ek_err *err)
{
	EK_TRY(ekd_door_start(stage->door, err));
	for (;;)
		pause();
}

/* The kernel must know the sizes before EROFS asks for bytes. */
static ek_status open_served(const char *path, int *fd, struct ek_err *err)
{
	uint64_t size;

	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "opening a file of the door");
	return size_of(*fd, &size, err);
}

static ek_status read_fuse(struct ekd_trial_stage *stage, struct ek_err *err)
{
	int primary, device;

	(void)stage;
	EK_TRY(open_served("door/primary", &primary, err));
	EK_TRY(open_served("door/device", &device, err));
	return ekd_trial_read("door/primary", "door/device", err);
}

static ek_status read_loop(struct ekd_trial_stage *stage, struct ek_err *err)
{
	char primary[32], device[32];
	int files[2], loops[2];

	(void)stage;
	EK_TRY(open_served("door/primary", &files[0], err));
	EK_TRY(open_served("door/device", &files[1], err));
	EK_TRY(ekd_loop_attach(files[0], primary, &loops[0], err));
	EK_TRY(ekd_loop_attach(files[1], device, &loops[1], err));
	return ekd_trial_read(primary, device, err);
}

/* All bytes of @from. */
static bool copy(int from, int to)
{
	uint8_t bytes[4096];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, bytes, sizeof(bytes), at)) > 0) {
		if (pwrite(to, bytes, (size_t)n, at) != n)
			return false;
		at += n;
	}
	return n == 0;
}

/* Files without names: nothing is left of them. */
static bool make_files(const char *dir, int fds[2])
{
	fds[0] = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	fds[1] = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fds[0] >= 0 && fds[1] >= 0;
}

/*
 * The pair on a file system whose reads may be waited for, the daemon's own
 * when there is one; the device is a hole.
 */
static ek_status mark_hole(struct ekd_trial_stage *stage, uint64_t size,
			   struct ek_err *err)
{
	static const char *const dirs[] = {"/var/lib/erofskit", "/var/lib",
					   "/var/tmp", "/tmp"};
	int fds[2], sys = ENOENT;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (make_files(dirs[i], fds) && copy(stage->primary, fds[0]) &&
		    ftruncate(fds[1], (off_t)size) == 0 &&
		    fanotify_mark(stage->fd, FAN_MARK_ADD, FAN_PRE_ACCESS,
				  fds[1], NULL) == 0) {
			stage->primary = fds[0];
			stage->device = fds[1];
			return EK_OK;
		}
		sys = errno;
	}
	if (sys == EINVAL)
		return ek_fail(err, EK_UNSUPPORTED,
			       "no pre-content events before Linux 6.14");
	if (sys == EOPNOTSUPP)
		return ek_fail(err, EK_UNSUPPORTED,
			       "pre-content events: not on the file systems "
			       "of /var/lib, /var/tmp and /tmp");
	return ek_fail_sys(err, sys, "files for pre-content events");
}

static ek_status prepare_fanotify(struct ekd_trial_stage *stage,
				  struct ek_err *err)
{
	uint64_t size;

	stage->fd = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC |
					  FAN_UNLIMITED_QUEUE,
				  O_RDWR | O_LARGEFILE | O_CLOEXEC);
	if (stage->fd < 0)
		return ek_fail_sys(err, errno, "fanotify");
	stage->full = stage->device;
	EK_TRY(size_of(stage->full, &size, err));
	return mark_hole(stage, size, err);
}

static ek_status serve_fanotify(struct ekd_trial_stage *stage,
				struct ek_err *err)
{
	_Alignas(8) uint8_t events[4096];
	ssize_t n;

	while ((n = read(stage->fd, events, sizeof(events))) > 0) {
		const uint8_t *at = events;
		size_t left = (size_t)n;
		struct fanotify_event_metadata event;

		while (left >= sizeof(event)) {
			struct fanotify_response response;

			memcpy(&event, at, sizeof(event));
			if (event.event_len < sizeof(event) ||
			    event.event_len > left)
				break;
			at += event.event_len;
			left -= event.event_len;
			response.fd = event.fd;
			response.response = copy(stage->full, event.fd)
						    ? FAN_ALLOW
						    : FAN_DENY;
			if (write(stage->fd, &response, sizeof(response)) < 0)
				return ek_fail_sys(err, errno, "fanotify");
			close(event.fd);
		}
	}
	return ek_fail_sys(err, n < 0 ? errno : EIO, "fanotify: events");
}

static ek_status read_fanotify(struct ekd_trial_stage *stage,
			       struct ek_err *err)
{
	char primary[40], device[40];

	snprintf(primary, sizeof(primary), "/proc/self/fd/%d", stage->primary);
	snprintf(device, sizeof(device), "/proc/self/fd/%d", stage->device);
	return ekd_trial_read(primary, device, err);
}

const struct ekd_trial_sides ekd_trial_doors[3] = {
	[EKD_TRIAL_FUSE] = {prepare_fuse, serve_fuse, read_fuse},
	[EKD_TRIAL_LOOP] = {prepare_fuse, serve_fuse, read_loop},
	[EKD_TRIAL_FANOTIFY] = {prepare_fanotify, serve_fanotify,
				read_fanotify},
};
