/* SPDX-License-Identifier: Apache-2.0 */
#include "source/tar_priv.h"

#include "base/bytes.h"
#include "base/try.h"
#include "format/xattr.h"
#include "os/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPOOL_PIECE (1u << 20)

struct tar_source {
	struct ek_tree_source base;
	struct ek_place_device device;
	struct ek_source *archive; /* borrowed, may be NULL */
	uint64_t device_offset;	   /* of the archive's first byte */
	int spool_fd;		   /* borrowed, or -1 */
	char *name;
};

struct ek_file {
	struct tar_source *src;
	const struct ek_tar_data *data;
};

static ek_status tar_open(struct ek_tree_source *src,
			  const struct ek_tree_inode *inode,
			  struct ek_file **file, struct ek_err *err)
{
	struct ek_file *f = calloc(1, sizeof(*f));

	if (!f)
		return ek_fail(err, EK_NOMEM, "no memory for a file");
	f->src = (struct tar_source *)src;
	f->data = inode->data;
	*file = f;
	return EK_OK;
}

/* Stored bytes: in the archive, or where they were spooled to. */
static ek_status stored(const struct ek_file *f, uint64_t offset, void *to,
			size_t n, struct ek_err *err)
{
	struct tar_source *s = f->src;
	uint64_t first = f->data->n_places ? f->data->places[0].offset : 0;

	if (s->spool_fd >= 0)
		return ek_pread_all(s->spool_fd, "the spool",
				    f->data->spooled + (offset - first), to, n,
				    err);
	if (s->archive)
		return ek_source_read(s->archive, offset - s->device_offset, to,
				      n, err);
	return ek_fail(err, EK_INVALID, "%s: its data was not kept", s->name);
}

static ek_status tar_read(struct ek_file *f, uint64_t offset, void *to,
			  size_t n, struct ek_err *err)
{
	uint64_t end = offset + n;

	memset(to, 0, n);
	for (size_t i = 0; i < f->data->n_places; i++) {
		const struct ek_place *p = &f->data->places[i];
		uint64_t from = ek_max(offset, p->at);
		uint64_t till = ek_min(end, p->at + p->length);

		if (p->at >= end)
			break;
		if (from < till)
			EK_TRY(stored(f, p->offset + (from - p->at),
				      (uint8_t *)to + (from - offset),
				      (size_t)(till - from), err));
	}
	return EK_OK;
}

static ek_status tar_close(struct ek_file *f, struct ek_err *err)
{
	(void)err;
	free(f);
	return EK_OK;
}

static ek_status tar_place(struct ek_tree_source *src,
			   const struct ek_tree_inode *inode,
			   const struct ek_place **places, size_t *n,
			   struct ek_err *err)
{
	const struct ek_tar_data *data = inode->data;

	(void)src;
	(void)err;
	*places = data->places;
	*n = data->n_places;
	return EK_OK;
}

static void tar_free(struct ek_tree_source *src)
{
	struct tar_source *s = (struct tar_source *)src;

	ek_tree_free(s->base.tree);
	free(s->name);
	free(s);
}

static const struct ek_tree_source_ops tar_ops = {
	.open = tar_open,
	.read = tar_read,
	.close = tar_close,
	.free = tar_free,
	.place = tar_place,
};

/* Copy the stored bytes of the current member behind those before it. */
static ek_status spool(struct ek_tar_build *b, struct ek_tar_data *data,
		       struct ek_err *err)
{
	EK_AUTO_FREE uint8_t *piece = malloc(SPOOL_PIECE);
	size_t got = 0;

	if (!piece)
		return ek_fail(err, EK_NOMEM, "no memory for a copy");
	data->spooled = b->spool_at;
	do {
		ek_status status =
			ek_tar_read(b->tar, piece, SPOOL_PIECE, &got, err);

		b->named = status != EK_OK;
		EK_TRY(status);
		EK_TRY(ek_pwrite_all(b->options->spool_fd, "the spool",
				     b->spool_at, piece, got, err));
		b->spool_at += got;
	} while (got == SPOOL_PIECE);
	return EK_OK;
}

static ek_status file_data(struct ek_tar_build *b, struct ek_tree_inode *inode,
			   struct ek_err *err)
{
	const struct ek_tar_entry *e = b->e;
	struct ek_tar_data *data =
		ek_arena_alloc(b->tree->arena, sizeof(*data));
	size_t n = e->sparse ? e->n_segments : 1;
	uint64_t base = b->options->device_offset;

