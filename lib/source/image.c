/* SPDX-License-Identifier: Apache-2.0 */
#include "source/image.h"

#include "base/bytes.h"
#include "base/try.h"
#include "base/vec.h"
#include "reader/reader.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Runs of one file: a hostile map could have one for each block. */
#define PLACES_MAX (1u << 22)

/*
 * An inode that says it has one name is not looked for again, unless so many
 * bytes or extents make it dear: damage can give it a name in every 13 bytes.
 */
#define DEAR 64u

/* So often pages of metadata are given back: many layers may be open. */
#define LOOKUPS_KEPT 16u

enum where {
	NOWHERE, /* a hole as a whole */
	INSIDE,	 /* not to be addressed */
	WHOLE,	 /* one run */
	MAPPED,	 /* to be looked up: the map may have more bytes than we have */
};

/* Of each file: small, there may be millions. */
struct image_file {
	uint64_t nid;
	uint64_t offset; /* WHOLE */
	uint16_t device;
	uint8_t where;
};

struct image_source {
	struct ek_tree_source base;
	struct ek_image *image;
	struct ek_place_device *devices;
	EK_VEC(struct ek_place) places; /* of the last file that was asked */
	unsigned lookups;
	uint64_t steps; /* looked at for them */
};

struct ek_file {
	struct ek_image *image;
	struct ek_node node;
};

/* A directory whose entries are still to be read. */
struct open_dir {
	struct ek_tree_node *to;
	struct ek_node node;
};

/* An inode of the image that several names have, or could. */
struct link {
	uint64_t nid;
	struct ek_tree_inode *inode;
};

struct walk {
	struct image_source *src;
	struct ek_tree *tree;
	struct ek_tree_node *dir; /* being read */
	EK_VEC(struct open_dir) dirs;
	struct link *slots; /* by NID, open addressing */
	size_t n_slots, n_links;
	EK_VEC(const struct ek_tree_xattr *) xattrs;
	uint64_t n_nodes, limit;
};

static ek_status image_open(struct ek_tree_source *src,
			    const struct ek_tree_inode *inode,
			    struct ek_file **file, struct ek_err *err)
{
	const struct image_file *from = inode->data;
	struct ek_file *f = calloc(1, sizeof(*f));
	ek_status status;

	if (!f)
		return ek_fail(err, EK_NOMEM, "no memory for a file");
	f->image = ((struct image_source *)src)->image;
	status = ek_image_node(f->image, from->nid, &f->node, err);
	if (status == EK_OK)
		*file = f;
	else
		free(f);
	return status;
}

static ek_status image_read(struct ek_file *f, uint64_t offset, void *to,
			    size_t n, struct ek_err *err)
{
	return ek_image_read(f->image, &f->node, offset, to, n, err);
}

static ek_status image_close(struct ek_file *f, struct ek_err *err)
{
	(void)err;
	free(f);
	return EK_OK;
}

static ek_status no_memory(struct ek_err *err)
{
	return ek_fail(err, EK_NOMEM, "no memory for the tree of an image");
}

/*
 * The device of @x and the offset on it; false: on none. Without its devices
 * an image gives addresses of the unified space.
 */
static bool on_device(const struct image_source *s, const struct ek_extent *x,
		      struct ek_place *p)
{
	const struct ek_image_info *info = ek_image_info(s->image);
	struct ek_image_device d;

	p->device = x->device;
	p->offset = x->physical;
	if (!info->n_devices)
		p->device = 1;
	for (unsigned i = 0; info->flattened && i < info->n_devices; i++) {
		uint64_t start, length;

		if (ek_image_device(s->image, i, &d, NULL) != EK_OK ||
		    !d.uniaddr)
			continue;
		start = d.uniaddr * info->block_size;
		length = d.blocks * info->block_size;
		if (x->physical < start || x->physical - start >= length)
			continue;
		p->device = (uint16_t)(i + 1);
		p->offset = x->physical - start;
	}
	return p->device != 0;
}

