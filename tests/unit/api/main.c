/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest http_tests[];
extern const struct CMUnitTest server_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {http_tests, server_tests,
						   NULL};

	return unit_run("api", groups);
}
