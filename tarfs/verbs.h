/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TARFS_VERBS_H
#define TARFS_VERBS_H

/* The verbs; each tells its errors and returns an exit status. */

#include "tarfs/opts.h"

int tarfs_convert(const struct tarfs_options *o);
int tarfs_inspect(const struct tarfs_options *o);
int tarfs_mount(const struct tarfs_options *o);
int tarfs_umount(const struct tarfs_options *o);
int tarfs_merge(const struct tarfs_options *o);
int tarfs_verify(const struct tarfs_options *o);

/* All of a command line that came under the name nydus-image. */
int tarfs_nydus(int argc, char **argv, const volatile int *cancel);

/*
 * Merge @n images, bottom first, into the index or image @output, as o->build
 * says; stats may be NULL.
 */
ek_status tarfs_merge_images(char *const *images, size_t n, const char *output,
			     const struct tarfs_options *o,
			     struct ek_build_stats *stats, struct ek_err *err);

#endif
