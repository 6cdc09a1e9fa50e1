/* SPDX-License-Identifier: Apache-2.0 */
#include "extract/data.h"
#include "extract/listing.h"
#include "extract/pax.h"
#include "base/arena.h"
#include "base/idmap.h"
#include "base/try.h"

#include <erofskit/extract.h>

#include <string.h>
#include <sys/stat.h>

/*
 * A tar stream of a tree, depth first in the order of the directories. A
 * frame holds one open directory's names; the path of the node in work is one
 * buffer that grows and shrinks.
 */

#define TAR_DEPTH_MAX ((size_t)1 << 20)
#define TAR_PATH_MAX  ((size_t)256 << 20)
#define TAR_LINKS_MAX ((size_t)UINT32_MAX - 1)
#define TAR_ZEROS     65536u

struct frame {
	struct ek_listing listing;
	size_t next;	 /* entry to write */
	size_t path_len; /* of the path up to this directory */
};

struct tar {
	struct ek_image *image;
	const struct ek_extract_options *options;
	struct ek_extract_result *result;
	ek_write_fn write;
	void *arg;
	EK_VEC(struct frame) frames;
	struct ek_buf path; /* "/", "/a", "/a/b"; a NUL behind its end */
	struct ek_buf records, headers;
	struct ek_data_buf data;
	struct ek_arena *arena;
	struct ek_idmap dirs, files;
	EK_VEC(const char *) firsts; /* path of an inode's first name */
	uint64_t names_left;
};

static ek_status put(struct tar *t, const void *bytes, size_t n,
		     struct ek_err *err)
{
	if (t->options->cancel && *t->options->cancel)
		return ek_fail(err, EK_CANCELLED, "stopped");
	return t->write(t->arg, bytes, n, err);
}

static ek_status put_zeros(struct tar *t, uint64_t n, struct ek_err *err)
{
	static const uint8_t zeros[TAR_ZEROS];

	while (n) {
		size_t piece = (size_t)ek_min(n, sizeof(zeros));

		EK_TRY(put(t, zeros, piece, err));
		n -= piece;
	}
	return EK_OK;
}

static ek_status put_piece(void *arg, uint64_t offset, const uint8_t *bytes,
			   uint64_t n, struct ek_err *err)
{
	struct tar *t = arg;
	uint64_t limit = t->options->max_bytes;

	(void)offset;
	if (limit && (n > limit || t->result->bytes > limit - n))
		return ek_fail(err, EK_LIMIT,
			       "more than %llu bytes of file data",
			       (unsigned long long)limit);
	t->result->bytes += n;
	return bytes ? put(t, bytes, (size_t)n, err) : put_zeros(t, n, err);
}

static ek_status add_xattr(void *arg, const struct ek_xattr *xattr,
			   struct ek_err *err)
{
	return pax_xattr(arg, xattr, err);
}

/* Hard links: the path that the inode has in the stream, if it is there. */
static ek_status first_path(struct tar *t, const struct ek_node *node,
			    const char **first, struct ek_err *err)
{
	uint32_t i;
	const char *kept;

	*first = NULL;
	if (node->nlink < 2 || S_ISDIR(node->mode))
		return EK_OK;
	if (ek_idmap_find(&t->files, node->nid, &i)) {
		*first = t->firsts.at[i];
		return EK_OK;
	}
	kept = ek_arena_copy(t->arena, t->path.data + 1, t->path.len - 1);
	if (!kept)
		return ek_fail(err, EK_NOMEM, "a path");
	EK_TRY(ek_idmap_add(&t->files, node->nid, (uint32_t)t->firsts.n,
			    TAR_LINKS_MAX, err));
	return ek_vec_push(&t->firsts, kept, TAR_LINKS_MAX, err);
}

static void count(struct tar *t, const struct ek_node *node, bool link)
{
	struct ek_extract_result *r = t->result;

	if (link)
		r->hard_links++;
	else if (S_ISDIR(node->mode))
		r->directories++;
	else if (S_ISREG(node->mode))
		r->files++;
	else if (S_ISLNK(node->mode))
		r->symlinks++;
	else
		r->others++;
}

static ek_status member(struct tar *t, const struct ek_node *node,
			struct ek_err *err)
{
	EK_AUTO_FREE char *target = NULL;
	struct pax_member m = {.node = node};

	m.path = (char *)t->path.data + 1;
	EK_TRY(first_path(t, node, &m.target, err));
	m.hard_link = m.target != NULL;
	if (S_ISLNK(node->mode) && !m.hard_link) {
		EK_TRY(ek_image_readlink(t->image, node, &target, err));
		m.target = target;
	}
	if (S_ISREG(node->mode) && !m.hard_link)
		m.size = node->size;
	t->records.len = t->headers.len = 0;
	if (node->xattr_size && !t->options->no_xattrs && !m.hard_link)
		EK_TRY(ek_image_xattrs(t->image, node, add_xattr, &t->records,
				       err));
	EK_TRY(pax_headers(&m, &t->records, &t->headers, err));
	EK_TRY(put(t, t->headers.data, t->headers.len, err));
	count(t, node, m.hard_link);
	if (!m.size)
		return EK_OK;
	EK_TRY(ek_data_walk(t->image, node, &t->data, put_piece, t, err));
	return put_zeros(t, (PAX_BLOCK - m.size % PAX_BLOCK) % PAX_BLOCK, err);
}

