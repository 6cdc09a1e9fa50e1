/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest codec_tests[];
extern const struct CMUnitTest shared_tests[];
extern const struct CMUnitTest client_tests[];
extern const struct CMUnitTest path_tests[];
extern const struct CMUnitTest job_tests[];
extern const struct CMUnitTest group_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		codec_tests, shared_tests, client_tests, path_tests,
		job_tests,   group_tests,  NULL};

	return unit_run("holder", groups);
}
