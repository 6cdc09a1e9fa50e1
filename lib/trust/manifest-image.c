/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/manifest.h"

#include "base/idmap.h"
#include "base/try.h"
#include "base/vec.h"
#include "trust/load.h"

#include <string.h>
#include <sys/stat.h>

/*
 * One thread walks the directories in path order and submits each node; the
 * workers read attributes and data; the nodes come back in order and go to the
 * sink.
 */

/* As a tree may be built; the stack below grows with it. */
#define DEPTH_MAX 4096u
/* Numbers of inodes are 32 bits wide in what counts them. */
#define NODES_MAX 0xfffffff0u

struct child {
	union {
		const char *name;
		size_t offset; /* while the list is made */
	};
	size_t len;
	uint64_t nid;
};

/* A directory on the way down. */
struct level {
	EK_VEC(struct child) children;
	struct ek_buf names;
	size_t next;	 /* child */
	size_t path_len; /* of the directory itself, without a '/' behind */
};

struct walk {
	struct ek_image *image;
	struct ek_loader *loader;
	const volatile int *cancel;
	struct ek_buf path;
	EK_VEC(struct level) levels;
	struct ek_idmap directories; /* seen */
	struct ek_idmap links;	     /* nid -> index of its first path */
	EK_VEC(char *) firsts;
};

static ek_status on_dirent(void *arg, const struct ek_dirent *d,
			   struct ek_err *err)
{
	struct level *l = arg;
	struct child c = {.len = d->name_len, .nid = d->nid};

	if (d->name_len <= 2 && !memcmp(d->name, "..", d->name_len))
		return EK_OK;
	c.offset = l->names.len;
	EK_TRY(ek_buf_append(&l->names, d->name, d->name_len, err));
	return ek_vec_push(&l->children, c, NODES_MAX, err);
}

static int by_name(const void *pa, const void *pb)
{
	const struct child *a = pa, *b = pb;
	size_t n = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->name, b->name, n);

	return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* List the directory at the walk's path and go down into it. */
static ek_status enter(struct walk *w, const struct ek_node *node,
		       struct ek_err *err)
{
	struct level l = {.names = EK_BUF_INIT(UINT32_MAX)};
	struct level *top;

	if (w->levels.n == DEPTH_MAX)
		return ek_fail(err, EK_LIMIT, "deeper than %u directories",
			       DEPTH_MAX);
	if (ek_idmap_find(&w->directories, node->nid, NULL))
		return ek_fail(err, EK_CORRUPT,
			       "a directory that has another path too");
	EK_TRY(ek_idmap_add(&w->directories, node->nid, 0, NODES_MAX, err));
	l.path_len = w->path.len - 1;
	EK_TRY(ek_vec_push(&w->levels, l, DEPTH_MAX, err));
	top = &w->levels.at[w->levels.n - 1];
	EK_TRY(ek_image_readdir(w->image, node, on_dirent, top, err));
	for (size_t i = 0; i < top->children.n; i++)
		top->children.at[i].name =
			(char *)top->names.data + top->children.at[i].offset;
	if (top->children.n)
		qsort(top->children.at, top->children.n,
		      sizeof(*top->children.at), by_name);
	for (size_t i = 1; i < top->children.n; i++)
		if (!by_name(&top->children.at[i - 1], &top->children.at[i]))
			return ek_fail(err, EK_CORRUPT, "a name twice");
	return EK_OK;
}

static void leave(struct walk *w)
{
	struct level *l = &w->levels.at[--w->levels.n];

	ek_vec_free(&l->children);
	ek_buf_free(&l->names);
}

/* Set the path to @dir_len bytes of it, '/', and @name; with its NUL. */
static ek_status set_path(struct walk *w, size_t dir_len, const char *name,
			  size_t n, struct ek_err *err)
{
	w->path.len = dir_len;
	EK_TRY(ek_buf_append(&w->path, "/", 1, err));
	EK_TRY(ek_buf_append(&w->path, name, n, err));
	EK_TRY(ek_buf_append(&w->path, "", 1, err));
	/* A NUL or '/' in it would give the name of another file. */
	if (memchr(name, 0, n) || memchr(name, '/', n))
		return ek_fail(err, EK_CORRUPT, "a name that cannot be");
	return EK_OK;
}

