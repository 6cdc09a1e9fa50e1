/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Files to leave out, besides the outputs of the build itself. */
#define SKIP_MAX 8u

static ek_status load_walk(const struct ek_walk_options *from,
			   struct ek_walk_options *to, struct ek_err *err)
{
	memset(to, 0, sizeof(*to));
	if (!from)
		return EK_OK;
	if (from->size < sizeof(size_t) || from->size > sizeof(*to))
		return ek_fail(err, EK_INVALID,
			       "the size of the walk options is wrong");
	memcpy(to, from, from->size);
	if (to->n_skip_fds > SKIP_MAX)
		return ek_fail(err, EK_INVALID,
			       "%zu files to leave out: %u "
			       "at most",
			       to->n_skip_fds, SKIP_MAX);
	return EK_OK;
}

static ek_status add_skip(int fd, struct ek_file_id *skip, size_t *n,
			  struct ek_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return ek_fail_sys(err, errno, "an output");
	skip[(*n)++] = (struct ek_file_id){st.st_dev, st.st_ino};
	return EK_OK;
}

static ek_status walk_tree(const char *dir, const struct ek_walk_options *walk,
			   const struct ek_build_options *o, int fd,
			   struct ek_tree_source **src, struct ek_err *err)
{
	struct ek_file_id skip[SKIP_MAX + 2];
	struct ek_walk_options w;
	struct ek_directory_options d = {
		.no_xattrs = o->xattr_share < 0,
		.skip = skip,
		.workers = o->workers ? o->workers : ek_cpus(),
		.cancel = o->cancel,
	};

	EK_TRY(load_walk(walk, &w, err));
	EK_TRY(add_skip(fd, skip, &d.n_skip, err));
	if (o->blob)
		EK_TRY(add_skip(o->blob_fd, skip, &d.n_skip, err));
	for (size_t i = 0; i < w.n_skip_fds; i++)
		EK_TRY(add_skip(w.skip_fds[i], skip, &d.n_skip, err));
	d.exclude_paths = w.exclude_paths;
	d.n_exclude_paths = w.n_exclude_paths;
	d.exclude_regexes = w.exclude_regexes;
	d.n_exclude_regexes = w.n_exclude_regexes;
	d.hard_dereference = w.hard_dereference;
	return ek_source_directory(dir, &d, src, err);
}

ek_status ek_build_directory(const char *dir,
			     const struct ek_walk_options *walk,
			     const struct ek_build_options *options, int fd,
			     const char *name, struct ek_build_stats *stats,
			     struct ek_err *err)
{
	struct ek_build_options o;
	struct ek_tree_source *src;
	struct ek_sink *sink;
	int64_t start = ek_build_now(), walked;
	ek_status status;

	EK_TRY(ek_build_options_load(options, &o, err));
	EK_TRY(walk_tree(dir, walk, &o, fd, &src, err));
	walked = ek_build_now();
	status = ek_sink_from_fd(fd, name, 0, &sink, err);
	if (status == EK_OK) {
		status = ek_build_tree(src, &o, sink, stats, err);
		ek_sink_free(sink);
	}
	ek_tree_source_free(src);
	if (status == EK_OK && stats)
		stats->ns_walk = (uint64_t)(walked - start);
	return status;
}