	if (data && n)
		data->places = ek_arena_alloc(b->tree->arena,
					      n * sizeof(*data->places));
	if (!data || (n && !data->places))
		return ek_fail(err, EK_NOMEM, "no memory for a file's places");
	inode->data = data;
	inode->size = e->size;
	for (size_t i = 0; e->sparse && i < n; i++) {
		if (!e->segments[i].length)
			continue;
		data->places[data->n_places++] = (struct ek_place){
			.at = e->segments[i].at,
			.length = e->segments[i].length,
			.offset = base + e->segments[i].stored,
			.device = 1,
		};
	}
	if (!e->sparse && e->stored_size)
		data->places[data->n_places++] = (struct ek_place){
			.length = e->stored_size,
			.offset = base + e->data_offset,
			.device = 1,
		};
	if (b->options->spool_fd >= 0 && data->n_places)
		EK_TRY(spool(b, data, err));
	return EK_OK;
}

static ek_status take_xattrs(struct ek_tar_build *b,
			     struct ek_tree_inode *inode, struct ek_err *err)
{
	const struct ek_tar_entry *e = b->e;
	EK_AUTO_FREE const struct ek_tree_xattr **list = NULL;
	size_t n = 0, plen;
	uint8_t index;

	if (!e->n_xattrs || b->options->no_xattrs)
		return EK_OK;
	list = calloc(e->n_xattrs, sizeof(*list));
	if (!list)
		return ek_fail(err, EK_NOMEM, "no memory for attributes");
	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct ek_tar_xattr *x = &e->xattrs[i];

		if (b->options->strip_overlay && ek_overlay_xattr(x->name))
			continue;
		/* Those of other systems (com.apple.provenance). */
		if (!ek_xattr_split(x->name, strlen(x->name), &index, &plen)) {
			b->notes->dropped_xattrs++;
			continue;
		}
		EK_TRY(ek_tree_xattr(b->tree, x->name, x->value, x->value_len,
				     &list[n++], err));
	}
	return ek_tree_set_xattrs(b->tree, inode, list, n, err);
}

static uint32_t type_bits(enum ek_tar_type type)
{
	switch (type) {
	case EK_TAR_SYMLINK:
		return S_IFLNK;
	case EK_TAR_CHAR_DEVICE:
		return S_IFCHR;
	case EK_TAR_BLOCK_DEVICE:
		return S_IFBLK;
	case EK_TAR_DIRECTORY:
		return S_IFDIR;
	case EK_TAR_FIFO:
		return S_IFIFO;
	default:
		return S_IFREG;
	}
}

static ek_status make_inode(struct ek_tar_build *b,
			    struct ek_tree_inode **inode, struct ek_err *err)
{
	const struct ek_tar_entry *e = b->e;
	struct ek_tree_inode *i;
	size_t n;

	EK_TRY(ek_tree_inode(b->tree, type_bits(e->type) | e->mode, &i, err));
	i->uid = e->uid;
	i->gid = e->gid;
	i->mtime = e->mtime;
	i->mtime_nsec = e->mtime_nsec;
	i->rdev_major = e->rdev_major;
	i->rdev_minor = e->rdev_minor;
	EK_TRY(take_xattrs(b, i, err));
	if (e->type == EK_TAR_SYMLINK) {
		/* As Linux makes each, whatever the archive says. */
		i->mode = S_IFLNK | 0777;
		n = strlen(e->link);
		if (n == 0 || n > EK_TREE_TARGET_MAX)
			return ek_fail(err, EK_CORRUPT,
				       "a symlink's target of %zu bytes", n);
		i->target = ek_arena_copy(b->tree->arena, e->link, n);
		if (!i->target)
			return ek_fail(err, EK_NOMEM, "no memory for a target");
		i->size = n;
	}
	if (e->type == EK_TAR_FILE)
		EK_TRY(file_data(b, i, err));
	*inode = i;
	return EK_OK;
}

