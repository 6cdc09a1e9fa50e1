/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Links that one name may go through. */
#define LINKS_MAX 8
/* Members of an image archive: layers and a few small files. */
#define MEMBERS_MAX 100000u
#define SPOOL_NAME  ".input.tar"

static ek_status no_memory(struct ek_err *err)
{
	return ek_fail(err, EK_NOMEM, "no memory for an archive");
}

ek_status range_open(const struct range *range, struct range_source *src,
		     struct ek_err *err)
{
	*src = (struct range_source){0};
	CLI_TRY(ek_source_from_fd(range->fd, range->path, 0, &src->file, err));
	if (ek_source_slice(src->file, range->offset, range->bytes, &src->slice,
			    err) == EK_OK)
		return EK_OK;
	range_close(src);
	return ek_err_prefix(err, "%s", range->path);
}

void range_close(struct range_source *src)
{
	ek_source_free(src->slice);
	ek_source_free(src->file);
	*src = (struct range_source){0};
}

/* Keep @fd and @path (both become ours) until the archive is closed. */
static ek_status keep(struct archive *a, int fd, char *path, struct ek_err *err)
{
	struct archive_open *at =
		reallocarray(a->opened, a->n_opened + 1, sizeof(*a->opened));

	if (!at || !path) {
		if (at)
			a->opened = at;
		if (fd >= 0)
			close(fd);
		free(path);
		return no_memory(err);
	}
	a->opened = at;
	at[a->n_opened++] = (struct archive_open){.fd = fd, .path = path};
	return EK_OK;
}

static size_t hex_digits(const char *p)
{
	return strspn(p, "0123456789abcdef");
}

/* Whether image archives have members of that name. */
static bool usual(const char *name)
{
	static const char *const files[] = {
		"",	 ".",	       "manifest.json", "repositories",
		"blobs", "index.json", "oci-layout",
	};
	static const char *const ends[] = {
		"",	"/layer.tar", "/json",	  "/VERSION", ".json",
		".tar", ".tar.gz",    ".tar.zst", ".tar.xz",  ".tgz",
	};
	size_t n;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(name, files[i]) == 0)
			return true;
	if (strncmp(name, "blobs/", 6) == 0)
		return true;
	if (strncmp(name, "sha256:", 7) == 0)
		name += 7;
	n = hex_digits(name);
	for (size_t i = 0; n >= 12 && i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(name + n, ends[i]) == 0)
			return true;
	return false;
}

ek_status archive_resolve(const char *from, const char *link, char **name,
			  struct ek_err *err)
{
	const char *slash = strrchr(from, '/');
	size_t dir = link[0] == '/' || !slash ? 0 : (size_t)(slash - from);
	char *to = malloc(dir + strlen(link) + 3);
	size_t n = dir;

	if (!to)
		return no_memory(err);
	memcpy(to, from, dir);
	while (*link) {
		size_t len = strcspn(link, "/");

		if (len == 2 && link[0] == '.' && link[1] == '.') {
			while (n && to[n - 1] != '/')
				n--;
			if (n)
				n--;
		} else if (len && !(len == 1 && link[0] == '.')) {
			if (n)
				to[n++] = '/';
			memcpy(to + n, link, len);
			n += len;
		}
		link += len;
		link += *link == '/';
	}
	to[n] = 0;
	*name = to;
	return EK_OK;
}

static ek_status add_member(struct archive *a, const struct ek_tar_entry *e,
			    char *name, struct ek_err *err)
{
	struct archive_member *m =
		reallocarray(a->members, a->n_members + 1, sizeof(*a->members));

	if (m)
		a->members = m;
	if (!m || a->n_members == MEMBERS_MAX) {
		free(name);
		return m ? ek_fail(err, EK_LIMIT,
				   "%s: more than %u members of an image",
				   a->input, MEMBERS_MAX)
			 : no_memory(err);
	}
	m += a->n_members++;
	*m = (struct archive_member){.name = name};
	if (e->type == EK_TAR_FILE && !e->sparse) {
		m->offset = e->data_offset;
		m->bytes = e->stored_size;
		return EK_OK;
	}
	return archive_resolve(e->type == EK_TAR_HARDLINK ? "" : name, e->link,
			       &m->link, err);
}

