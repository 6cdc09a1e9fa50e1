/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <erofskit/source.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char text[] = "0123456789";

static void memory(void **state)
{
	struct ek_source *src;
	struct ek_err err;
	char got[11] = "";

	(void)state;
	assert_int_equal(ek_source_from_memory(text, 10, &src, &err), EK_OK);
	assert_int_equal(src->size, 10);
	assert_int_equal(ek_source_read(src, 3, got, 7, &err), EK_OK);
	assert_string_equal(got, "3456789");
	assert_int_equal(ek_source_read(src, 10, got, 0, &err), EK_OK);
	assert_int_equal(ek_source_read(src, 4, got, 7, &err), EK_CORRUPT);
	assert_string_equal(err.text, "7 bytes at 4 are beyond the end at 10");
	assert_int_equal(ek_source_read(src, 11, got, 0, &err), EK_CORRUPT);
	assert_int_equal(ek_source_read(src, UINT64_MAX, got, 2, &err),
			 EK_CORRUPT);
	ek_source_free(src);
	ek_source_free(NULL);
}

static void slices(void **state)
{
	struct ek_source *base, *slice, *inner, *none;
	struct ek_err err;
	char got[8] = "";

	(void)state;
	assert_int_equal(ek_source_from_memory(text, 10, &base, &err), EK_OK);
	assert_int_equal(ek_source_slice(base, 2, 6, &slice, &err), EK_OK);
	assert_int_equal(ek_source_slice(slice, 1, 5, &inner, &err), EK_OK);
	assert_int_equal(ek_source_read(inner, 1, got, 4, &err), EK_OK);
	assert_string_equal(got, "4567");
	assert_int_equal(ek_source_read(inner, 1, got, 5, &err), EK_CORRUPT);
	assert_int_equal(ek_source_slice(slice, 1, 6, &none, &err), EK_INVALID);
	assert_null(none);
	assert_int_equal(ek_source_slice(slice, UINT64_MAX, 2, &none, &err),
			 EK_INVALID);
	assert_int_equal(ek_source_slice(slice, 6, 0, &none, &err), EK_OK);
	assert_int_equal(none->size, 0);
	ek_source_free(none);
	ek_source_free(inner);
	ek_source_free(slice);
	ek_source_free(base);
}

static void files(void **state)
{
	char path[] = "/tmp/erofskit-unit.XXXXXX";
	int fd = mkstemp(path);
	struct ek_source *src;
	struct ek_err err;
	char got[8] = "", want[64];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, 10), 10);
	assert_int_equal(ek_source_open_file(path, 4, &src, &err), EK_OK);
	assert_int_equal(src->size, 6);
	assert_int_equal(ek_source_read(src, 1, got, 5, &err), EK_OK);
	assert_string_equal(got, "56789");
	assert_int_equal(ek_source_read(src, 2, got, 5, &err), EK_CORRUPT);
	snprintf(want, sizeof(want), "%s: 5 bytes at 2", path);
	assert_memory_equal(err.text, want, strlen(want));
	/* Somebody cuts it under our hands. */
	assert_int_equal(ftruncate(fd, 7), 0);
	assert_int_equal(ek_source_read(src, 1, got, 5, &err), EK_CHANGED);
	assert_non_null(strstr(err.text, path));
	ek_source_free(src);
	assert_int_equal(ek_source_open_file(path, 8, &src, &err), EK_INVALID);
	assert_null(src);
	assert_int_equal(ek_source_from_fd(fd, "mine", 7, &src, &err), EK_OK);
	assert_int_equal(src->size, 0);
	ek_source_free(src);
	/* Borrowed: it is still open. */
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ek_source_open_file(path, 0, &src, &err), EK_NOTFOUND);
}

static void other_types_are_refused(void **state)
{
	struct ek_source *src;
	struct ek_err err;
	int p[2];

	(void)state;
	assert_int_equal(ek_source_open_file("/tmp", 0, &src, &err),
			 EK_INVALID);
	assert_non_null(strstr(err.text, "/tmp: is a directory"));
	assert_int_equal(ek_source_open_file("/dev/zero", 0, &src, &err),
			 EK_INVALID);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(ek_source_from_fd(p[0], "p", 0, &src, &err),
			 EK_INVALID);
	assert_null(src);
	close(p[0]);
	close(p[1]);
}

extern const struct CMUnitTest source_tests[];
const struct CMUnitTest source_tests[] = {
	cmocka_unit_test(memory),
	cmocka_unit_test(slices),
	cmocka_unit_test(files),
	cmocka_unit_test(other_types_are_refused),
	UNIT_END,
};
