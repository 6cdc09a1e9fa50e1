/* SPDX-License-Identifier: Apache-2.0 */
#include "tmp.h"
#include "unit.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

static void whole_reads_and_writes(void **state)
{
	char got[10] = "";
	struct ek_err err;
	struct tmp tmp;
	int fd;

	(void)state;
	tmp_make(&tmp);
	fd = openat(tmp.fd, "f", O_RDWR | O_CREAT, 0600);
	assert_int_equal(ek_pwrite_all(fd, "f", 5, "hello", 5, &err), EK_OK);
	assert_int_equal(ek_pread_all(fd, "f", 3, got, 7, &err), EK_OK);
	assert_memory_equal(got, "\0\0hello", 7);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	assert_int_equal(ek_pread_all(fd, "f", 4, got, 7, &err), EK_CHANGED);
	assert_string_equal(err.text,
			    "f: ends at byte 10, it was longer before");
	assert_int_equal(ek_pread_all(fd, "f", 99, got, 0, &err), EK_OK);
	close(fd);
	tmp_remove(&tmp);
}

static void failures_name_the_file(void **state)
{
	struct ek_err err;
	char c = 'c';

	(void)state;
	assert_int_equal(ek_pread_all(-1, "my/file", 7, &c, 1, &err), EK_IO);
	assert_int_equal(err.sys, EBADF);
	assert_true(!strncmp(err.text, "my/file: cannot read at byte 7: ", 32));
	assert_int_equal(ek_pwrite_all(-1, "my/file", 7, &c, 1, &err), EK_IO);
	assert_int_equal(ek_pread_all(0, "x", UINT64_MAX, &c, 1, &err),
			 EK_INVALID);
	assert_int_equal(ek_pwrite_all(0, "x", INT64_MAX, &c, 1, &err),
			 EK_INVALID);
}

static void a_full_disk_is_told(void **state)
{
	int fd = open("/dev/full", O_WRONLY);
	struct ek_err err;

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(ek_pwrite_all(fd, "full", 0, "x", 1, &err), EK_IO);
	assert_int_equal(err.sys, ENOSPC);
	close(fd);
}

static void sizes(void **state)
{
	struct ek_err err;
	bool is_block = true;
	uint64_t size;
	struct tmp tmp;
	int fd, pipes[2];

	(void)state;
	tmp_make(&tmp);
	tmp_write(&tmp, "f", "123");
	fd = openat(tmp.fd, "f", O_RDONLY);
	assert_int_equal(ek_fd_size(fd, "f", &size, &is_block, &err), EK_OK);
	assert_int_equal(size, 3);
	assert_false(is_block);
	close(fd);
	assert_int_equal(ek_fd_size(tmp.fd, "d", &size, &is_block, &err),
			 EK_INVALID);
	assert_string_equal(err.text, "d: is a directory, not a regular file "
				      "or block device");
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(ek_fd_size(pipes[0], "p", &size, &is_block, &err),
			 EK_INVALID);
	assert_string_equal(err.text, "p: is a pipe, not a regular file or "
				      "block device");
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(ek_fd_size(-1, "x", &size, &is_block, &err), EK_IO);
	tmp_remove(&tmp);
}

static void types_have_words(void **state)
{
	(void)state;
	assert_string_equal(ek_file_type_words(S_IFSOCK | 0644), "a socket");
	assert_string_equal(ek_file_type_words(S_IFCHR), "a character device");
	assert_string_equal(ek_file_type_words(0), "of an unknown type");
}

extern const struct CMUnitTest fd_tests[];
const struct CMUnitTest fd_tests[] = {
	cmocka_unit_test(whole_reads_and_writes),
	cmocka_unit_test(failures_name_the_file),
	cmocka_unit_test(a_full_disk_is_told),
	cmocka_unit_test(sizes),
	cmocka_unit_test(types_have_words),
	UNIT_END,
};
