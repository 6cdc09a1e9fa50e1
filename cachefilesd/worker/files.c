/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/worker/priv.h"
#include "cli/leaves.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ek_status files_open(struct ekd_service *s, const char *id, int *dir,
		     struct ek_err *err)
{
	*dir = openat(s->images_dir, id,
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *dir < 0 ? ek_fail_sys(err, errno, "images/%s", id) : EK_OK;
}

ek_status files_make(struct ekd_service *s, const char *id, int *dir,
		     struct ek_err *err)
{
	files_remove(s, id);
	if (mkdirat(s->images_dir, id, 0700) < 0)
		return ek_fail_sys(err, errno, "cannot make images/%s", id);
	return files_open(s, id, dir, err);
}

ek_status files_put(int dir, const char *name, const void *bytes, size_t n,
		    struct ek_err *err)
{
	char temporary[64];
	ek_status s;
	int fd;

	snprintf(temporary, sizeof(temporary), "%.50s.new", name);
	fd = openat(dir, temporary,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0)
		return ek_fail_sys(err, errno, "cannot make %s", name);
	s = cli_write_all(fd, name, bytes, n, err);
	if (s == EK_OK && fdatasync(fd) < 0)
		s = ek_fail_sys(err, errno, "cannot sync %s", name);
	close(fd);
	if (s == EK_OK && renameat(dir, temporary, dir, name) < 0)
		s = ek_fail_sys(err, errno, "cannot publish %s", name);
	if (s == EK_OK && fsync(dir) < 0)
		s = ek_fail_sys(err, errno, "cannot sync %s", name);
	return s;
}

int files_nameless(struct ekd_service *s, struct ek_err *err)
{
	int fd = openat(s->images_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC,
			0600);

	if (fd < 0)
		ek_fail_sys(err, errno, "cannot make a file");
	return fd;
}

ek_status files_read(int fd, const char *what, size_t most, char **bytes,
		     size_t *n, struct ek_err *err)
{
	struct stat st;
	size_t have = 0;

	if (fstat(fd, &st) < 0)
		return ek_fail_sys(err, errno, "%s", what);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > most)
		return ek_fail(err, EK_LIMIT,
			       "%s: not a file of at most %zu bytes", what,
			       most);
	*n = (size_t)st.st_size;
	*bytes = malloc(*n + 1);
	if (!*bytes)
		return ek_fail(err, EK_NOMEM, "no memory for %s", what);
	while (have < *n) {
		ssize_t did = pread(fd, *bytes + have, *n - have, (off_t)have);

		if (did < 0 && errno == EINTR)
			continue;
		if (did <= 0) {
			int sys = did < 0 ? errno : EIO;

			free(*bytes);
			return ek_fail_sys(err, sys, "cannot read %s", what);
		}
		have += (size_t)did;
	}
	(*bytes)[*n] = 0;
	return EK_OK;
}

ek_status files_get(int dir, const char *name, size_t most, char **bytes,
		    size_t *n, struct ek_err *err)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ek_status s;

	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", name);
	s = files_read(fd, name, most, bytes, n, err);
	close(fd);
	return s;
}

void files_remove(struct ekd_service *s, const char *id)
{
	struct dirent *entry;
	DIR *dir;
	int fd;

	if (files_open(s, id, &fd, NULL) != EK_OK)
		return;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	/* Of a flat directory; what else is in it stays, and it too. */
	while ((entry = readdir(dir)))
		if (*entry->d_name != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	unlinkat(s->images_dir, id, AT_REMOVEDIR);
}

static void leaves_name(uint32_t i, char name[32])
{
	snprintf(name, 32, "leaves-%u", i);
}

ek_status files_put_leaves(int dir, uint32_t i, const struct ek_leaves *leaves,
			   struct ek_err *err)
{
	size_t n = ek_leaves_file_size(leaves);
	uint8_t *bytes = malloc(n);
	char name[32];
	ek_status s;

	if (!bytes)
		return ek_fail(err, EK_NOMEM, "no memory for leaf digests");
	leaves_name(i, name);
	ek_leaves_encode(leaves, bytes);
	s = files_put(dir, name, bytes, n, err);
	free(bytes);
	return s;
}

ek_status files_get_leaves(int dir, uint32_t i, const uint8_t root[32],
			   struct ek_leaves **leaves, struct ek_err *err)
{
	char name[32], *bytes;
	ek_status s;
	size_t n;

	leaves_name(i, name);
	EK_TRY(files_get(dir, name, (size_t)EK_LEAVES_MAX * 32 + EK_LEAF_HEADER,
			 &bytes, &n, err));
	s = ek_leaves_decode((uint8_t *)bytes, n, root, leaves, err);
	free(bytes);
	return s;
}
