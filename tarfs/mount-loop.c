/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Others may take a free device between the two calls. */
#define ATTEMPTS 64

struct loop {
	int fd; /* keeps the device until it is mounted */
	char name[32];
};

static bool is_of(int fd, int file)
{
	struct loop_info64 info;
	struct stat st;

	return ioctl(fd, LOOP_GET_STATUS64, &info) == 0 &&
	       fstat(file, &st) == 0 && info.lo_device == st.st_dev &&
	       info.lo_inode == st.st_ino;
}

static ek_status configure(int control, int file, const char *path,
			   struct loop *loop, struct ek_err *err)
{
	struct loop_config config = {
		.fd = (uint32_t)file,
		.block_size = 512,
		.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
	};

	for (int i = 0; i < ATTEMPTS; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			break;
		snprintf(loop->name, sizeof(loop->name), "/dev/loop%d", number);
		loop->fd = open(loop->name, O_RDONLY | O_CLOEXEC);
		if (loop->fd < 0)
			break;
		if (ioctl(loop->fd, LOOP_CONFIGURE, &config) == 0 &&
		    is_of(loop->fd, file))
			return EK_OK;
		close(loop->fd);
		loop->fd = -1;
		if (errno != EBUSY)
			break;
	}
	return ek_fail_sys(err, errno, "%s: no loop device", path);
}

static ek_status bind_file(const char *path, struct loop *loop,
			   struct ek_err *err)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int file;
	ek_status s;

	if (control < 0)
		return ek_fail_sys(err, errno, "/dev/loop-control");
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		s = ek_fail_sys(err, errno, "%s", path);
	else
		s = configure(control, file, path, loop, err);
	if (file >= 0)
		close(file);
	close(control);
	return s;
}

ek_status mount_by_loop(const struct record *r, const char *dir,
			struct ek_err *err)
{
	struct loop loops[EK_LAYERS_MAX + 1];
	const char *devices[EK_LAYERS_MAX];
	size_t n = 0;
	ek_status s = bind_file(r->merged, &loops[n], err);

	n += s == EK_OK;
	for (size_t i = 0; s == EK_OK && i < r->n; i++) {
		devices[i] = NULL;
		/* Layers of one archive share its device. */
		for (size_t k = 0; k < i; k++)
			if (strcmp(r->devices[k].path, r->devices[i].path) == 0)
				devices[i] = devices[k];
		if (devices[i])
			continue;
		s = bind_file(r->devices[i].path, &loops[n], err);
		devices[i] = loops[n].name;
		n += s == EK_OK;
	}
	if (s == EK_OK)
		s = mount_erofs(loops[0].name, devices, r->n, dir, err);
	for (size_t i = 0; i < n; i++)
		close(loops[i].fd);
	return s;
}