#define NO_PLACE                                                               \
	(EK_EXTENT_COMPRESSED | EK_EXTENT_INLINE | EK_EXTENT_FRAGMENT |        \
	 EK_EXTENT_PLAIN_PCLUSTER | EK_EXTENT_INTERLACED)

static bool continues(const struct ek_place *a, const struct ek_place *b)
{
	return a->device == b->device && a->at + a->length == b->at &&
	       a->offset + a->length == b->offset;
}

static ek_status find_places(struct image_source *s, const struct ek_node *node,
			     bool *none, struct ek_err *err)
{
	struct ek_place *last = NULL;
	uint64_t at = 0;

	s->places.n = 0;
	s->steps = 0;
	*none = false;
	while (at < node->size) {
		struct ek_extent x;
		struct ek_place p = {.at = at};

		s->steps++;
		EK_TRY(ek_image_map(s->image, node, at, &x, err));
		if (x.logical + x.logical_length <= at)
			return ek_fail(err, EK_CORRUPT,
				       "an extent that ends before its byte");
		p.length = x.logical + x.logical_length - at;
		at += p.length;
		if (!(x.flags & EK_EXTENT_MAPPED))
			continue;
		if (x.flags & NO_PLACE || !on_device(s, &x, &p)) {
			*none = true;
			return EK_OK;
		}
		if (last && continues(last, &p)) {
			last->length += p.length;
			continue;
		}
		EK_TRY(ek_vec_push(&s->places, p, PLACES_MAX, err));
		last = &s->places.at[s->places.n - 1];
	}
	return EK_OK;
}

static ek_status file_data(struct walk *w, const struct ek_node *node,
			   struct ek_tree_inode *inode, struct ek_err *err)
{
	struct image_file *f = ek_arena_alloc(w->tree->arena, sizeof(*f));
	const struct ek_place *p;
	bool none = false;

	if (!f)
		return no_memory(err);
	f->nid = node->nid;
	inode->data = f;
	EK_TRY(find_places(w->src, node, &none, err));
	p = w->src->places.at;
	if (none) {
		f->where = INSIDE;
	} else if (!w->src->places.n) {
		f->where = NOWHERE;
	} else if (w->src->places.n == 1 && !p->at && p->length == node->size) {
		f->where = WHOLE;
		f->offset = p->offset;
		f->device = p->device;
	} else {
		f->where = MAPPED;
	}
	return EK_OK;
}

static ek_status image_place(struct ek_tree_source *src,
			     const struct ek_tree_inode *inode,
			     const struct ek_place **places, size_t *n,
			     struct ek_err *err)
{
	struct image_source *s = (struct image_source *)src;
	const struct image_file *f = inode->data;
	const struct ek_place whole = {.length = inode->size,
				       .offset = f->offset,
				       .device = f->device};
	struct ek_node node;
	bool none = false;

	s->places.n = 0;
	if (f->where == WHOLE)
		EK_TRY(ek_vec_push(&s->places, whole, PLACES_MAX, err));
	if (f->where == MAPPED) {
		if (++s->lookups % LOOKUPS_KEPT == 0)
			ek_meta_forget(&s->image->meta);
		EK_TRY(ek_image_node(s->image, f->nid, &node, err));
		EK_TRY(find_places(s, &node, &none, err));
	}
	*places = s->places.at;
	*n = none || f->where == INSIDE ? EK_PLACE_NONE : s->places.n;
	return EK_OK;
}

static void image_free(struct ek_tree_source *src)
{
	struct image_source *s = (struct image_source *)src;

	ek_tree_free(s->base.tree);
	ek_vec_free(&s->places);
	free(s->devices);
	free(s);
}

static const struct ek_tree_source_ops image_ops = {
	.open = image_open,
	.read = image_read,
	.close = image_close,
	.free = image_free,
	.place = image_place,
};

