/* SPDX-License-Identifier: Apache-2.0 */
#include "source/directory.h"

#include "base/bytes.h"
#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files beyond this get a hint that reads come in order. */
#define READAHEAD_FROM (256u << 10)

struct directory {
	struct ek_tree_source base;
	struct ek_root root;
};

struct ek_file {
	const struct directory *dir;
	const struct ek_tree_inode *inode;
	int fd;
	/*
	 * The file has fewer blocks than bytes: [run, run_end) is what was
	 * found last, all hole or all data.
	 */
	bool sparse, hole;
	uint64_t run, run_end;
};

static ek_status fail_file(const struct directory *dir,
			   const struct ek_tree_inode *inode, int sys,
			   const char *words, struct ek_err *err)
{
	char *path EK_AUTO_FREE = ek_tree_path(inode->first);

	return ek_root_fail(&dir->root, path ? path + 1 : "", "", sys, words,
			    err);
}

static ek_status changed(const struct ek_file *file, const char *words,
			 struct ek_err *err)
{
	char *path EK_AUTO_FREE = ek_tree_path(file->inode->first);

	return ek_fail(err, EK_CHANGED, "%s%s: %s", file->dir->root.path,
		       path ? path : "", words);
}

/* Not to wait for a writer if a file has become a FIFO. */
#define FILE_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* The descriptor of @node from the root, or -1 with errno. */
static int open_path(const struct directory *dir,
		     const struct ek_tree_node *node, int flags)
{
	char *path EK_AUTO_FREE = ek_tree_path(node);

	if (!path) {
		errno = ENOMEM;
		return -1;
	}
	return ek_root_at(&dir->root, path + 1, flags);
}

/* The same for a file, from the directory that @near keeps. */
static int open_name(const struct directory *dir,
		     const struct ek_tree_node *node, struct ek_near *near)
{
	if (near->dir != node->parent) {
		ek_near_close(near);
		near->fd = open_path(dir, node->parent,
				     O_PATH | O_DIRECTORY | O_NOFOLLOW);
		if (near->fd < 0)
			return -1;
		near->dir = node->parent;
	}
	return openat(near->fd, node->name, FILE_FLAGS | O_CLOEXEC);
}

static ek_status dir_open_near(struct ek_tree_source *src,
			       const struct ek_tree_inode *inode,
			       struct ek_near *near, struct ek_file **file,
			       struct ek_err *err)
{
	const struct directory *dir = (struct directory *)src;
	struct ek_file *f = calloc(1, sizeof(*f));
	struct stat st;

	if (!f)
		return ek_fail(err, EK_NOMEM, "no memory to open a file");
	f->dir = dir;
	f->inode = inode;
	f->fd = near ? open_name(dir, inode->first, near)
		     : open_path(dir, inode->first, FILE_FLAGS);
	if (f->fd < 0) {
		int sys = errno;

		free(f);
		return fail_file(dir, inode, sys, "cannot open the file", err);
	}
	if (inode->size > READAHEAD_FROM) {
		(void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		f->sparse = fstat(f->fd, &st) == 0 &&
			    (uint64_t)st.st_blocks < inode->size / 512;
	}
	*file = f;
	return EK_OK;
}

static ek_status dir_open(struct ek_tree_source *src,
			  const struct ek_tree_inode *inode,
			  struct ek_file **file, struct ek_err *err)
{
	return dir_open_near(src, inode, NULL, file, err);
}

/*
 * Find out what is at @offset. Zeros that need not be read are all that is
 * made of it: what is a hole in the image is decided by the bytes.
 */
static void find_run(struct ek_file *file, uint64_t offset)
{
	uint64_t size = file->inode->size;
	off_t at = (off_t)offset, data = lseek(file->fd, at, SEEK_DATA), end;

	file->hole = data != at;
	if (data == at)
		end = lseek(file->fd, at, SEEK_HOLE);
	else if (data < 0 && errno == ENXIO)
		/* No data from here on, if the file is still that long. */
		end = lseek(file->fd, 0, SEEK_END);
	else
		end = data;
	/* Cannot be told, or the file changes: read it. */
	if (end <= at) {
		file->sparse = file->hole = false;
		end = (off_t)size;
	}
	file->run = offset;
	file->run_end = ek_min((uint64_t)end, size);
}

/* Zeros that @file has at @offset without reading, at most @n; may be 0. */
static size_t hole_at(struct ek_file *file, uint64_t offset, size_t n)
{
	if (!file->sparse)
		return 0;
	if (offset < file->run || offset >= file->run_end)
		find_run(file, offset);
	return file->hole ? (size_t)ek_min(n, file->run_end - offset) : 0;
}

static ek_status dir_read(struct ek_file *file, uint64_t offset, void *to,
			  size_t n, struct ek_err *err)
{
	uint8_t *p = to;

	EK_BUG_ON(offset > file->inode->size || n > file->inode->size - offset);
	while (n > 0) {
		ssize_t got = (ssize_t)hole_at(file, offset, n);

		if (got)
			memset(p, 0, (size_t)got);
		else
			got = pread(file->fd, p, n, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_file(file->dir, file->inode, errno,
					 "cannot read", err);
		if (got == 0)
			return changed(file, "became shorter while it was read",
				       err);
		p += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return EK_OK;
}

static bool same(const struct ek_tree_inode *inode, const struct statx *st)
{
	const struct ek_dir_data *data = inode->data;

	return st->stx_size == inode->size &&
	       st->stx_mtime.tv_sec == inode->mtime &&
	       st->stx_mtime.tv_nsec == inode->mtime_nsec &&
	       st->stx_ctime.tv_sec == data->ctime &&
	       st->stx_ctime.tv_nsec == data->ctime_nsec;
}

static ek_status dir_close(struct ek_file *file, struct ek_err *err)
{
	ek_status s = EK_OK;
	struct statx st;

	if (statx(file->fd, "", AT_EMPTY_PATH,
		  STATX_SIZE | STATX_MTIME | STATX_CTIME, &st) < 0)
		s = fail_file(file->dir, file->inode, errno,
			      "cannot look at it again", err);
	else if (!same(file->inode, &st))
		s = changed(file, "changed while it was read", err);
	close(file->fd);
	free(file);
	return s;
}

static void dir_free(struct ek_tree_source *src)
{
	struct directory *dir = (struct directory *)src;

	ek_tree_free(dir->base.tree);
	ek_root_close(&dir->root);
	free(dir);
}

static const struct ek_tree_source_ops dir_ops = {
	.open = dir_open,
	.open_near = dir_open_near,
	.read = dir_read,
	.close = dir_close,
	.free = dir_free,
};

ek_status ek_source_directory(const char *path,
			      const struct ek_directory_options *options,
			      struct ek_tree_source **src, struct ek_err *err)
{
	static const struct ek_directory_options none;
	struct directory *dir = calloc(1, sizeof(*dir));
	ek_status s;

	if (!dir)
		return ek_fail(err, EK_NOMEM, "no memory for the source");
	dir->base.ops = &dir_ops;
	s = ek_root_open(&dir->root, path, err);
	if (s == EK_OK)
		s = ek_tree_new(&dir->base.tree, err);
	if (s == EK_OK)
		s = ek_walk(&dir->root, options ? options : &none,
			    dir->base.tree, err);
	if (s != EK_OK) {
		dir_free(&dir->base);
		return s;
	}
	*src = &dir->base;
	return EK_OK;
}
