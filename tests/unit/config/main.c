/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest config_tests[];
extern const struct CMUnitTest json_tests[];
extern const struct CMUnitTest log_tests[];
extern const struct CMUnitTest record_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		config_tests, json_tests, log_tests, record_tests, NULL,
	};

	return unit_run("config", groups);
}