static ek_status one_xattr(void *arg, const struct ek_xattr *x,
			   struct ek_err *err)
{
	struct walk *w = arg;
	const struct ek_tree_xattr *kept;

	EK_TRY(ek_tree_xattr(w->tree, x->name, x->value, x->value_len, &kept,
			     err));
	return ek_vec_push(&w->xattrs, kept, UINT16_MAX, err);
}

static ek_status symlink_target(struct walk *w, const struct ek_node *node,
				struct ek_tree_inode *inode, struct ek_err *err)
{
	EK_AUTO_FREE char *target = NULL;

	EK_TRY(ek_image_readlink(w->src->image, node, &target, err));
	inode->target = ek_arena_copy(w->tree->arena, target, strlen(target));
	return inode->target ? EK_OK : no_memory(err);
}

static ek_status make_inode(struct walk *w, const struct ek_node *node,
			    struct ek_tree_inode **inode, struct ek_err *err)
{
	struct ek_tree_inode *i;

	EK_TRY(ek_tree_inode(w->tree, node->mode, &i, err));
	i->uid = node->uid;
	i->gid = node->gid;
	i->mtime = node->mtime;
	i->mtime_nsec = node->mtime_nsec;
	i->rdev_major = node->rdev_major;
	i->rdev_minor = node->rdev_minor;
	w->xattrs.n = 0;
	EK_TRY(ek_image_xattrs(w->src->image, node, one_xattr, w, err));
	EK_TRY(ek_tree_set_xattrs(w->tree, i, w->xattrs.at, w->xattrs.n, err));
	if (S_ISREG(node->mode) || S_ISLNK(node->mode))
		i->size = node->size;
	if (S_ISLNK(node->mode))
		EK_TRY(symlink_target(w, node, i, err));
	if (S_ISREG(node->mode))
		EK_TRY(file_data(w, node, i, err));
	*inode = i;
	return EK_OK;
}

/* The slot of @nid, or the free one where it belongs. */
static struct link *link_slot(struct link *slots, size_t n, uint64_t nid)
{
	size_t i = (size_t)(nid * 0x9e3779b97f4a7c15ull >> 32) & (n - 1);

	while (slots[i].inode && slots[i].nid != nid)
		i = (i + 1) & (n - 1);
	return &slots[i];
}

/* At most half of the slots are taken. */
static ek_status more_slots(struct walk *w, struct ek_err *err)
{
	size_t n = w->n_slots ? w->n_slots * 2 : 64;
	struct link *slots;

	if (w->n_slots && w->n_links < w->n_slots / 2)
		return EK_OK;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return no_memory(err);
	for (size_t i = 0; i < w->n_slots; i++)
		if (w->slots[i].inode)
			*link_slot(slots, n, w->slots[i].nid) = w->slots[i];
	free(w->slots);
	w->slots = slots;
	w->n_slots = n;
	return EK_OK;
}

/* The inode of @node, which is no directory: made once where that matters. */
static ek_status linked_inode(struct walk *w, const struct ek_node *node,
			      struct ek_tree_inode **inode, struct ek_err *err)
{
	struct link *l;

	EK_TRY(more_slots(w, err));
	l = link_slot(w->slots, w->n_slots, node->nid);
	if (l->inode) {
		*inode = l->inode;
		return EK_OK;
	}
	w->src->steps = 0;
	EK_TRY(make_inode(w, node, inode, err));
	if (node->nlink <= 1 && w->src->steps <= DEAR && w->xattrs.n <= DEAR &&
	    !(S_ISLNK(node->mode) && node->size > DEAR))
		return EK_OK;
	*l = (struct link){.nid = node->nid, .inode = *inode};
	w->n_links++;
	return EK_OK;
}

