/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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
	return EK_OK;
}

static ek_status walk_tree(const char *dir, const struct ek_walk_options *walk,
			   const struct ek_build_options *o,
			   const struct stat out[2],
			   struct ek_tree_source **src, struct ek_err *err)
{
	struct ek_walk_options w;
	struct ek_directory_options d = {
		.no_xattrs = o->xattr_share < 0,
		.skip_dev = out[0].st_dev,
		.skip_ino = out[0].st_ino,
		.skip_dev2 = out[1].st_dev,
		.skip_ino2 = out[1].st_ino,
		.workers = o->workers ? o->workers : ek_cpus(),
		.cancel = o->cancel,
	};

	EK_TRY(load_walk(walk, &w, err));
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
	struct stat st[2] = {0};
	ek_status status;

	EK_TRY(ek_build_options_load(options, &o, err));
	if (fstat(fd, &st[0]) < 0)
		return ek_fail_sys(err, errno, "%s", name);
	if (o.blob && fstat(o.blob_fd, &st[1]) < 0)
		return ek_fail_sys(err, errno, "the blob");
	EK_TRY(walk_tree(dir, walk, &o, st, &src, err));
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
