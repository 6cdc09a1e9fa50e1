/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest index_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {index_tests, NULL};

	return unit_run("layer", groups);
}
