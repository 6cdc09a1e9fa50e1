/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/mount.h"

#include "cli/message.h"
#include "tarfs/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static ek_status by_file(const struct record *r, const char *dir,
			 struct ek_err *err)
{
	const char *devices[EK_LAYERS_MAX];

	for (size_t i = 0; i < r->n; i++)
		devices[i] = r->devices[i].path;
	return mount_erofs(r->merged, devices, r->n, dir, err);
}

static ek_status run(char **argv, struct ek_err *err)
{
	int status = 0;
	pid_t child = fork();

	if (child < 0)
		return ek_fail_sys(err, errno, "%s", argv[0]);
	if (child == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return ek_fail_sys(err, errno, "%s", argv[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return ek_fail(err, EK_NOTFOUND, "%s: not installed", argv[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return ek_fail(err, EK_IO, "%s: failed", argv[0]);
	return EK_OK;
}

static ek_status by_fuse(const struct record *r, const char *dir,
			 struct ek_err *err)
{
	char *argv[EK_LAYERS_MAX + 4] = {(char[]){"erofsfuse"}};
	struct mounted *list = NULL;
	size_t n = 1, have = 0;
	ek_status s = EK_OK;

	for (size_t i = 0; s == EK_OK && i < r->n; i++) {
		if (asprintf(&argv[n], "--device=%s", r->devices[i].path) < 0)
			s = ek_fail(err, EK_NOMEM, "no memory");
		else
			n++;
	}
	argv[n] = r->merged;
	argv[n + 1] = (char *)dir;
	argv[n + 2] = NULL;
	if (s == EK_OK)
		s = run(argv, err);
	while (--n > 0)
		free(argv[n]);
	if (s == EK_OK)
		s = mounted_at(dir, &list, &have, err);
	if (s == EK_OK && (!have || strncmp(list[have - 1].type, "fuse", 4)))
		s = ek_fail(err, EK_DIFFERS, "%s: nothing got mounted", dir);
	mounted_free(list, have);
	return s;
}

/* The first way that does; *how is its name. */
static ek_status lower(const struct record *r, const char *dir,
		       const char **how, struct ek_err *err)
{
	struct ek_err file, loop, fuse;

	*how = "as a file";
	if (by_file(r, dir, &file) == EK_OK)
		return EK_OK;
	*how = "through loop devices";
	if (mount_by_loop(r, dir, &loop) == EK_OK)
		return EK_OK;
	*how = "by erofsfuse";
	if (by_fuse(r, dir, &fuse) == EK_OK)
		return EK_OK;
	return ek_fail(err, EK_IO,
		       "cannot mount: as a file: %.300s; through loop devices: "
		       "%.300s; by erofsfuse: %.200s",
		       file.text, loop.text, fuse.text);
}

/* "key=VALUE" for overlayfs: commas, colons, backslashes are escaped. */
static size_t put_option(char *to, const char *key, const char *value)
{
	char *p = stpcpy(stpcpy(to, key), "=");

	for (; *value; value++) {
		if (strchr("\\,:", *value))
			*p++ = '\\';
		*p++ = *value;
	}
	*p = 0;
	return (size_t)(p - to);
}

static ek_status sub(const char *upper, const char *name, char **path,
		     struct ek_err *err)
{
	char *made = NULL;

	if (asprintf(&made, "%s/%s", upper, name) < 0)
		return ek_fail(err, EK_NOMEM, "no memory");
	if (mkdir(made, 0755) < 0 && errno != EEXIST)
		ek_fail_sys(err, errno, "%s", made);
	else if ((*path = realpath(made, NULL)))
		errno = 0;
	else
		ek_fail_sys(err, errno, "%s", made);
	free(made);
	return *path ? EK_OK : err->status;
}

/* An overlay over @dir whose lower layer is what is mounted there already. */
static ek_status overlay(const char *dir, const char *upper, struct ek_err *err)
{
	char *data = NULL, *work = NULL, *text = NULL;
	size_t n = 0;
	ek_status s = sub(upper, "upper", &data, err);

	if (s == EK_OK)
		s = sub(upper, "work", &work, err);
	if (s == EK_OK)
		text = malloc(2 * (strlen(dir) + strlen(data) + strlen(work)) +
			      64);
	if (s == EK_OK && !text)
		s = ek_fail(err, EK_NOMEM, "no memory");
	if (s == EK_OK) {
		n = put_option(text, "lowerdir", dir);
		text[n++] = ',';
		n += put_option(text + n, "upperdir", data);
		text[n++] = ',';
		put_option(text + n, "workdir", work);
		if (mount("overlay", dir, "overlay", 0, text) < 0)
			s = ek_fail_sys(err, errno, "%s: overlay on %s", dir,
					upper);
	}
	free(text);
	free(work);
	free(data);
	return s;
}

static ek_status mount_all(const struct tarfs_options *o, struct record *r,
			   const char *dir, const char **how,
			   struct ek_err *err)
{
	ek_status s;

	CLI_TRY(record_read(r, o->operands[0], err));
	CLI_TRY(record_check_devices(r, err));
	CLI_TRY(lower(r, dir, how, err));
	if (!o->rw)
		return EK_OK;
	s = overlay(dir, o->upper, err);
	if (s != EK_OK)
		umount2(dir, 0);
	return s;
}

int tarfs_mount(const struct tarfs_options *o)
{
	char *dir = realpath(o->operands[1], NULL);
	const char *how = NULL;
	struct record r = {0};
	struct ek_err err;
	ek_status s;

	if (dir)
		s = mount_all(o, &r, dir, &how, &err);
	else
		s = ek_fail_sys(&err, errno, "%s", o->operands[1]);
	record_free(&r);
	if (s != EK_OK)
		cli_error("%s", err.text);
	else if (!o->quiet)
		printf("Mounted %s%s\n", how,
		       o->rw ? ", writable by an overlay" : "");
	free(dir);
	return s != EK_OK || cli_finish() ? TARFS_FAILED : TARFS_OK;
}

static bool is_lower(const struct mounted *m)
{
	return strcmp(m->type, "erofs") == 0 ||
	       strcmp(m->type, "fuse.erofsfuse") == 0;
}

/* Whether @m is an overlay over what lies at @dir, as overlay() makes it. */
static bool is_ours(const struct mounted *m, const char *dir)
{
	char *want = malloc(2 * strlen(dir) + 16), *at;
	bool yes = false;
	size_t n;

	if (!want)
		return false;
	n = put_option(want, "lowerdir", dir);
	at = strcmp(m->type, "overlay") ? NULL : strstr(m->options, "lowerdir");
	/* Newer kernels show a lower directory alone as "lowerdir+=". */
	if (at && strncmp(at, "lowerdir+=", 10) == 0)
		yes = strncmp(at + 10, want + 9, n - 9) == 0 &&
		      strchr(",", at[10 + n - 9]);
	else if (at)
		yes = strncmp(at, want, n) == 0 && strchr(",", at[n]);
	free(want);
	return yes;
}

static ek_status undo(const char *dir, struct ek_err *err)
{
	struct mounted *list;
	size_t n, layers = 0;

	CLI_TRY(mounted_at(dir, &list, &n, err));
	if (n && is_lower(&list[n - 1]))
		layers = 1;
	else if (n > 1 && is_ours(&list[n - 1], dir) && is_lower(&list[n - 2]))
		layers = 2;
	mounted_free(list, n);
	if (!layers)
		return ek_fail(err, EK_INVALID,
			       "%s: no EROFS of ours is mounted there", dir);
	while (layers--)
		if (umount2(dir, UMOUNT_NOFOLLOW) < 0)
			return ek_fail_sys(err, errno, "%s", dir);
	return EK_OK;
}

int tarfs_umount(const struct tarfs_options *o)
{
	char *dir = realpath(o->operands[0], NULL);
	struct ek_err err;
	ek_status s;

	s = dir ? undo(dir, &err)
		: ek_fail_sys(&err, errno, "%s", o->operands[0]);
	if (s != EK_OK)
		cli_error("%s", err.text);
	free(dir);
	return s == EK_OK ? TARFS_OK : TARFS_FAILED;
}
