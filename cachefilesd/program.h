/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_PROGRAM_H
#define EKD_PROGRAM_H

/*
 * The worker's program, erofs-cachefilesd-worker: an executable of its own, so
 * that the holder, which is root for as long as the host runs, maps none of
 * the libraries for network, TLS and compression.
 */

#include <erofskit/status.h>

/*
 * Open it (O_PATH): the one in the directory of this program, else the
 * installed one. EK_NOTFOUND: there is none; EK_INVALID: it is no program.
 */
ek_status ekd_worker_program(int *fd, struct ek_err *err);

/* Go on as it, with the same arguments; or tell why not: an exit status. */
int ekd_worker_exec(char **argv);

#endif
