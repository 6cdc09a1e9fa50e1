/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest source_tests[];
extern const struct CMUnitTest sink_tests[];
extern const struct CMUnitTest fault_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {source_tests, sink_tests,
						   fault_tests, NULL};

	return unit_run("io", groups);
}
