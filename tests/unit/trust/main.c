/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest digest_tests[];
extern const struct CMUnitTest verity_tests[];
extern const struct CMUnitTest text_tests[];
extern const struct CMUnitTest compare_tests[];
extern const struct CMUnitTest image_tests[];
extern const struct CMUnitTest leaves_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		digest_tests, verity_tests, text_tests, compare_tests,
		image_tests,  leaves_tests, NULL};

	return unit_run("trust", groups);
}
