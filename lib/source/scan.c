/* SPDX-License-Identifier: Apache-2.0 */
#include "source/directory.h"

#include "base/try.h"
#include "os/fd.h"
#include "os/xattrat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/*
 * Calls an entry: statx, listxattrat, and one more for each attribute and each
 * symbolic link. Where the kernel lacks listxattrat(2), attributes go through
 * /proc/self/fd/N/NAME, which cannot be led astray by a directory that is
 * replaced meanwhile either.
 */

/* Names and values of one directory, in bytes. */
#define BLOB_MAX    (1u << 30)
#define ENTRIES_MAX EK_TREE_INODES_MAX

/*
 * First sizes for attributes: the kernel allocates and clears what is asked
 * for, so the largest size is only used when it must be.
 */
#define LIST_FIRST  1024
#define VALUE_FIRST 256

void ek_scan_free(struct ek_scan *scan)
{
	if (!scan)
		return;
	ek_buf_free(&scan->blob);
	ek_vec_free(&scan->entries);
	ek_vec_free(&scan->xattrs);
	free(scan->path);
	free(scan);
}

/* One directory while it is scanned. */
struct place {
	struct ek_scan *scan;
	struct ek_scan_room *room;
	int fd;
	size_t prefix; /* of room->path: "/proc/self/fd/N/", or 0 */
	/* This file system has no attributes: do not ask again. */
	bool no_xattrs;
	uint64_t no_xattrs_dev;
};

static ek_status fail_at(const struct place *p, const char *name,
			 const char *words, struct ek_err *err)
{
	int sys = errno;

	if (strcmp(name, ".") == 0)
		name = "";
	return ek_root_fail(p->scan->scanner->root, p->scan->path, name, sys,
			    words, err);
}

/* Put @n bytes and a NUL into the blob; *at is their offset. */
static ek_status keep(struct ek_scan *scan, const void *from, size_t n,
		      size_t *at, struct ek_err *err)
{
	*at = scan->blob.len;
	EK_TRY(ek_buf_append(&scan->blob, from, n, err));
	return ek_buf_append_zeros(&scan->blob, 1, err);
}

/* A path for the *xattr(2) calls, which take no directory descriptor. */
static const char *xattr_path(struct place *p, const char *name, char **owned)
{
	const struct ek_root *root = p->scan->scanner->root;
	const char *dir = p->scan->path;

	*owned = NULL;
	if (root->has_proc) {
		if (!p->prefix)
			p->prefix = (size_t)snprintf(
				p->room->path, 64, "/proc/self/fd/%d/", p->fd);
		/* No name is longer than EK_TREE_NAME_MAX. */
		stpcpy(p->room->path + p->prefix, name);
		return p->room->path;
	}
	*owned = malloc(strlen(root->path) + strlen(dir) + strlen(name) + 3);
	if (!*owned)
		return NULL;
	/* Sized for it on the line above. */
	stpcpy(stpcpy(stpcpy(stpcpy(stpcpy(*owned, root->path), "/"), dir),
		      *dir ? "/" : ""),
	       name);
	return *owned;
}

/*
 * File systems show state of their own under "system."; of that only ACLs are
 * part of a file.
 */
