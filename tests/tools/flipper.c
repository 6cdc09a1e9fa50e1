/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into mkfs.erofs: the first fsync(2) of the file that
 * EK_FLIP_SIZE bytes long or more changes one byte of it, at EK_FLIP_AT, as a
 * bad disk does between writing and reading. A shared object, made by the test
 * that uses it.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void flip(int fd)
{
	const char *at = getenv("EK_FLIP_AT"), *size = getenv("EK_FLIP_SIZE");
	struct stat st;
	uint8_t byte;
	off_t where;

	if (!at || !size || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size < strtoll(size, NULL, 0))
		return;
	where = (off_t)strtoll(at, NULL, 0);
	unsetenv("EK_FLIP_AT");
	if (pread(fd, &byte, 1, where) != 1)
		return;
	byte ^= 0x20;
	if (pwrite(fd, &byte, 1, where) != 1)
		abort();
}

int fsync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

	flip(fd);
	return real(fd);
}
