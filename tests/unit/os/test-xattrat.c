/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "os/xattrat.h"
#include "tmp.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

extern const struct CMUnitTest xattrat_tests[];

/* What the calls with a path say, or ENOSYS. */
static void test_same(void **state)
{
	char path[512], link[512], by_path[256], by_name[256];
	struct tmp tmp;
	ssize_t n;

	(void)state;
	tmp_make(&tmp);
	tmp_write(&tmp, "f", "1");
	tmp_path(&tmp, "f", path);
	if (setxattr(path, "user.a", "value", 5, 0)) {
		assert_int_equal(errno, EOPNOTSUPP);
		tmp_remove(&tmp);
		return;
	}
	assert_int_equal(symlink("f", tmp_path(&tmp, "l", link)), 0);
	if (!ek_xattrat_works(tmp.fd)) {
		errno = 0;
		assert_int_equal(ek_listxattrat(tmp.fd, "f", NULL, 0), -1);
		assert_true(errno == ENOSYS || errno == EPERM);
		tmp_remove(&tmp);
		return;
	}
	n = llistxattr(path, by_path, sizeof(by_path));
	assert_true(n >= 7);
	assert_int_equal(ek_listxattrat(tmp.fd, "f", by_name, sizeof(by_name)),
			 n);
	assert_memory_equal(by_name, by_path, n);
	assert_int_equal(ek_listxattrat(tmp.fd, "f", by_name, 1), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(
		ek_getxattrat(tmp.fd, "f", "user.a", by_name, sizeof(by_name)),
		5);
	assert_memory_equal(by_name, "value", 5);
	assert_int_equal(ek_getxattrat(tmp.fd, "f", "user.a", by_name, 4), -1);
	assert_int_equal(errno, ERANGE);
	/* Not the file's, through a link to it. */
	assert_int_equal(ek_listxattrat(tmp.fd, "l", by_name, sizeof(by_name)),
			 llistxattr(link, by_path, sizeof(by_path)));
	assert_true(ek_getxattrat(tmp.fd, "l", "user.a", by_name,
				  sizeof(by_name)) < 0);
	assert_int_equal(ek_listxattrat(tmp.fd, "none", by_name, 1), -1);
	assert_int_equal(errno, ENOENT);
	tmp_remove(&tmp);
}

static void test_no_directory(void **state)
{
	(void)state;
	assert_false(ek_xattrat_works(-1));
}

const struct CMUnitTest xattrat_tests[] = {
	cmocka_unit_test(test_same),
	cmocka_unit_test(test_no_directory),
	UNIT_END,
};
