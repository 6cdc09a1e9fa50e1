/* SPDX-License-Identifier: Apache-2.0 */
#include "tmp.h"

#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void tmp_make(struct tmp *tmp)
{
	const char *base = getenv("TMPDIR");

	snprintf(tmp->path, sizeof(tmp->path), "%s/erofskit-unit.XXXXXX",
		 base ? base : "/tmp");
	assert_non_null(mkdtemp(tmp->path));
	tmp->fd = open(tmp->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(tmp->fd >= 0);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void tmp_remove(struct tmp *tmp)
{
	close(tmp->fd);
	assert_int_equal(nftw(tmp->path, remove_one, 8, FTW_DEPTH | FTW_PHYS),
			 0);
}

const char *tmp_path(const struct tmp *tmp, const char *name, char to[512])
{
	snprintf(to, 512, "%s/%s", tmp->path, name);
	return to;
}

void tmp_write(const struct tmp *tmp, const char *name, const char *text)
{
	int fd = openat(tmp->fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void tmp_expect(const struct tmp *tmp, const char *name, const char *text)
{
	char got[512] = "";
	int fd = openat(tmp->fd, name, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, got, sizeof(got) - 1);
	close(fd);
	assert_true(n >= 0);
	got[n] = 0;
	assert_string_equal(got, text);
}

size_t tmp_count(const struct tmp *tmp)
{
	DIR *dir = opendir(tmp->path);
	size_t n = 0;

	assert_non_null(dir);
	for (struct dirent *d; (d = readdir(dir));)
		n += strcmp(d->d_name, ".") && strcmp(d->d_name, "..");
	closedir(dir);
	return n;
}