/* Take members until one has a name that no image archive has. */
static ek_status scan(struct archive *a, struct ek_tar *tar, bool *all,
		      struct ek_err *err)
{
	*all = false;
	for (;;) {
		const struct ek_tar_entry *e = NULL;
		char *name = NULL;

		CLI_TRY(ek_tar_next(tar, &e, err));
		if (!e) {
			*all = true;
			return EK_OK;
		}
		if (e->type == EK_TAR_LABEL || e->type == EK_TAR_OTHER)
			continue;
		CLI_TRY(archive_resolve("", e->path, &name, err));
		if (!usual(name)) {
			free(name);
			return EK_OK;
		}
		if (e->type == EK_TAR_DIRECTORY)
			free(name);
		else
			CLI_TRY(add_member(a, e, name, err));
	}
}

static const struct archive_member *member(const struct archive *a,
					   const char *name)
{
	/* Of members of one name the last counts, as for tar. */
	for (size_t i = a->n_members; i-- > 0;)
		if (strcmp(a->members[i].name, name) == 0)
			return &a->members[i];
	return NULL;
}

static ek_status identify(struct archive *a, struct ek_err *err)
{
	struct ek_tar_input *in = NULL;
	struct range_source src;
	struct ek_tar *tar = NULL;
	bool all = false;
	ek_status s;

	CLI_TRY(range_open(&a->whole, &src, err));
	s = ek_tar_input_from_source(src.slice, &in, err);
	if (s == EK_OK)
		s = ek_tar_open(in, a->input, NULL, &tar, err);
	if (s == EK_OK)
		s = scan(a, tar, &all, err);
	ek_tar_free(tar);
	ek_tar_input_free(in);
	range_close(&src);
	a->kind = ARCHIVE_LAYER;
	if (all && member(a, "index.json") && member(a, "oci-layout"))
		a->kind = ARCHIVE_OCI;
	else if (all && member(a, "manifest.json"))
		a->kind = ARCHIVE_DOCKER;
	return s;
}

static ek_status spool(struct archive *a, int fd, uint64_t total,
		       const struct tarfs_options *o, struct store *store,
		       struct ek_err *err)
{
	struct tarfs_stop stop = {.signal = o->build.cancel};
	struct tarfs_copy_how how = {
		.name = a->input, .leaves = tarfs_leaves(o), .stop = &stop};
	struct ek_tar_input *in;
	char *path = NULL;
	ek_status s;

	CLI_TRY(store_file(store, SPOOL_NAME, &how.fd, &a->spool_file, err));
	a->spooled = true;
	CLI_TRY(store_rename(store, a->spool_file, "archive.tar", err));
	CLI_TRY(store_path(store, "archive.tar", &path, err));
	CLI_TRY(keep(a, -1, path, err));
	CLI_TRY(ek_tar_input_from_fd(fd, a->input, &in, err));
	if (!o->quiet && !o->json && isatty(STDOUT_FILENO))
		how.meter = tarfs_meter_new("Reading", total);
	how.to = path;
	s = tarfs_copy(in, &how, &a->copied, err);
	tarfs_meter_free(how.meter);
	ek_tar_input_free(in);
	a->whole = (struct range){
		.fd = how.fd,
		.path = path,
		.bytes = a->copied.bytes_out,
		.file_bytes = a->copied.bytes_out,
	};
	return s;
}

static ek_status open_file(struct archive *a, int fd, const struct stat *st,
			   const struct tarfs_options *o, struct store *store,
			   struct ek_err *err)
{
	uint8_t head[EK_STREAM_MAGIC];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	if (n < 0)
		return ek_fail_sys(err, errno, "%s", a->input);
	if (ek_stream_detect(head, (size_t)n) != EK_STREAM_PLAIN)
		return spool(a, fd, (uint64_t)st->st_size, o, store, err);
	a->whole = (struct range){
		.fd = fd,
		.path = a->opened[0].path,
		.bytes = (uint64_t)st->st_size,
		.file_bytes = (uint64_t)st->st_size,
	};
	return EK_OK;
}

static ek_status open_layout(struct archive *a, struct ek_err *err)
{
	a->kind = ARCHIVE_OCI;
	a->dir = a->opened[0].fd;
	if (faccessat(a->dir, "index.json", F_OK, 0) < 0 ||
	    faccessat(a->dir, "oci-layout", F_OK, 0) < 0)
		return ek_fail(err, EK_INVALID,
			       "%s: a directory that is no OCI layout",
			       a->input);
	return EK_OK;
}