static bool wanted(const char *name)
{
	return strncmp(name, "system.", 7) != 0 ||
	       strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

/* Into room->list, or with @path NULL by the name in its directory. */
static ssize_t list(struct place *p, const char *path, const char *name,
		    size_t room)
{
	if (!path)
		return ek_listxattrat(p->fd, name, p->room->list, room);
	return llistxattr(path, p->room->list, room);
}

/* The same for a value. */
static ssize_t get(struct place *p, const char *path, const char *name,
		   const char *attr, size_t room)
{
	if (!path)
		return ek_getxattrat(p->fd, name, attr, p->room->value, room);
	return lgetxattr(path, attr, p->room->value, room);
}

static ek_status read_xattr(struct place *p, const char *path, const char *name,
			    const char *attr, struct ek_scan_entry *e,
			    struct ek_err *err)
{
	struct ek_scan *scan = p->scan;
	struct ek_scan_xattr x;
	ssize_t n = get(p, path, name, attr, VALUE_FIRST);

	if (n < 0 && errno == ERANGE)
		n = get(p, path, name, attr, sizeof(p->room->value));
	/* Listed, but not there: removed meanwhile, or a security module's. */
	if (n < 0 && (errno == ENODATA || errno == EOPNOTSUPP))
		return EK_OK;
	if (n < 0)
		return fail_at(p, name, attr, err);
	if (n > (ssize_t)EK_TREE_XATTR_MAX) {
		errno = E2BIG;
		return fail_at(p, name, attr, err);
	}
	EK_TRY(keep(scan, attr, strlen(attr), &x.name, err));
	EK_TRY(keep(scan, p->room->value, (size_t)n, &x.value, err));
	x.value_len = (uint32_t)n;
	EK_TRY(ek_vec_push(&scan->xattrs, x, BLOB_MAX, err));
	e->n_xattrs++;
	return EK_OK;
}

static ek_status read_xattrs(struct place *p, const char *name,
			     struct ek_scan_entry *e, struct ek_err *err)
{
	char *owned EK_AUTO_FREE = NULL;
	const char *path = NULL, *attr, *end;
	ssize_t n;

	if (p->no_xattrs && p->no_xattrs_dev == e->dev)
		return EK_OK;
	if (!p->scan->scanner->root->has_xattrat) {
		path = xattr_path(p, name, &owned);
		if (!path)
			return ek_fail(err, EK_NOMEM, "no memory for the walk");
	}
	n = list(p, path, name, LIST_FIRST);
	if (n < 0 && errno == ERANGE)
		n = list(p, path, name, sizeof(p->room->list));
	if (n < 0 && errno == EOPNOTSUPP) {
		p->no_xattrs = S_ISREG(e->mode) || S_ISDIR(e->mode);
		p->no_xattrs_dev = e->dev;
		return EK_OK;
	}
	if (n < 0)
		return fail_at(p, name, "cannot list attributes", err);
	e->xattrs = p->scan->xattrs.n;
	end = p->room->list + n;
	for (attr = p->room->list; attr < end; attr += strlen(attr) + 1)
		if (wanted(attr))
			EK_TRY(read_xattr(p, path, name, attr, e, err));
	return EK_OK;
}

static ek_status read_target(struct place *p, const char *name,
			     struct ek_scan_entry *e, struct ek_err *err)
{
	char target[EK_TREE_TARGET_MAX + 1];
	ssize_t n = readlinkat(p->fd, name, target, sizeof(target));

	if (n < 0)
		return fail_at(p, name, "cannot read the link", err);
	if (n > (ssize_t)EK_TREE_TARGET_MAX) {
		errno = ENAMETOOLONG;
		return fail_at(p, name, "the link's target", err);
	}
	e->size = (uint64_t)n;
	return keep(p->scan, target, (size_t)n, &e->target, err);
}

static void from_statx(struct ek_scan_entry *e, const struct statx *st)
{
	*e = (struct ek_scan_entry){
		.dev = makedev(st->stx_dev_major, st->stx_dev_minor),
		.ino = st->stx_ino,
		.mtime = st->stx_mtime.tv_sec,
		.mtime_nsec = st->stx_mtime.tv_nsec,
		.ctime = st->stx_ctime.tv_sec,
		.ctime_nsec = st->stx_ctime.tv_nsec,
		.mode = st->stx_mode,
		.nlink = st->stx_nlink,
		.uid = st->stx_uid,
		.gid = st->stx_gid,
	};
	if (S_ISREG(e->mode))
		e->size = st->stx_size;
	if (S_ISCHR(e->mode) || S_ISBLK(e->mode)) {
		e->rdev_major = st->stx_rdev_major;
		e->rdev_minor = st->stx_rdev_minor;
	}
}

static ek_status scan_entry(struct place *p, const char *name,
			    struct ek_err *err)
{
	struct ek_scan *scan = p->scan;
	struct ek_scan_entry e;
	struct statx st;
	size_t len = strlen(name);

	if (statx(p->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_BASIC_STATS, &st) < 0)
		return fail_at(p, name, "cannot look at it", err);
	if (len > EK_TREE_NAME_MAX) {
		errno = ENAMETOOLONG;
		return fail_at(p, name, "the name", err);
	}
	from_statx(&e, &st);
	e.name_len = (uint16_t)len;
	EK_TRY(keep(scan, name, len, &e.name, err));
	if (S_ISLNK(e.mode))
		EK_TRY(read_target(p, name, &e, err));
	if (scan->scanner->xattrs)
		EK_TRY(read_xattrs(p, name, &e, err));
	return ek_vec_push(&scan->entries, e, ENTRIES_MAX, err);
}

static ek_status dropped(const struct ek_scan *scan, const char *name,
			 bool *drop, struct ek_err *err)
{
	const struct ek_filter *filter = scan->scanner->filter;
	char *path EK_AUTO_FREE = NULL;

	*drop = false;
	if (ek_filter_empty(filter))
		return EK_OK;
	path = malloc(strlen(scan->path) + strlen(name) + 2);
	if (!path)
		return ek_fail(err, EK_NOMEM, "no memory for the walk");
	stpcpy(stpcpy(stpcpy(path, scan->path), *scan->path ? "/" : ""), name);
	*drop = ek_filter_drops(filter, path);
	return EK_OK;
}

static bool cancelled(const struct ek_scanner *scanner)
{
	return scanner->cancel && *scanner->cancel;
}

static ek_status scan_batch(struct place *p, size_t n, struct ek_err *err)
{
	const char *at = (const char *)p->room->dents;

	for (const char *end = at + n; at < end;) {
		const struct dirent64 *d = (const void *)at;
		const char *name = d->d_name;
		bool drop;

		at += d->d_reclen;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (cancelled(p->scan->scanner))
			return ek_fail(err, EK_CANCELLED, "cancelled");
		EK_TRY(dropped(p->scan, name, &drop, err));
		if (!drop)
			EK_TRY(scan_entry(p, name, err));
	}
	return EK_OK;
}

static ek_status scan_directory(struct ek_scan *scan, unsigned worker,
				struct ek_err *err)
{
	const struct ek_scanner *s = scan->scanner;
	int fd EK_AUTO_CLOSE = ek_root_at(s->root, scan->path,
					  O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct place p = {
		.scan = scan,
		.room = s->rooms[worker],
		.fd = fd,
	};

	if (fd < 0)
		return fail_at(&p, "", "cannot open the directory", err);
	for (;;) {
		ssize_t n =
			getdents64(fd, p.room->dents, sizeof(p.room->dents));

		if (n == 0)
			return EK_OK;
		if (n < 0)
			return fail_at(&p, "", "cannot read the directory",
				       err);
		EK_TRY(scan_batch(&p, (size_t)n, err));
	}
}

ek_status ek_scan_run(struct ek_job *job, unsigned worker, struct ek_err *err)
{
	struct ek_scan *scan = ((struct ek_scan_job *)job)->scans;

	for (; scan; scan = scan->next)
		EK_TRY(scan_directory(scan, worker, err));
	return EK_OK;
}

struct ek_scan *ek_scan_new(const struct ek_scanner *scanner,
			    struct ek_tree_node *node, struct ek_err *err)
{
	struct ek_scan *scan = calloc(1, sizeof(*scan));
	char *path = scan ? ek_tree_path(node) : NULL;

	if (!path) {
		free(scan);
		ek_fail(err, EK_NOMEM, "no memory for the walk");
		return NULL;
	}
	memmove(path, path + 1, strlen(path));
	scan->path = path;
	scan->scanner = scanner;
	scan->node = node;
	scan->blob = EK_BUF_INIT(BLOB_MAX);
	return scan;
}

ek_status ek_scan_root(struct ek_scan *scan, struct ek_err *err)
{
	struct place p = {
		.scan = scan,
		.room = scan->scanner->rooms[0],
		.fd = scan->scanner->root->fd,
	};

	return scan_entry(&p, ".", err);
}
