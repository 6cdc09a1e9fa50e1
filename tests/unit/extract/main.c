/* SPDX-License-Identifier: Apache-2.0 */
#include "extract-unit.h"

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		pax_tests,
		place_tests,
		NULL,
	};

	return unit_run("extract", groups);
}
