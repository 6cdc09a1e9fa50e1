/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest edit_tests[];
extern const struct CMUnitTest tree_tests[];
extern const struct CMUnitTest xattr_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		edit_tests,
		tree_tests,
		xattr_tests,
		NULL,
	};

	return unit_run("tree", groups);
}