/* A link to what has come already, or one to be looked up at the end. */
static ek_status hard_link(struct ek_tar_build *b, struct ek_edit_node *parent,
			   const char *name, size_t n, struct ek_err *err)
{
	struct ek_edit_node *target = NULL;
	struct ek_tar_later later = {.parent = parent};

	EK_TRY(ek_tar_find(b, b->e->link, &target, err));
	if (target && S_ISDIR(target->inode->mode))
		return ek_fail(err, EK_CORRUPT, "hard link to directory '%s'",
			       b->e->link);
	if (target)
		return ek_edit_put(b->edit, parent, name, n, target->inode,
				   NULL, err);
	later.name = ek_arena_copy(b->tree->arena, name, n);
	later.link =
		ek_arena_copy(b->tree->arena, b->e->link, strlen(b->e->link));
	if (!later.name || !later.link)
		return ek_fail(err, EK_NOMEM, "no memory for a link");
	return ek_vec_push(&b->later, later, UINT32_MAX, err);
}

static ek_status put_root(struct ek_tar_build *b, struct ek_err *err)
{
	struct ek_tree_inode *inode;

	if (b->e->type != EK_TAR_DIRECTORY)
		return ek_fail(err, EK_CORRUPT,
			       "the root can only be a directory");
	EK_TRY(make_inode(b, &inode, err));
	ek_edit_root(b->edit)->inode = inode;
	return EK_OK;
}

/*
 * A whiteout's mark on a directory outlives a member for that directory that
 * comes after it: keep overlayfs's attributes of the old inode. A directory in
 * the place of a whiteout shows nothing of those below.
 */
static ek_status keep_marks(struct ek_tar_build *b, struct ek_edit_node *old,
			    struct ek_tree_inode *inode, struct ek_err *err)
{
	if (!old || !b->options->aufs || !S_ISDIR(inode->mode))
		return EK_OK;
	if (ek_is_whiteout(old->inode))
		return ek_tar_make_opaque(b, inode, err);
	for (uint32_t i = 0; i < old->inode->n_xattrs; i++) {
		const struct ek_tree_xattr *x = old->inode->xattrs[i];

		if (ek_overlay_xattr(x->name))
			EK_TRY(ek_tar_add_xattr(b, inode, x->name, x->value,
						x->value_len, err));
	}
	return EK_OK;
}

static ek_status member(struct ek_tar_build *b, struct ek_err *err)
{
	const struct ek_tar_entry *e = b->e;
	struct ek_edit_node *parent;
	struct ek_tree_inode *inode;
	const char *name = NULL;
	size_t n = 0;
	enum ek_whiteout kind;

	EK_TRY(ek_tar_parent(b, e->path, &parent, &name, &n, err));
	if (!n)
		return put_root(b, err);
	kind = b->options->aufs ? ek_whiteout_of(name, n) : EK_WHITEOUT_NONE;
	if (kind != EK_WHITEOUT_NONE)
		return ek_tar_whiteout(b, kind, parent, name, n, err);
	if (e->type == EK_TAR_HARDLINK)
		return hard_link(b, parent, name, n, err);
	if (b->options->strip_overlay && e->type == EK_TAR_CHAR_DEVICE &&
	    !e->rdev_major && !e->rdev_minor)
		return EK_OK;
	EK_TRY(make_inode(b, &inode, err));
	EK_TRY(keep_marks(b, ek_edit_find(b->edit, parent, name, n), inode,
			  err));
	return ek_edit_put(b->edit, parent, name, n, inode, NULL, err);
}

static ek_status one_member(struct ek_tar_build *b, struct ek_err *err)
{
	const struct ek_tar_entry *e = b->e;
	ek_status status;

	b->notes->members++;
	b->notes->dropped_acls += e->dropped;
	if (e->type == EK_TAR_OTHER) {
		b->notes->unknown_members++;
		return EK_OK;
	}
	if (e->type == EK_TAR_LABEL) {
		strncpy(b->notes->label, e->path, sizeof(b->notes->label) - 1);
		return EK_OK;
	}
	status = member(b, err);
	if (status != EK_OK && !b->named)
		ek_err_prefix(err, "%s: member '%s' at byte %llu", b->name,
			      e->path, (unsigned long long)e->header_offset);
	return status;
}

