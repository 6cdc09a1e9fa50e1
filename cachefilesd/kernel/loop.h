/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_LOOP_H
#define EKD_LOOP_H

/* Loop devices, for kernels whose EROFS mounts block devices alone. */

#include <erofskit/status.h>

/*
 * Attach @fd read-only to a free device; @name: "/dev/loopN". It goes when
 * *loop (the caller's to close) and every mount of it are closed.
 */
ek_status ekd_loop_attach(int fd, char name[32], int *loop, struct ek_err *err);

#endif
