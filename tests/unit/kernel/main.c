/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest fuse_tests[];
extern const struct CMUnitTest door_tests[];
extern const struct CMUnitTest trial_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {fuse_tests, door_tests,
						   trial_tests, NULL};

	return unit_run("kernel", groups);
}
