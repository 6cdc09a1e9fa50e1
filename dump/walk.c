/* SPDX-License-Identifier: Apache-2.0 */
#include "dump/walk.h"

#include "dump/nidset.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct dir {
	uint64_t nid;
	size_t parent;
	char *name;
};

struct walk {
	struct ek_image *image;
	walk_fn fn;
	void *arg;
	struct nidset seen;
	struct dir *dirs;
	size_t n, cap;
	size_t now; /* the directory that is being read */
	bool told;  /* the error has its path */
};

static ek_status push(struct walk *w, uint64_t nid, const char *name, size_t n,
		      struct ek_err *err)
{
	struct dir *d;

	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 64;
		struct dir *dirs = realloc(w->dirs, cap * sizeof(*dirs));

		if (!dirs)
			return ek_fail(err, EK_NOMEM, "no memory");
		w->dirs = dirs;
		w->cap = cap;
	}
	d = &w->dirs[w->n];
	d->nid = nid;
	d->parent = w->now;
	d->name = strndup(name, n);
	if (!d->name)
		return ek_fail(err, EK_NOMEM, "no memory");
	w->n++;
	return EK_OK;
}

/* Of the directory that is being read; NULL without memory. */
static char *dir_path(const struct walk *w)
{
	const struct dir *d = &w->dirs[w->now];
	struct ek_dirent self = {.name = d->name, .name_len = strlen(d->name)};
	struct walk parent = *w;

	if (w->now == 0)
		return strdup("/");
	parent.now = d->parent;
	return walk_path(&parent, &self);
}

static bool is_dots(const struct ek_dirent *e)
{
	return (e->name_len == 1 && e->name[0] == '.') ||
	       (e->name_len == 2 && memcmp(e->name, "..", 2) == 0);
}

/* Put the path of @entry, or of the directory in work, before the error. */
static ek_status name_it(struct walk *w, const struct ek_dirent *entry,
			 ek_status st, struct ek_err *err)
{
	char *path;
	char words[EK_ERR_TEXT];

	if (st == EK_OK || st == EK_CANCELLED || w->told)
		return st;
	w->told = true;
	path = entry ? walk_path(w, entry) : dir_path(w);
	if (!path)
		return st;
	memcpy(words, err->text, sizeof(words));
	ek_fail(err, st, "%s: %s", path, words);
	free(path);
	return st;
}

static ek_status one(struct walk *w, const struct ek_dirent *e,
		     struct ek_err *err)
{
	struct ek_node node;
	bool first;
	ek_status st;

	st = ek_image_node(w->image, e->nid, &node, err);
	if (st != EK_OK)
		return st;
	st = nidset_add(&w->seen, e->nid, &first, err);
	if (st != EK_OK)
		return st;
	st = w->fn(w->arg, w, e, &node, first, err);
	if (st == EK_OK && first && S_ISDIR(node.mode))
		st = push(w, e->nid, e->name, e->name_len, err);
	return st;
}

static ek_status visit(void *arg, const struct ek_dirent *e, struct ek_err *err)
{
	struct walk *w = arg;

	return is_dots(e) ? EK_OK : name_it(w, e, one(w, e, err), err);
}

static ek_status run(struct walk *w, struct ek_err *err)
{
	struct ek_node node;
	bool first;
	ek_status st = ek_image_root(w->image, &node, err);

	if (st == EK_OK)
		st = nidset_add(&w->seen, node.nid, &first, err);
	if (st == EK_OK)
		st = w->fn(w->arg, w, NULL, &node, true, err);
	if (st == EK_OK)
		st = push(w, node.nid, "", 0, err);
	for (; st == EK_OK && w->now < w->n; w->now++) {
		st = ek_image_node(w->image, w->dirs[w->now].nid, &node, err);
		if (st == EK_OK)
			st = ek_image_readdir(w->image, &node, visit, w, err);
		st = name_it(w, NULL, st, err);
	}
	return st;
}

ek_status walk_image(struct ek_image *image, walk_fn fn, void *arg,
		     struct ek_err *err)
{
	struct walk w = {.image = image, .fn = fn, .arg = arg};
	ek_status st = run(&w, err);

	for (size_t i = 0; i < w.n; i++)
		free(w.dirs[i].name);
	free(w.dirs);
	nidset_free(&w.seen);
	return st;
}

char *walk_path(const struct walk *w, const struct ek_dirent *entry)
{
	size_t n = 1, i;
	char *path, *p;

	if (!entry)
		return strdup("/");
	/* Written backwards, from the name up to the root, which is dir 0. */
	for (i = w->now; i != 0; i = w->dirs[i].parent)
		n += 1 + strlen(w->dirs[i].name);
	n += 1 + entry->name_len;
	path = malloc(n);
	if (!path)
		return NULL;
	p = path + n - 1;
	*p = 0;
	p -= entry->name_len;
	memcpy(p, entry->name, entry->name_len);
	*--p = '/';
	for (i = w->now; i != 0; i = w->dirs[i].parent) {
		size_t len = strlen(w->dirs[i].name);

		p -= len;
		memcpy(p, w->dirs[i].name, len);
		*--p = '/';
	}
	return path;
}

struct find {
	uint64_t nid;
	char *path;
};

static ek_status match(void *arg, struct walk *w, const struct ek_dirent *entry,
		       const struct ek_node *node, bool first,
		       struct ek_err *err)
{
	struct find *f = arg;

	(void)first;
	if (node->nid != f->nid)
		return EK_OK;
	f->path = walk_path(w, entry);
	if (!f->path)
		return ek_fail(err, EK_NOMEM, "no memory");
	return EK_CANCELLED; /* found */
}

ek_status walk_find(struct ek_image *image, uint64_t nid, char **path,
		    struct ek_err *err)
{
	struct find f = {.nid = nid};
	ek_status st = walk_image(image, match, &f, err);

	*path = f.path;
	return st == EK_NOMEM ? st : EK_OK;
}
