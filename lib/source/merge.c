/* SPDX-License-Identifier: Apache-2.0 */
#include "source/merge.h"

#include "base/try.h"
#include "base/vec.h"
#include "source/overlay.h"

#include <string.h>
#include <sys/stat.h>

/* One directory of one layer that takes part in a merged directory. */
struct part {
	struct ek_tree_node *dir;
	uint32_t next; /* its next child */
	uint16_t layer;
};

/* A merged directory whose children are still to be made; parts top first. */
struct work {
	struct ek_tree_node *to;
	struct part *parts;
	size_t n;
};

/* Of each file: small, there may be millions. */
struct merged_file {
	/* The layer's inode, or only its data where the inode became ours. */
	void *from;
	uint16_t layer;
};

struct merged {
	struct ek_tree_source base;
	struct ek_tree_source **layers;
	size_t n_layers;
	struct ek_place_device *devices;
	uint16_t *first_device;			/* of each layer, from 0 */
	bool placed;				/* every layer has devices */
	const struct ek_merge_options *options; /* while merging */
	EK_VEC(struct ek_place) places;		/* of the last place() */
	EK_VEC(struct work) work;
};

struct ek_file {
	const struct ek_tree_source_ops *ops;
	struct ek_file *inner;
};

static ek_status merged_open(struct ek_tree_source *src,
			     const struct ek_tree_inode *inode,
			     struct ek_file **file, struct ek_err *err)
{
	struct merged *m = (struct merged *)src;
	const struct merged_file *mf = inode->data;
	struct ek_tree_source *layer = m->layers[mf->layer];
	struct ek_tree_inode own = *inode;
	struct ek_file *f = calloc(1, sizeof(*f));
	ek_status status;

	if (!f)
		return ek_fail(err, EK_NOMEM, "no memory for a file");
	f->ops = layer->ops;
	own.data = mf->from;
	status = layer->ops->open(layer, m->placed ? &own : mf->from, &f->inner,
				  err);
	if (status == EK_OK)
		*file = f;
	else
		free(f);
	return status;
}

static ek_status merged_read(struct ek_file *file, uint64_t offset, void *to,
			     size_t n, struct ek_err *err)
{
	return file->ops->read(file->inner, offset, to, n, err);
}

static ek_status merged_close(struct ek_file *file, struct ek_err *err)
{
	ek_status status = file->ops->close(file->inner, err);

	free(file);
	return status;
}

static ek_status merged_place(struct ek_tree_source *src,
			      const struct ek_tree_inode *inode,
			      const struct ek_place **places, size_t *n,
			      struct ek_err *err)
{
	struct merged *m = (struct merged *)src;
	const struct merged_file *mf = inode->data;
	struct ek_tree_source *layer = m->layers[mf->layer];
	struct ek_tree_inode own = *inode;

	own.data = mf->from;
	EK_TRY(layer->ops->place(layer, &own, places, n, err));
	if (!*n || *n == EK_PLACE_NONE || !m->first_device[mf->layer])
		return EK_OK;
	m->places.n = 0;
	for (size_t i = 0; i < *n; i++) {
		struct ek_place p = (*places)[i];

		p.device = (uint16_t)(p.device + m->first_device[mf->layer]);
		EK_TRY(ek_vec_push(&m->places, p, SIZE_MAX, err));
	}
	*places = m->places.at;
	return EK_OK;
}

static void release(struct merged *m)
{
	for (size_t i = 0; i < m->work.n; i++)
		free(m->work.at[i].parts);
	ek_vec_free(&m->work);
	ek_vec_free(&m->places);
	ek_tree_free(m->base.tree);
	free(m->layers);
	free(m->devices);
	free(m->first_device);
	free(m);
}

static void merged_free(struct ek_tree_source *src)
{
	struct merged *m = (struct merged *)src;

	for (size_t i = 0; i < m->n_layers; i++)
		ek_tree_source_free(m->layers[i]);
	release(m);
}

static const struct ek_tree_source_ops with_places = {
	.open = merged_open,
	.read = merged_read,
	.close = merged_close,
	.free = merged_free,
	.place = merged_place,
};

static const struct ek_tree_source_ops without_places = {
	.open = merged_open,
	.read = merged_read,
	.close = merged_close,
	.free = merged_free,
};

static ek_status no_memory(struct ek_err *err)
{
	return ek_fail(err, EK_NOMEM, "no memory to merge layers");
}

/* The data of a file: whose it is. */
static ek_status file_data(struct merged *m, struct ek_tree_inode *from,
			   uint16_t layer, struct ek_tree_inode *to,
			   struct ek_err *err)
{
	struct merged_file *f = ek_arena_alloc(m->base.tree->arena, sizeof(*f));

