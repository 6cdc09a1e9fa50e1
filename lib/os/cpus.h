/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_OS_CPUS_H
#define EK_OS_CPUS_H

/* What ek_cpus() (os/pool.h) is made of; apart so that tests can reach it. */

/* No limit was found. */
#define EK_CPUS_UNLIMITED (~0u)

/*
 * CPUs that the cgroup quota allows, rounded up, at least 1; @proc is a file
 * like /proc/self/cgroup and @mount the place of /sys/fs/cgroup. Versions 1
 * and 2; the strictest of a group and its parents counts. Any thread.
 */
unsigned ek_cpus_quota(const char *proc, const char *mount);

#endif
