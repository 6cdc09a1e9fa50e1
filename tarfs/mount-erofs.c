/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A value of fsconfig(2) has no more bytes, the NUL included. */
#define VALUE_MAX 256
#define LIST_MAX  4096u

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		unsigned c;

		if (s[0] == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*to++ = (char)c;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

/* Split one line; false when it is not one of @dir. */
static bool split(char *line, const char *dir, struct mounted *m)
{
	char *save = NULL, *field = strtok_r(line, " \n", &save);

	for (int i = 0; field && i < 4; i++)
		field = strtok_r(NULL, " \n", &save);
	if (!field)
		return false;
	unescape(field);
	if (strcmp(field, dir) != 0)
		return false;
	while (field && strcmp(field, "-") != 0)
		field = strtok_r(NULL, " \n", &save);
	m->type = strtok_r(NULL, " \n", &save);
	m->source = strtok_r(NULL, " \n", &save);
	m->options = strtok_r(NULL, " \n", &save);
	if (!m->type || !m->source || !m->options)
		return false;
	unescape(m->source);
	unescape(m->options);
	return true;
}

void mounted_free(struct mounted *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].type);
		free(list[i].source);
		free(list[i].options);
	}
	free(list);
}

static bool add(struct mounted **list, size_t *n, const struct mounted *m)
{
	struct mounted *at = reallocarray(*list, *n + 1, sizeof(*at));

	if (!at)
		return false;
	*list = at;
	at += (*n)++;
	*at = (struct mounted){strdup(m->type), strdup(m->source),
			       strdup(m->options)};
	return at->type && at->source && at->options;
}

ek_status mounted_at(const char *dir, struct mounted **list, size_t *n,
		     struct ek_err *err)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	bool good = true;

	*list = NULL;
	*n = 0;
	if (!f)
		return ek_fail_sys(err, errno, "/proc/self/mountinfo");
	while (good && *n < LIST_MAX && getline(&line, &room, f) > 0) {
		struct mounted m;

		if (split(line, dir, &m))
			good = add(list, n, &m);
	}
	free(line);
	fclose(f);
	if (good)
		return EK_OK;
	mounted_free(*list, *n);
	return ek_fail(err, EK_NOMEM, "no memory for the list of mounts");
}

/* What the kernel says about a context, or "". */
static void words(int fs, char text[256])
{
	ssize_t n = read(fs, text, 255);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
}

static ek_status failed(int fs, const char *what, const char *source,
			struct ek_err *err)
{
	int sys = errno;
	char text[256];

	words(fs, text);
	return ek_fail_sys(err, sys, "%s %s%s%s%s", what, source,
			   *text ? " (" : "", text, *text ? ")" : "");
}

/* @path as a value, by descriptor *fd when it is too long. */
static ek_status set_path(int fs, const char *key, const char *path, int *fd,
			  struct ek_err *err)
{
	char proc[64];
	const char *value = path;

	*fd = -1;
	if (strlen(path) >= VALUE_MAX) {
		*fd = open(path, O_RDONLY | O_CLOEXEC);
		if (*fd < 0)
			return ek_fail_sys(err, errno, "%s", path);
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", *fd);
		value = proc;
	}
	if (fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0)
		return failed(fs, key, path, err);
	return EK_OK;
}

static ek_status configure(int fs, const char *source,
			   const char *const *devices, size_t n, int *fds,
			   struct ek_err *err)
{
	CLI_TRY(set_path(fs, "source", source, &fds[0], err));
	if (fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
		return failed(fs, "read-only", source, err);
	for (size_t i = 0; i < n; i++)
		CLI_TRY(set_path(fs, "device", devices[i], &fds[i + 1], err));
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return failed(fs, "mount", source, err);
	return EK_OK;
}

/* What is at @dir now is what was meant. */
static ek_status check(const char *source, const char *dir, struct ek_err *err)
{
	struct mounted *list;
	ek_status s = EK_OK;
	size_t n;

	CLI_TRY(mounted_at(dir, &list, &n, err));
	if (!n || strcmp(list[n - 1].type, "erofs") != 0)
		s = ek_fail(err, EK_DIFFERS, "%s: no EROFS got mounted", dir);
	else if (strlen(source) < VALUE_MAX &&
		 strcmp(list[n - 1].source, source) != 0)
		s = ek_fail(err, EK_DIFFERS,
			    "%s: mounted is '%s', which is not '%s'", dir,
			    list[n - 1].source, source);
	mounted_free(list, n);
	if (s != EK_OK)
		umount2(dir, MNT_DETACH);
	return s;
}

static ek_status attach(int fs, const char *source, const char *dir,
			struct ek_err *err)
{
	int at = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	struct statfs st;
	ek_status s = EK_OK;

	if (at < 0)
		return failed(fs, "mount", source, err);
	if (fstatfs(at, &st) < 0)
		s = ek_fail_sys(err, errno, "%s", source);
	else if ((uint32_t)st.f_type != EROFS_MAGIC)
		s = ek_fail(err, EK_DIFFERS, "%s: not an EROFS", source);
	else if (move_mount(at, "", AT_FDCWD, dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		s = ek_fail_sys(err, errno, "%s: cannot mount there", dir);
	close(at);
	return s == EK_OK ? check(source, dir, err) : s;
}

ek_status mount_erofs(const char *source, const char *const *devices, size_t n,
		      const char *dir, struct ek_err *err)
{
	int *fds = malloc((n + 1) * sizeof(*fds));
	int fs = fsopen("erofs", FSOPEN_CLOEXEC);
	ek_status s;

	for (size_t i = 0; fds && i < n + 1; i++)
		fds[i] = -1;
	if (!fds)
		s = ek_fail(err, EK_NOMEM, "no memory");
	else if (fs < 0)
		s = ek_fail_sys(err, errno, "this kernel mounts no EROFS");
	else
		s = configure(fs, source, devices, n, fds, err);
	if (s == EK_OK)
		s = attach(fs, source, dir, err);
	for (size_t i = 0; fds && i < n + 1; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(fds);
	if (fs >= 0)
		close(fs);
	return s;
}