	if (!f)
		return no_memory(err);
	f->from = m->placed ? from->data : from;
	f->layer = layer;
	to->data = f;
	return EK_OK;
}

static ek_status copy_xattrs(struct merged *m, const struct ek_tree_inode *from,
			     struct ek_tree_inode *to, struct ek_err *err)
{
	EK_AUTO_FREE const struct ek_tree_xattr **list = NULL;
	size_t n = 0;

	if (!from->n_xattrs)
		return EK_OK;
	list = calloc(from->n_xattrs, sizeof(*list));
	if (!list)
		return no_memory(err);
	for (uint32_t i = 0; i < from->n_xattrs; i++) {
		const struct ek_tree_xattr *x = from->xattrs[i];

		if (m->options->strip_overlay && ek_overlay_xattr(x->name))
			continue;
		EK_TRY(ek_tree_xattr(m->base.tree, x->name, x->value,
				     x->value_len, &list[n++], err));
	}
	return ek_tree_set_xattrs(m->base.tree, to, list, n, err);
}

/* A merged inode with what a layer's says, but attributes and data. */
static ek_status new_inode(struct merged *m, const struct ek_tree_inode *from,
			   struct ek_tree_inode **to, struct ek_err *err)
{
	struct ek_tree_inode *i;

	EK_TRY(ek_tree_inode(m->base.tree, from->mode, &i, err));
	i->uid = from->uid;
	i->gid = from->gid;
	i->mtime = from->mtime;
	i->mtime_nsec = from->mtime_nsec;
	i->rdev_major = from->rdev_major;
	i->rdev_minor = from->rdev_minor;
	i->size = from->size;
	i->target = from->target; /* the layers live as long as we do */
	i->implied = from->implied;
	*to = i;
	return EK_OK;
}

/*
 * The merged inode of a layer's inode; one for all its links. Of layers that
 * tell places, which may be many and large, it is the layer's own: nobody
 * looks at their trees again.
 */
static ek_status inode_of(struct merged *m, struct ek_tree_inode *from,
			  uint16_t layer, struct ek_tree_inode **to,
			  struct ek_err *err)
{
	struct ek_tree_inode *i = from;

	if (from->plan) {
		*to = from->plan;
		return EK_OK;
	}
	if (!m->placed)
		EK_TRY(new_inode(m, from, &i, err));
	i->first = NULL;
	EK_TRY(copy_xattrs(m, from, i, err));
	if (S_ISREG(from->mode))
		EK_TRY(file_data(m, from, layer, i, err));
	from->plan = i;
	*to = i;
	return EK_OK;
}

/*
 * Parts that show through in a directory: those of @parts (top first) down to
 * what is no directory, is a whiteout, or is opaque.
 */
static size_t visible(const struct part *parts, size_t n)
{
	size_t k = 0;

	while (k < n && S_ISDIR(parts[k].dir->inode->mode)) {
		k++;
		if (ek_is_opaque(parts[k - 1].dir->inode))
			break;
	}
	return k;
}

static ek_status queue(struct merged *m, struct ek_tree_node *to,
		       const struct part *parts, size_t n, struct ek_err *err)
{
	struct work w = {.to = to, .n = n};
	ek_status status;

	w.parts = malloc(n * sizeof(*w.parts));
	if (!w.parts)
		return no_memory(err);
	memcpy(w.parts, parts, n * sizeof(*parts));
	for (size_t i = 0; i < n; i++)
		w.parts[i].next = 0;
	status = ek_vec_push(&m->work, w, UINT32_MAX, err);
	if (status != EK_OK)
		free(w.parts);
	return status;
}

/* The part whose inode speaks for a merged directory. */
static const struct part *speaker(const struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!parts[i].dir->inode->implied)
			return &parts[i];
	return &parts[0];
}

/* One name: @same are the nodes of that name, top first. */
static ek_status merge_name(struct merged *m, struct ek_tree_node *dir,
			    const struct part *same, size_t n,
			    struct ek_err *err)
{
	struct ek_tree_node *top = same[0].dir, *node = NULL;
	size_t shown = visible(same, n);
	const struct part *from = shown ? speaker(same, shown) : &same[0];
	struct ek_tree_inode *inode;

	if (m->options->strip_overlay && ek_is_whiteout(top->inode))
		return EK_OK;
	EK_TRY(inode_of(m, from->dir->inode, from->layer, &inode, err));
	EK_TRY(ek_tree_add(m->base.tree, dir, top->name, top->name_len, inode,
			   &node, err));
	return shown ? queue(m, node, same, shown, err) : EK_OK;
}

static int compare(const struct ek_tree_node *a, const struct ek_tree_node *b)
{
	uint16_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
	int c = memcmp(a->name, b->name, n);

	return c ? c : (int)a->name_len - (int)b->name_len;
}

