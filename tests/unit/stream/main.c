/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest stream_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {stream_tests, NULL};

	return unit_run("stream", groups);
}