static ek_status one_entry(void *arg, const struct ek_dirent *e,
			   struct ek_err *err)
{
	struct walk *w = arg;
	struct ek_tree_inode *inode = NULL;
	struct open_dir d;

	if (e->name[0] == '.' &&
	    (e->name_len == 1 || (e->name_len == 2 && e->name[1] == '.')))
		return EK_OK;
	/* A directory met twice would never end. */
	if (++w->n_nodes > w->limit)
		return ek_fail(err, EK_CORRUPT,
			       "more names than the image can hold: a loop");
	EK_TRY(ek_image_node(w->src->image, e->nid, &d.node, err));
	if (!S_ISDIR(d.node.mode))
		EK_TRY(linked_inode(w, &d.node, &inode, err));
	else
		EK_TRY(make_inode(w, &d.node, &inode, err));
	EK_TRY(ek_tree_add(w->tree, w->dir, e->name, e->name_len, inode, &d.to,
			   err));
	return S_ISDIR(d.node.mode) ? ek_vec_push(&w->dirs, d, UINT32_MAX, err)
				    : EK_OK;
}

static ek_status walk_all(struct walk *w, struct ek_err *err)
{
	struct open_dir d = {.to = w->tree->root};

	EK_TRY(ek_image_root(w->src->image, &d.node, err));
	EK_TRY(make_inode(w, &d.node, &w->tree->root->inode, err));
	EK_TRY(ek_vec_push(&w->dirs, d, UINT32_MAX, err));
	while (w->dirs.n) {
		d = w->dirs.at[--w->dirs.n];
		w->dir = d.to;
		EK_TRY(ek_image_readdir(w->src->image, &d.node, one_entry, w,
					err));
	}
	return ek_tree_seal(w->tree, err);
}

/* An image that is a device itself is known by its UUID, when it has one. */
static void uuid_tag(const uint8_t uuid[16], char tag[65])
{
	if (ek_all_zero(uuid, 16))
		return;
	for (int i = 0; i < 16; i++)
		snprintf(tag + 2 * i, 3, "%02x", uuid[i]);
}

static ek_status list_devices(struct image_source *s, uint64_t bytes,
			      struct ek_err *err)
{
	const struct ek_image_info *info = ek_image_info(s->image);
	struct ek_image_device d;

	s->base.n_devices = info->n_devices ? info->n_devices : 1;
	s->devices = calloc(s->base.n_devices, sizeof(*s->devices));
	if (!s->devices)
		return no_memory(err);
	s->base.devices = s->devices;
	s->devices[0].bytes = bytes;
	if (!info->n_devices)
		uuid_tag(info->uuid, s->devices[0].tag);
	for (unsigned i = 0; i < info->n_devices; i++) {
		EK_TRY(ek_image_device(s->image, i, &d, err));
		s->devices[i].bytes = d.blocks * info->block_size;
		memcpy(s->devices[i].tag, d.tag, sizeof(d.tag));
	}
	return EK_OK;
}

ek_status ek_source_image(struct ek_image *image, uint64_t bytes,
			  struct ek_tree_source **src, struct ek_err *err)
{
	struct image_source *s = calloc(1, sizeof(*s));
	/* A name takes at least 13 bytes of a directory. */
	struct walk w = {.src = s, .limit = bytes};
	ek_status status;

	if (!s)
		return no_memory(err);
	s->base.ops = &image_ops;
	s->image = image;
	status = ek_tree_new(&w.tree, err);
	s->base.tree = w.tree;
	if (status == EK_OK)
		status = list_devices(s, bytes, err);
	if (status == EK_OK)
		status = walk_all(&w, err);
	/* Of many layers to merge, all are open: keep no pages of them. */
	ek_meta_forget(&image->meta);
	ek_vec_free(&w.dirs);
	free(w.slots);
	ek_vec_free(&w.xattrs);
	if (status != EK_OK) {
		image_free(&s->base);
		return status;
	}
	*src = &s->base;
	return EK_OK;
}
