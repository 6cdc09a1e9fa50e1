/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest header_tests[], pax_tests[], reader_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {header_tests, pax_tests,
						   reader_tests, NULL};

	return unit_run("tar", groups);
}
