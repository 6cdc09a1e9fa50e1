/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		rules_tests, limits_tests, space_tests, sort_tests, NULL,
	};

	return unit_run("check", groups);
}