ek_status archive_open(struct archive *a, const struct tarfs_options *o,
		       struct store *store, struct ek_err *err)
{
	const char *input = o->operands[0];
	bool standard = strcmp(input, "-") == 0;
	struct stat st;
	int fd;

	*a = (struct archive){.input = standard ? "standard input" : input,
			      .dir = -1};
	fd = standard ? dup(STDIN_FILENO) : open(input, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", a->input);
	CLI_TRY(keep(a, fd, standard ? strdup(a->input) : realpath(input, NULL),
		     err));
	if (fstat(fd, &st) < 0)
		return ek_fail_sys(err, errno, "%s", a->input);
	if (S_ISDIR(st.st_mode))
		return open_layout(a, err);
	if (standard || !S_ISREG(st.st_mode))
		CLI_TRY(spool(a, fd, 0, o, store, err));
	else
		CLI_TRY(open_file(a, fd, &st, o, store, err));
	return identify(a, err);
}

void archive_close(struct archive *a)
{
	for (size_t i = 0; i < a->n_opened; i++) {
		if (a->opened[i].fd >= 0)
			close(a->opened[i].fd);
		free(a->opened[i].path);
	}
	for (size_t i = 0; i < a->n_members; i++) {
		free(a->members[i].name);
		free(a->members[i].link);
	}
	free(a->opened);
	free(a->members);
	ek_leaves_free(a->copied.leaves);
	*a = (struct archive){.dir = -1};
}

static ek_status find_file(struct archive *a, const char *name,
			   struct range *range, struct ek_err *err)
{
	char proc[64], real[PATH_MAX];
	struct stat st;
	ssize_t n;
	int fd = openat(a->dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return ek_fail_sys(err, errno, "%s/%s", a->input, name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return ek_fail(err, EK_CORRUPT, "%s/%s: not a regular file",
			       a->input, name);
	}
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, real, sizeof(real) - 1);
	if (n > 0)
		real[n] = 0;
	else
		snprintf(real, sizeof(real), "%s/%s", a->opened[0].path, name);
	CLI_TRY(keep(a, fd, strdup(real), err));
	*range = (struct range){
		.fd = fd,
		.path = a->opened[a->n_opened - 1].path,
		.bytes = (uint64_t)st.st_size,
		.file_bytes = (uint64_t)st.st_size,
	};
	return EK_OK;
}

ek_status archive_find(struct archive *a, const char *name, struct range *range,
		       struct ek_err *err)
{
	const struct archive_member *m;
	char *clean = NULL;
	const char *at;

	if (a->dir >= 0)
		return find_file(a, name, range, err);
	CLI_TRY(archive_resolve("", name, &clean, err));
	at = clean;
	m = member(a, at);
	for (int i = 0; m && m->link && i < LINKS_MAX; i++)
		m = member(a, m->link);
	free(clean);
	if (!m)
		return ek_fail(err, EK_NOTFOUND, "%s: no member '%s'", a->input,
			       name);
	if (m->link)
		return ek_fail(err, EK_CORRUPT, "%s: '%s': too many links",
			       a->input, name);
	*range = a->whole;
	range->offset += m->offset;
	range->bytes = m->bytes;
	if (m->bytes > a->whole.bytes || m->offset > a->whole.bytes - m->bytes)
		return ek_fail(err, EK_CORRUPT, "%s: '%s' is cut", a->input,
			       name);
	return EK_OK;
}

ek_status archive_load(struct archive *a, const char *name, size_t max,
		       char **bytes, size_t *n, struct ek_err *err)
{
	struct range_source src;
	struct range range;
	char *to;
	ek_status s;

	CLI_TRY(archive_find(a, name, &range, err));
	if (range.bytes > max)
		return ek_fail(err, EK_LIMIT,
			       "%s: '%s' has more than %zu bytes", a->input,
			       name, max);
	to = malloc((size_t)range.bytes + 1);
	if (!to)
		return no_memory(err);
	s = range_open(&range, &src, err);
	if (s == EK_OK)
		s = ek_source_read(src.slice, 0, to, (size_t)range.bytes, err);
	if (s == EK_OK) {
		to[range.bytes] = 0;
		*bytes = to;
		*n = (size_t)range.bytes;
	} else {
		free(to);
	}
	range_close(&src);
	return s;
}
