/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest answers_tests[];
extern const struct CMUnitTest challenge_tests[];
extern const struct CMUnitTest client_tests[];
extern const struct CMUnitTest fields_tests[];
extern const struct CMUnitTest helper_tests[];
extern const struct CMUnitTest limits_tests[];
extern const struct CMUnitTest names_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		names_tests,  fields_tests, challenge_tests, answers_tests,
		client_tests, helper_tests, limits_tests,    NULL,
	};

	return unit_run("fetch", groups);
}
