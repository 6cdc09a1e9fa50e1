/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest status_tests[];
extern const struct CMUnitTest bytes_tests[];
extern const struct CMUnitTest buf_tests[];
extern const struct CMUnitTest vec_tests[];
extern const struct CMUnitTest arena_tests[];
extern const struct CMUnitTest idmap_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		status_tests, bytes_tests, buf_tests, vec_tests,
		arena_tests,  idmap_tests, NULL};

	return unit_run("base", groups);
}
