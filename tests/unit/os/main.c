/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest fd_tests[];
extern const struct CMUnitTest pool_tests[];
extern const struct CMUnitTest cpus_tests[];
extern const struct CMUnitTest beneath_tests[];
extern const struct CMUnitTest outfile_tests[];
extern const struct CMUnitTest xattrat_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		fd_tests,      pool_tests,    cpus_tests, beneath_tests,
		outfile_tests, xattrat_tests, NULL};

	return unit_run("os", groups);
}
