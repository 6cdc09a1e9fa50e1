/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

extern const struct CMUnitTest crc_tests[];
extern const struct CMUnitTest sb_tests[];
extern const struct CMUnitTest inode_tests[];
extern const struct CMUnitTest dirent_tests[];
extern const struct CMUnitTest xattr_tests[];
extern const struct CMUnitTest chunk_tests[];
extern const struct CMUnitTest zhead_tests[];
extern const struct CMUnitTest zindex_tests[];
extern const struct CMUnitTest ztail_tests[];
extern const struct CMUnitTest zextent_tests[];
extern const struct CMUnitTest zrandom_tests[];
extern const struct CMUnitTest zhostile_tests[];

int main(void)
{
	const struct CMUnitTest *const groups[] = {
		crc_tests,   sb_tests,	    inode_tests,   dirent_tests,
		xattr_tests, chunk_tests,   zhead_tests,   zindex_tests,
		ztail_tests, zextent_tests, zrandom_tests, zhostile_tests,
		NULL};

	return unit_run("format", groups);
}