/* Set the path to its first @keep bytes and, after a slash, @name. */
static ek_status set_path(struct tar *t, size_t keep, const char *name,
			  struct ek_err *err)
{
	t->path.len = keep;
	return ek_buf_printf(&t->path, err, "%s%s", keep > 1 ? "/" : "", name);
}

static ek_status push_dir(struct tar *t, const struct ek_node *node,
			  struct ek_err *err)
{
	struct frame frame = {.path_len = t->path.len};
	ek_status status;

	if (ek_idmap_find(&t->dirs, node->nid, NULL))
		return ek_fail(err, EK_CORRUPT,
			       "a directory that has another name already");
	EK_TRY(ek_idmap_add(&t->dirs, node->nid, 0, TAR_LINKS_MAX, err));
	frame.listing.budget = &t->names_left;
	status = ek_listing_read(&frame.listing, t->image, node, err);
	if (status == EK_OK)
		status = ek_vec_push(&t->frames, frame, TAR_DEPTH_MAX, err);
	if (status != EK_OK)
		ek_listing_free(&frame.listing);
	return status;
}

static ek_status visit(struct tar *t, const struct ek_node *node,
		       struct ek_err *err)
{
	if (S_ISSOCK(node->mode)) {
		t->result->skipped++;
		if (t->options->note)
			t->options->note(t->options->note_arg,
					 (char *)t->path.data, EK_OK,
					 "left out: tar has no sockets");
		return EK_OK;
	}
	EK_TRY(member(t, node, err));
	return S_ISDIR(node->mode) ? push_dir(t, node, err) : EK_OK;
}

static ek_status next_entry(struct tar *t, struct ek_err *err)
{
	struct frame *f = &t->frames.at[t->frames.n - 1];
	struct ek_node node;
	ek_status status;
	size_t i;

	if (f->next == f->listing.entries.n) {
		ek_listing_free(&f->listing);
		t->frames.n--;
		return EK_OK;
	}
	i = f->next++;
	EK_TRY(set_path(t, f->path_len, ek_listing_name(&f->listing, i), err));
	status = ek_image_node(t->image, f->listing.entries.at[i].nid, &node,
			       err);
	if (status == EK_OK)
		status = visit(t, &node, err);
	if (status != EK_OK)
		ek_err_prefix(err, "%s", (char *)t->path.data);
	return status;
}

static ek_status run(struct tar *t, const struct ek_node *node,
		     const char *name, struct ek_err *err)
{
	t->arena = ek_arena_new();
	if (!t->arena)
		return ek_fail(err, EK_NOMEM, "memory for paths");
	EK_TRY(ek_buf_printf(&t->path, err, "/%s", name ? name : ""));
	EK_TRY(visit(t, node, err));
	while (t->frames.n)
		EK_TRY(next_entry(t, err));
	/* Two blocks of zeros end the stream; readers read 10 KiB at once. */
	return put_zeros(t, 2 * PAX_BLOCK, err);
}

ek_status ek_extract_tar(struct ek_image *image, const struct ek_node *node,
			 const char *name, ek_write_fn write, void *arg,
			 const struct ek_extract_options *options,
			 struct ek_extract_result *result, struct ek_err *err)
{
	static const struct ek_extract_options defaults = {
		.size = sizeof(defaults)};
	struct tar t = {.image = image, .write = write, .arg = arg};
	struct ek_extract_result unused;
	struct ek_node root;
	ek_status status;
	size_t i;

	t.options = options ? options : &defaults;
	t.result = result ? result : &unused;
	memset(t.result, 0, sizeof(*t.result));
	if (t.options->size != sizeof(*options))
		return ek_fail(err, EK_INVALID, "options of another size");
	if (!node) {
		EK_TRY(ek_image_root(image, &root, err));
		node = &root;
	}
	EK_TRY(ek_listing_check_name(node, name, err));
	t.names_left = ek_listing_budget(image);
	t.path.limit = TAR_PATH_MAX;
	t.records.limit = t.headers.limit = PAX_RECORDS_MAX;
	status = run(&t, node, name, err);
	for (i = 0; i < t.frames.n; i++)
		ek_listing_free(&t.frames.at[i].listing);
	ek_vec_free(&t.frames);
	ek_vec_free(&t.firsts);
	ek_buf_free(&t.path);
	ek_buf_free(&t.records);
	ek_buf_free(&t.headers);
	ek_data_buf_free(&t.data);
	ek_idmap_free(&t.dirs);
	ek_idmap_free(&t.files);
	ek_arena_free(t.arena);
	return status;
}
