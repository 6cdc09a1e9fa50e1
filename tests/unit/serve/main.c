/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest read_tests[];
extern const struct CMUnitTest fail_tests[];
extern const struct CMUnitTest background_tests[];
extern const struct CMUnitTest busy_tests[];
extern const struct CMUnitTest trace_tests[];
extern const struct CMUnitTest race_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		read_tests, fail_tests,	 background_tests,
		busy_tests, trace_tests, race_tests,
		NULL};

	return unit_run("serve", groups);
}