static ek_status merge_directory(struct merged *m, struct work *w,
				 struct part *same, struct ek_err *err)
{
	for (;;) {
		struct ek_tree_node *least = NULL;
		size_t n = 0;

		for (size_t i = 0; i < w->n; i++) {
			const struct part *p = &w->parts[i];
			struct ek_tree_node *c;

			if (p->next == p->dir->n_children)
				continue;
			c = p->dir->children[p->next];
			if (!least || compare(c, least) < 0)
				least = c;
		}
		if (!least)
			return EK_OK;
		for (size_t i = 0; i < w->n; i++) {
			struct part *p = &w->parts[i];
			struct ek_tree_node *c;

			if (p->next == p->dir->n_children)
				continue;
			c = p->dir->children[p->next];
			if (compare(c, least) != 0)
				continue;
			same[n++] = (struct part){.dir = c, .layer = p->layer};
			p->next++;
		}
		EK_TRY(merge_name(m, w->to, same, n, err));
	}
}

static ek_status merge_all(struct merged *m, struct ek_err *err)
{
	struct part same[EK_MERGE_LAYERS_MAX], roots[EK_MERGE_LAYERS_MAX];
	const struct part *from;
	size_t n = m->n_layers, shown;
	ek_status status = EK_OK;

	for (size_t i = 0; i < n; i++) {
		struct ek_tree *tree = m->layers[n - 1 - i]->tree;

		for (uint32_t k = 0; k < tree->n_inodes; k++)
			tree->inodes[k]->plan = NULL;
		roots[i] = (struct part){.dir = tree->root,
					 .layer = (uint16_t)(n - 1 - i)};
	}
	shown = visible(roots, n);
	from = speaker(roots, shown);
	EK_TRY(inode_of(m, from->dir->inode, from->layer,
			&m->base.tree->root->inode, err));
	EK_TRY(queue(m, m->base.tree->root, roots, shown, err));
	while (status == EK_OK && m->work.n) {
		struct work w = m->work.at[--m->work.n];

		status = m->options->cancel && *m->options->cancel
				 ? ek_fail(err, EK_CANCELLED, "stopped")
				 : merge_directory(m, &w, same, err);
		free(w.parts);
	}
	EK_TRY(status);
	EK_TRY(ek_tree_seal(m->base.tree, err));
	for (uint32_t k = 0; k < m->base.tree->n_inodes; k++)
		m->base.tree->inodes[k]->plan = NULL;
	return EK_OK;
}

/* The layers' devices one after another. */
static ek_status join_devices(struct merged *m, struct ek_err *err)
{
	size_t total = 0, k = 0;

	m->placed = true;
	for (size_t i = 0; i < m->n_layers; i++) {
		m->placed &= m->layers[i]->ops->place != NULL;
		m->first_device[i] = (uint16_t)total;
		total += m->layers[i]->n_devices;
		if (total > UINT16_MAX)
			return ek_fail(err, EK_LIMIT, "more than %u devices",
				       UINT16_MAX);
	}
	m->devices = calloc(total + 1, sizeof(*m->devices));
	if (!m->devices)
		return no_memory(err);
	for (size_t i = 0; i < m->n_layers; i++)
		for (size_t d = 0; d < m->layers[i]->n_devices; d++)
			m->devices[k++] = m->layers[i]->devices[d];
	m->base.devices = m->devices;
	m->base.n_devices = (uint16_t)total;
	m->base.ops = m->placed ? &with_places : &without_places;
	return EK_OK;
}

ek_status ek_source_merge(struct ek_tree_source *const *layers, size_t n,
			  const struct ek_merge_options *options,
			  struct ek_tree_source **src, struct ek_err *err)
{
	struct merged *m;
	ek_status status;

	if (!n || n > EK_MERGE_LAYERS_MAX)
		return ek_fail(err, EK_LIMIT, "%zu layers: 1 to %u can merge",
			       n, EK_MERGE_LAYERS_MAX);
	m = calloc(1, sizeof(*m));
	if (!m)
		return no_memory(err);
	m->layers = calloc(n, sizeof(struct ek_tree_source *));
	m->first_device = calloc(n, sizeof(*m->first_device));
	m->n_layers = n;
	m->options = options;
	if (m->layers && m->first_device) {
		memcpy(m->layers, layers, n * sizeof(struct ek_tree_source *));
		status = join_devices(m, err);
	} else {
		status = no_memory(err);
	}
	if (status == EK_OK)
		status = ek_tree_new(&m->base.tree, err);
	if (status == EK_OK)
		status = merge_all(m, err);
	if (status != EK_OK) {
		release(m);
		return status;
	}
	m->options = NULL;
	*src = &m->base;
	return EK_OK;
}
