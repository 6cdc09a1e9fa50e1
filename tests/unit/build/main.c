/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest zone_tests[];
extern const struct CMUnitTest options_tests[];
extern const struct CMUnitTest pcluster_tests[];
extern const struct CMUnitTest tree_tests[];
extern const struct CMUnitTest large_tests[];
extern const struct CMUnitTest codecs_tests[];
extern const struct CMUnitTest identity_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		zone_tests,  options_tests,  pcluster_tests, tree_tests,
		large_tests, identity_tests, codecs_tests,   NULL,
	};

	return unit_run("build", groups);
}