/* *done when the target of @l has come by now. */
static ek_status late_link(struct ek_tar_build *b, struct ek_tar_later *l,
			   bool *done, struct ek_err *err)
{
	struct ek_edit_node *target = NULL;

	EK_TRY(ek_tar_find(b, l->link, &target, err));
	*done = target != NULL;
	if (!target)
		return EK_OK;
	if (S_ISDIR(target->inode->mode))
		return ek_fail(err, EK_CORRUPT,
			       "%s: hard link '%s' to directory '%s'", b->name,
			       l->name, l->link);
	if (l->parent->removed || !S_ISDIR(l->parent->inode->mode))
		return ek_fail(err, EK_CORRUPT,
			       "%s: the directory of hard link '%s' was "
			       "replaced",
			       b->name, l->name);
	EK_TRY(ek_edit_put(b->edit, l->parent, l->name, strlen(l->name),
			   target->inode, NULL, err));
	l->name = NULL;
	return EK_OK;
}

/*
 * A link may wait for another late link: go round as long as it helps, but not
 * for ever over a chain that somebody made for that.
 */
#define LATE_ROUNDS 32

static ek_status late_links(struct ek_tar_build *b, struct ek_err *err)
{
	const struct ek_tar_later *open = NULL;

	for (unsigned round = 0; round < LATE_ROUNDS; round++) {
		open = NULL;
		for (size_t i = 0; i < b->later.n; i++) {
			bool done = true;

			if (b->later.at[i].name)
				EK_TRY(late_link(b, &b->later.at[i], &done,
						 err));
			if (!done)
				open = &b->later.at[i];
		}
		if (!open)
			return EK_OK;
	}
	return ek_fail(err, EK_CORRUPT,
		       "%s: hard link '%s' to '%s', which no member is",
		       b->name, open->name, open->link);
}

static ek_status all_members(struct ek_tar_build *b, struct ek_err *err)
{
	for (;;) {
		if (b->options->cancel && *b->options->cancel)
			return ek_fail(err, EK_CANCELLED, "stopped");
		EK_TRY(ek_tar_next(b->tar, &b->e, err));
		if (!b->e)
			break;
		EK_TRY(one_member(b, err));
	}
	b->notes->trailing_bytes = ek_tar_trailing(b->tar);
	b->notes->archive_bytes = ek_tar_offset(b->tar);
	EK_TRY(late_links(b, err));
	EK_TRY(ek_edit_finish(b->edit, err));
	return ek_tree_seal(b->tree, err);
}

static ek_status read_members(struct ek_tar_input *in, const char *name,
			      struct ek_tar_build *b, struct ek_err *err)
{
	struct ek_tar_options o = {.size = sizeof(o),
				   .headers_only = b->options->headers_only};
	ek_status status;

	EK_TRY(ek_tree_new(&b->tree, err));
	b->tree->root->inode->implied = true;
	status = ek_edit_new(b->tree, &b->edit, err);
	if (status == EK_OK)
		status = ek_tar_open(in, name, &o, &b->tar, err);
	if (status == EK_OK)
		status = all_members(b, err);
	ek_tar_free(b->tar);
	ek_edit_free(b->edit);
	ek_vec_free(&b->later);
	free(b->last_path);
	if (status != EK_OK) {
		ek_tree_free(b->tree);
		b->tree = NULL;
	}
	return status;
}

ek_status ek_source_tar(struct ek_tar_input *in, struct ek_source *archive,
			const char *name,
			const struct ek_source_tar_options *options,
			struct ek_tree_source **src,
			struct ek_layer_notes *notes, struct ek_err *err)
{
	struct tar_source *s = calloc(1, sizeof(*s));
	struct ek_tar_build b = {
		.options = options, .notes = notes, .name = name};
	ek_status status;

	memset(notes, 0, sizeof(*notes));
	if (!s || !(s->name = strdup(name))) {
		free(s);
		return ek_fail(err, EK_NOMEM, "no memory for a tar");
	}
	status = read_members(in, name, &b, err);
	if (status != EK_OK) {
		free(s->name);
		free(s);
		return status;
	}
	s->base.ops = &tar_ops;
	s->base.tree = b.tree;
	s->device.bytes = options->device_bytes;
	/* A loop device has whole sectors only: an odd end is out of reach. */
	if (!s->device.bytes)
		s->device.bytes = notes->archive_bytes / 512 * 512;
	s->device_offset = options->device_offset;
	if (options->device_tag)
		strncpy(s->device.tag, options->device_tag,
			sizeof(s->device.tag) - 1);
	s->base.devices = &s->device;
	s->base.n_devices = 1;
	s->archive = archive;
	s->spool_fd = options->spool_fd;
	*src = &s->base;
	return EK_OK;
}