/* The first path of an inode with several names; NULL: this is it. */
static ek_status find_link(struct walk *w, const struct ek_node *node,
			   const char **link, struct ek_err *err)
{
	char *path = (char *)w->path.data;
	uint32_t i;

	*link = NULL;
	if (S_ISDIR(node->mode) || node->nlink <= 1)
		return EK_OK;
	if (ek_idmap_find(&w->links, node->nid, &i)) {
		*link = w->firsts.at[i];
		return EK_OK;
	}
	EK_TRY(ek_idmap_add(&w->links, node->nid, (uint32_t)w->firsts.n,
			    NODES_MAX, err));
	path = strdup(path);
	if (!path)
		return ek_fail(err, EK_NOMEM, "no memory for a path");
	if (ek_vec_push(&w->firsts, path, NODES_MAX, err) != EK_OK) {
		free(path);
		return ek_fail(err, EK_NOMEM, "no memory for a path");
	}
	return EK_OK;
}

/* The node at the walk's path. */
static ek_status visit(struct walk *w, uint64_t nid, struct ek_err *err)
{
	const char *path = (const char *)w->path.data;
	struct ek_node node;
	const char *link;

	if (w->cancel && *w->cancel)
		return ek_fail(err, EK_CANCELLED, "cancelled");
	EK_TRY(ek_image_node(w->image, nid, &node, err));
	EK_TRY(find_link(w, &node, &link, err));
	EK_TRY(ek_loader_submit(w->loader, &node, path, link, err));
	if (S_ISDIR(node.mode))
		return enter(w, &node, err);
	return EK_OK;
}

static ek_status step(struct walk *w, struct ek_err *err)
{
	struct level *l = &w->levels.at[w->levels.n - 1];
	const struct child *c;

	if (l->next == l->children.n) {
		leave(w);
		return EK_OK;
	}
	c = &l->children.at[l->next++];
	EK_TRY(set_path(w, l->path_len, c->name, c->len, err));
	return visit(w, c->nid, err);
}

static ek_status run(struct walk *w, struct ek_err *err)
{
	struct ek_node root;
	ek_status status = EK_OK;

	EK_TRY(ek_image_root(w->image, &root, err));
	EK_TRY(set_path(w, 0, "", 0, err));
	/* The root's children are "/a", not "//a". */
	status = visit(w, root.nid, err);
	if (status == EK_OK && w->levels.n)
		w->levels.at[0].path_len = 0;
	while (status == EK_OK && w->levels.n)
		status = step(w, err);
	if (status == EK_OK)
		return ek_loader_finish(w->loader, err);
	/* What the loader tells of has its path already. */
	if (!ek_loader_failed(w->loader) && status != EK_CANCELLED)
		ek_err_prefix(err, "%s", (const char *)w->path.data);
	return status;
}

static void close_walk(struct walk *w)
{
	ek_loader_free(w->loader);
	while (w->levels.n)
		leave(w);
	ek_vec_free(&w->levels);
	for (size_t i = 0; i < w->firsts.n; i++)
		free(w->firsts.at[i]);
	ek_vec_free(&w->firsts);
	ek_idmap_free(&w->directories);
	ek_idmap_free(&w->links);
	ek_buf_free(&w->path);
}

ek_status ek_manifest_of_image(struct ek_image *image,
			       const struct ek_manifest_image_options *options,
			       struct ek_manifest_sink *sink,
			       struct ek_err *err)
{
	struct ek_manifest_image_options opt = {.size = sizeof(opt)};
	struct walk w = {.image = image};
	ek_status status;

	if (options && options->size != sizeof(opt))
		return ek_fail(err, EK_INVALID, "wrong size of the options");
	if (options)
		opt = *options;
	w.path = EK_BUF_INIT((DEPTH_MAX + 1) * 256);
	w.cancel = opt.cancel;
	status = ek_loader_new(image, &opt, sink, &w.loader, err);
	if (status == EK_OK)
		status = run(&w, err);
	close_walk(&w);
	return status;
}
