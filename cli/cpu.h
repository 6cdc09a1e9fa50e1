/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CPU_H
#define CLI_CPU_H

/* CPU seconds until now of RUSAGE_THREAD or RUSAGE_SELF; 0: not known. */
double cli_cpu_seconds(int who);

#endif
