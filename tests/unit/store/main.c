/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest layout_tests[];
extern const struct CMUnitTest store_tests[];
extern const struct CMUnitTest recover_tests[];
extern const struct CMUnitTest evict_tests[];
extern const struct CMUnitTest lend_tests[];
extern const struct CMUnitTest power_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		layout_tests, store_tests, recover_tests, evict_tests,
		lend_tests,   power_tests, NULL};

	return unit_run("store", groups);
}
