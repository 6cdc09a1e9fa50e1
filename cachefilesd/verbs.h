/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_VERBS_H
#define EKD_VERBS_H

/* The verbs; each tells its errors and returns an exit status. */

#include "cachefilesd/opts.h"

/* Of the service itself: run.c */
int ekd_run(const struct ekd_options *o);

/* Of the worker's program: work.c, child.c, check.c */
int ekd_work(void);
int ekd_credentials(int argc, char **argv);
int ekd_config_verb(const struct ekd_options *o);
int ekd_doors(const struct ekd_options *o);

/* Of images: images.c */
int ekd_mount_verb(const struct ekd_options *o);
int ekd_umount(const struct ekd_options *o);
int ekd_prefetch(const struct ekd_options *o);
int ekd_complete(const struct ekd_options *o);
int ekd_trace_verb(const struct ekd_options *o);
int ekd_stop(const struct ekd_options *o);

/* What is told: show.c */
int ekd_status_verb(const struct ekd_options *o);
int ekd_images(const struct ekd_options *o);
int ekd_blobs(const struct ekd_options *o);
int ekd_waits(const struct ekd_options *o);
int ekd_gc(const struct ekd_options *o);
int ekd_verify(const struct ekd_options *o);

#endif
