/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest table_tests[];
extern const struct CMUnitTest lz4_tests[];
extern const struct CMUnitTest lz4cut_tests[];
extern const struct CMUnitTest deflcut_tests[];
extern const struct CMUnitTest encoders_tests[];
extern const struct CMUnitTest decoders_tests[];
extern const struct CMUnitTest hostile_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		table_tests,	lz4_tests,	lz4cut_tests,  deflcut_tests,
		encoders_tests, decoders_tests, hostile_tests, NULL};

	return unit_run("codec", groups);
}
