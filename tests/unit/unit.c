/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

static size_t count(const struct CMUnitTest *const groups[])
{
	size_t n = 0;

	for (size_t g = 0; groups[g]; g++)
		for (size_t i = 0; groups[g][i].name; i++)
			n++;
	return n;
}

int unit_run(const char *module, const struct CMUnitTest *const groups[])
{
	size_t n = count(groups), k = 0;
	struct CMUnitTest *all = calloc(n + 1, sizeof(*all));
	int failed;

	if (!all || n == 0)
		return 99;
	for (size_t g = 0; groups[g]; g++)
		for (size_t i = 0; groups[g][i].name; i++)
			all[k++] = groups[g][i];
	failed = _cmocka_run_group_tests(module, all, n, NULL, NULL);
	free(all);
	return failed != 0;
}
