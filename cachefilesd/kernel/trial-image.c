/* SPDX-License-Identifier: Apache-2.0 */

/* The tiny image of a trial: made by this package's own builder, mounted. */

#include "base/try.h"
#include "cachefilesd/kernel/trial.h"

#include <erofskit/build.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 4096u

void ekd_trial_known(uint8_t bytes[EKD_TRIAL_BYTES])
{
	uint32_t x = 0x9e3779b9;

	/* No two chunks are alike, and none has zeros alone. */
	for (size_t i = 0; i < EKD_TRIAL_BYTES; i++) {
		x = x * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(x >> 24);
	}
}

static ek_status put_file(const char *path, int *fd, struct ek_err *err)
{
	*fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "a file for the trial");
	return EK_OK;
}

static ek_status put_tree(struct ek_err *err)
{
	uint8_t bytes[EKD_TRIAL_BYTES];
	ssize_t done;
	int fd;

	if (mkdir("tree", 0700) != 0)
		return ek_fail_sys(err, errno, "a directory for the trial");
	EK_TRY(put_file("tree/" EKD_TRIAL_NAME, &fd, err));
	ekd_trial_known(bytes);
	done = write(fd, bytes, sizeof(bytes));
	close(fd);
	if (done != (ssize_t)sizeof(bytes))
		return ek_fail(err, EK_IO, "the trial's file was not written");
	return EK_OK;
}

ek_status ekd_trial_image(int *primary, int *device, struct ek_err *err)
{
	struct ek_build_options options = {
		.size = sizeof(options),
		.chunk_size = CHUNK,
		.blob = true,
		.blob_name = "device",
		.uuid_mode = EK_UUID_CLEAR,
		.time_mode = EK_TIME_ALL,
		.workers = 1,
	};

	EK_TRY(put_tree(err));
	EK_TRY(put_file("primary", primary, err));
	EK_TRY(put_file("device", device, err));
	options.blob_fd = *device;
	return ek_build_directory("tree", NULL, &options, *primary, "primary",
				  NULL, err);
}

/* What was mounted holds the one file, as it was made. */
static ek_status compare(int root, struct ek_err *err)
{
	uint8_t want[EKD_TRIAL_BYTES], got[EKD_TRIAL_BYTES + 1];
	int fd = openat(root, EKD_TRIAL_NAME, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t more;
	int sys;

	if (fd < 0)
		return ek_fail_sys(err, errno, "the mounted image: opening");
	while ((more = read(fd, got + n, sizeof(got) - n)) > 0)
		n += (size_t)more;
	sys = errno;
	close(fd);
	if (more < 0)
		return ek_fail_sys(err, sys, "the mounted image: reading");
	ekd_trial_known(want);
	if (n != sizeof(want) || memcmp(got, want, n) != 0)
		return ek_fail(err, EK_DIFFERS,
			       "the mounted image: wrong bytes were read");
	return EK_OK;
}

/* Mounts only where its descriptor is: nowhere. */
static ek_status mount_at(int fs, const char *primary, const char *device,
			  int *root, struct ek_err *err)
{
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", primary, 0) != 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "device", device, 0) != 0 ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) != 0)
		return ek_fail_sys(err, errno, "EROFS: a parameter");
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
		if (errno == ENOTBLK)
			return ek_fail(err, EK_UNSUPPORTED,
				       "EROFS mounts block devices alone "
				       "before Linux 6.12");
		return ek_fail_sys(err, errno, "mounting EROFS");
	}
	*root = fsmount(fs, FSMOUNT_CLOEXEC,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
				MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (*root < 0)
		return ek_fail_sys(err, errno, "mounting EROFS");
	return EK_OK;
}

ek_status ekd_trial_read(const char *primary, const char *device,
			 struct ek_err *err)
{
	int root = -1, fs = fsopen("erofs", FSOPEN_CLOEXEC);
	ek_status status;

	if (fs < 0)
		return ek_fail_sys(err, errno, "EROFS");
	status = mount_at(fs, primary, device, &root, err);
	close(fs);
	EK_TRY(status);
	status = compare(root, err);
	close(root);
	return status;
}
