/* SPDX-License-Identifier: Apache-2.0 */
#include "img.h"

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		open_tests,    names_tests,   flat_tests,
		coded_tests,   extents_tests, xattr_tests,
		metabox_tests, hostile_tests, NULL,
	};

	return unit_run("reader", groups);
}
