/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/kernel/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Others may take the free device first. */
#define TRIES 16

ek_status ekd_loop_attach(int fd, char name[32], int *loop, struct ek_err *err)
{
	struct loop_config config = {
		.fd = (uint32_t)fd,
		.info = {.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR},
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int sys = control < 0 ? errno : EBUSY;

	for (int i = 0; control >= 0 && i < TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		int device;

		if (number < 0) {
			sys = errno;
			break;
		}
		snprintf(name, 32, "/dev/loop%d", number);
		device = open(name, O_RDONLY | O_CLOEXEC);
		if (device >= 0 &&
		    ioctl(device, LOOP_CONFIGURE, &config) == 0) {
			close(control);
			*loop = device;
			return EK_OK;
		}
		sys = errno;
		if (device >= 0)
			close(device);
		if (sys != EBUSY)
			break;
	}
	if (control >= 0)
		close(control);
	return ek_fail_sys(err, sys, "a loop device");
}
