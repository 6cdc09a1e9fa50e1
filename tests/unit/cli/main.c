/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest help_tests[];
extern const struct CMUnitTest image_tests[];
extern const struct CMUnitTest json_tests[];
extern const struct CMUnitTest parse_tests[];
extern const struct CMUnitTest values_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		help_tests,  image_tests,  json_tests,
		parse_tests, values_tests, NULL,
	};

	return unit_run("cli", groups);
}
