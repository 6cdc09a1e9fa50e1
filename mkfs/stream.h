/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MKFS_STREAM_H
#define MKFS_STREAM_H

#include <erofskit/tar.h>

/*
 * An input over @fd (borrowed) that ends with EK_CANCELLED once *@cancel is
 * set: a signal interrupts waiting for a pipe.
 */
ek_status stream_input(int fd, const char *name, const volatile int *cancel,
		       struct ek_tar_input **in, struct ek_err *err);

/* All of @in to @fd, from its start. */
ek_status stream_copy(struct ek_tar_input *in, int fd, const char *name,
		      struct ek_err *err);

#endif
