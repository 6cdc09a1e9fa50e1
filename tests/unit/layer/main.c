/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest chunks_tests[], index_tests[], random_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {chunks_tests, index_tests,
						   random_tests, NULL};

	return unit_run("layer", groups);
}
