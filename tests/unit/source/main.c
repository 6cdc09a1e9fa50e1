/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest filter_tests[];
extern const struct CMUnitTest links_tests[];
extern const struct CMUnitTest merge_tests[];
extern const struct CMUnitTest read_tests[];
extern const struct CMUnitTest tar_tests[];
extern const struct CMUnitTest walk_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		filter_tests, links_tests, merge_tests, read_tests,
		tar_tests,    walk_tests,  NULL,
	};

	return unit_run("source", groups);
}
