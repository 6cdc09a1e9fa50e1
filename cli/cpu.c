/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cpu.h"

#include <sys/resource.h>

double cli_cpu_seconds(int who)
{
	struct rusage use;

	if (getrusage(who, &use) != 0)
		return 0;
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}
