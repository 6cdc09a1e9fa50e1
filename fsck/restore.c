/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck/restore.h"

#include "cli/leaves.h"
#include "cli/message.h"

#include <erofskit/outfile.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void fsck_restore_tell(void *arg, const char *path, ek_status status,
		       const char *words)
{
	struct fsck_report *r = arg;

	if (status == EK_OK) {
		cli_message(r->options->level, CLI_WARNING, "%s: %s", path,
			    words);
		return;
	}
	/* What is wrong with the image is a finding like any other. */
	if (status == EK_CORRUPT || status == EK_UNSUPPORTED) {
		fsck_report_add(r, "DATA-DECODE", EK_SEVERITY_ERROR, path,
				words);
		return;
	}
	fsck_report_add(r, "EXTRACT-FAILED", EK_SEVERITY_UNCHECKED, path,
			words);
}

/* The node that --path or --nid names, or the root. */
static ek_status pick(const struct fsck_options *o, struct ek_image *image,
		      struct ek_node *node, struct ek_err *err)
{
	if (o->check.has_nid)
		return ek_image_node(image, o->check.nid, node, err);
	if (o->check.path)
		return ek_image_lookup(image, o->check.path, node, err);
	return ek_image_root(image, node, err);
}

static bool is_host_root(int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat("/", &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static ek_status open_target(const struct fsck_options *o, int *fd,
			     struct ek_err *err)
{
	const char *dir = o->extract_dir;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return ek_fail_sys(err, errno, "%s", dir);
	*fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return ek_fail_sys(err, errno, "%s", dir);
	if (o->force || !is_host_root(*fd))
		return EK_OK;
	close(*fd);
	return ek_fail(err, EK_INVALID,
		       "%s is the root directory: say --force to extract there",
		       dir);
}

/* A file that is no directory goes to DIR itself, as a name in its parent. */
static ek_status one_file(const struct fsck_options *o, struct ek_image *image,
			  const struct ek_node *node,
			  const struct ek_extract_options *eo,
			  struct ek_extract_result *result, struct ek_err *err)
{
	char path[4096];
	const char *name;
	char *slash;
	ek_status status;
	int fd;

	if (strlen(o->extract_dir) >= sizeof(path))
		return ek_fail(err, EK_INVALID, "the path is too long");
	snprintf(path, sizeof(path), "%s", o->extract_dir);
	slash = strrchr(path, '/');
	name = slash ? slash + 1 : path;
	fd = open(!slash	  ? "."
		  : slash == path ? "/"
				  : (*slash = '\0', path),
		  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", o->extract_dir);
	status = ek_extract(image, node, fd, name, eo, result, err);
	close(fd);
	return status;
}

static ek_status
to_directory(const struct fsck_options *o, struct ek_image *image,
	     const struct ek_node *node, const struct ek_extract_options *eo,
	     struct ek_extract_result *result, struct ek_err *err)
{
	ek_status status;
	int fd = -1;

	if (!S_ISDIR(node->mode))
		return one_file(o, image, node, eo, result, err);
	status = open_target(o, &fd, err);
	if (status != EK_OK)
		return status;
	status = ek_extract(image, node, fd, NULL, eo, result, err);
	close(fd);
	return status;
}

static ek_status write_fd(void *arg, const void *bytes, size_t n,
			  struct ek_err *err)
{
	const int *fd = arg;

	return cli_write_all(*fd, "the tar stream", bytes, n, err);
}

static const char *last_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

static ek_status to_tar(const struct fsck_options *o, struct ek_image *image,
			const struct ek_node *node,
			const struct ek_extract_options *eo,
			struct ek_extract_result *result, struct ek_err *err)
{
	const char *name = NULL;
	struct ek_outfile *out;
	ek_status status;
	int fd = STDOUT_FILENO;

	if (!S_ISDIR(node->mode))
		name = o->check.path ? last_name(o->check.path) : "file";
	if (!strcmp(o->tar, "-"))
		return ek_extract_tar(image, node, name, write_fd, &fd, eo,
				      result, err);
	status = ek_outfile_open(o->tar, NULL, &out, err);
	if (status != EK_OK)
		return status;
	fd = ek_outfile_fd(out);
	status = ek_extract_tar(image, node, name, write_fd, &fd, eo, result,
				err);
	if (status == EK_OK)
		return ek_outfile_commit(out, err);
	ek_outfile_abort(out);
	return status;
}

void fsck_restore(const struct fsck_options *o, struct ek_image *image,
		  struct ek_extract_result *result, ek_extract_note_fn tell,
		  void *arg)
{
	struct ek_extract_options eo = o->extract;
	struct ek_node node;
	struct ek_err err;
	ek_status status;

	eo.note = tell;
	eo.note_arg = arg;
	status = pick(o, image, &node, &err);
	if (status == EK_OK)
		status = o->tar ? to_tar(o, image, &node, &eo, result, &err)
				: to_directory(o, image, &node, &eo, result,
					       &err);
	/* Nodes that failed were told one by one, what ends all was not. */
	if (status == EK_LIMIT || status == EK_NOMEM ||
	    status == EK_CANCELLED || (status != EK_OK && !result->failed))
		tell(arg, NULL, status, err.text);
}
