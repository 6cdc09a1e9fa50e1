/* SPDX-License-Identifier: Apache-2.0 */
#include "extract/extract.h"
#include "extract/place.h"
#include "base/buf.h"
#include "base/try.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void prepend(char **at, const char *name)
{
	size_t n = strlen(name);

	*at -= n;
	memcpy(*at, name, n);
	*--*at = '/';
}

char *ex_path(const struct ex *ex, uint32_t dir, const char *name, bool shown)
{
	size_t n = name ? strlen(name) + 1 : 0;
	const struct ex_dir *d;
	char *path, *at;
	uint32_t i;

	for (i = dir; i != EX_NO_PARENT; i = ex->dirs.at[i].parent)
		n += strlen(ex->dirs.at[i].name) + 1;
	path = malloc(n + 2);
	if (!path)
		return NULL;
	at = path + n + 1;
	*at = '\0';
	if (name)
		prepend(&at, name);
	for (; dir != EX_NO_PARENT; dir = d->parent) {
		d = &ex->dirs.at[dir];
		if (*d->name && !(shown && d->parent == EX_NO_PARENT))
			prepend(&at, d->name);
	}
	if (!*at && shown)
		*--at = '/';
	if (*at == '/' && !shown)
		at++;
	memmove(path, at, strlen(at) + 1);
	return path;
}

static void tell(struct ex *ex, uint32_t dir, const char *name,
		 ek_status status, const char *words)
{
	char *path;

	if (!ex->options->note)
		return;
	path = ex_path(ex, dir, name, true);
	ex->options->note(ex->options->note_arg, path ? path : "", status,
			  words);
	free(path);
}

ek_status ex_problem(struct ex *ex, uint32_t dir, const char *name,
		     const struct ek_err *why, struct ek_err *err)
{
	char *path;

	ex->result->failed++;
	tell(ex, dir, name, why->status, why->text);
	if (ex->first_failure == EK_OK) {
		ex->first_failure = why->status;
		ex->first_err = *why;
		path = ex_path(ex, dir, name, true);
		ek_err_prefix(&ex->first_err, "%s", path ? path : "");
		free(path);
	}
	if (!ex_fatal(ex, why->status) &&
	    !(why->status == EK_LIMIT && ex->names_left == 0))
		return EK_OK;
	*err = ex->first_err;
	err->status = why->status;
	return why->status;
}

void ex_note(struct ex *ex, uint32_t dir, const char *name, const char *words)
{
	ex->result->skipped++;
	tell(ex, dir, name, EK_OK, words);
}

void ex_note_skipped(struct ex *ex, uint32_t dir, const char *name,
		     unsigned skipped)
{
	if (skipped & EK_ATTR_SKIPPED_OWNER)
		ex_note(ex, dir, name, "owner not restored: not root");
	if (skipped & EK_ATTR_SKIPPED_XATTR)
		ex_note(ex, dir, name, "attributes not restored: not root");
}

ek_status ex_open_dir(const struct ex *ex, uint32_t dir, int *fd,
		      struct ek_err *err)
{
	EK_AUTO_FREE char *path = ex_path(ex, dir, NULL, false);

	if (!path)
		return ek_fail(err, EK_NOMEM, "a path");
	return ek_place_open_dir(ex->root, path, fd, err);
}

/* Note a directory that is to be walked; it exists already. */
static ek_status add_dir(struct ex *ex, const struct ek_node *node,
			 uint32_t parent, const char *name, bool no_acls,
			 struct ek_err *err)
{
	struct ex_dir dir = {
		.nid = node->nid, .parent = parent, .no_acls = no_acls};

	dir.name = ek_arena_copy(ex->arena, name, strlen(name));
	if (!dir.name)
		return ek_fail(err, EK_NOMEM, "a name");
	EK_TRY(ek_idmap_add(&ex->seen_dirs, node->nid, (uint32_t)ex->dirs.n,
			    EX_DIRS_MAX, err));
	return ek_vec_push(&ex->dirs, dir, EX_DIRS_MAX, err);
}

static ek_status make_dir(struct ex *ex, const struct ex_dirfd *parent,
			  const char *name, const struct ek_node *node,
			  struct ek_err *err)
{
	bool made = true;

	if (ek_idmap_find(&ex->seen_dirs, node->nid, NULL))
		return ek_fail(err, EK_CORRUPT,
			       "a directory that has another name already");
	if (!ex->options->dry_run)
		EK_TRY(ek_place_mkdir(parent->fd, name, ex->options->overwrite,
				      &made, err));
	return add_dir(ex, node, parent->dir, name, made && parent->no_acls,
		       err);
}

static ek_status make_special(struct ex *ex, const struct ex_dirfd *dirfd,
			      const char *name, const struct ek_node *node,
			      struct ek_err *err)
{
	const struct ek_attr_born born = {.no_acls = dirfd->no_acls};
	EK_AUTO_FREE char *target = NULL;
	bool device = S_ISCHR(node->mode) || S_ISBLK(node->mode);
	unsigned skipped;
	ek_status status;
	int made;

	if (S_ISLNK(node->mode))
		EK_TRY(ek_image_readlink(ex->image, node, &target, err));
	if (device && !ex->policy.root && !ex->options->dry_run) {
		ex_note(ex, dirfd->dir, name, "device not made: not root");
		return EK_OK;
	}
	if (!ex->options->dry_run) {
		EK_TRY(ek_place_special(dirfd->fd, name, ex->options->overwrite,
					node, target, &made, err));
		status = ek_attr_apply(ex->image, &ex->policy, &born, node,
				       made, true, &skipped, err);
		close(made);
		EK_TRY(status);
		ex_note_skipped(ex, dirfd->dir, name, skipped);
	}
	if (S_ISLNK(node->mode))
		ex->result->symlinks++;
	else
		ex->result->others++;
	return EK_OK;
}

/* Whether @node has a name already: then @name is noted as a link to it. */
static ek_status linked(struct ex *ex, uint32_t dir, const char *name,
			const struct ek_node *node, bool *later,
			struct ek_err *err)
{
	struct ex_first first = {dir, NULL};
	struct ex_link link = {0, dir, NULL};
	const char *kept;

	*later = false;
	if (node->nlink < 2)
		return EK_OK;
	kept = ek_arena_copy(ex->arena, name, strlen(name));
	if (!kept)
		return ek_fail(err, EK_NOMEM, "a name");
	if (ek_idmap_find(&ex->seen_files, node->nid, &link.first)) {
		*later = true;
		link.name = kept;
		return ek_vec_push(&ex->links, link, SIZE_MAX, err);
	}
	first.name = kept;
	EK_TRY(ek_idmap_add(&ex->seen_files, node->nid, (uint32_t)ex->firsts.n,
			    EX_DIRS_MAX, err));
	return ek_vec_push(&ex->firsts, first, EX_DIRS_MAX, err);
}

static ek_status one_node(struct ex *ex, struct ex_dirfd *dirfd,
			  const char *name, const struct ek_node *node,
			  struct ek_err *err)
{
	bool later;

	if (S_ISDIR(node->mode))
		return make_dir(ex, dirfd, name, node, err);
	EK_TRY(linked(ex, dirfd->dir, name, node, &later, err));
	if (later)
		return EK_OK;
	if (S_ISREG(node->mode))
		return ex_files_add(ex, dirfd, name, node, err);
	return make_special(ex, dirfd, name, node, err);
}

static ek_status one_entry(struct ex *ex, struct ex_dirfd *dirfd,
			   const char *name, uint64_t nid, struct ek_err *err)
{
	struct ek_node node;

	if (ex->options->cancel && *ex->options->cancel)
		return ek_fail(err, EK_CANCELLED, "stopped");
	EK_TRY(ek_image_node(ex->image, nid, &node, err));
	return one_node(ex, dirfd, name, &node, err);
}

static ek_status open_for_walk(struct ex *ex, uint32_t dir,
			       struct ex_dirfd **dirfd, struct ek_err *err)
{
	ek_status status;

	*dirfd = malloc(sizeof(**dirfd));
	if (!*dirfd)
		return ek_fail(err, EK_NOMEM, "a directory");
	**dirfd = (struct ex_dirfd){.fd = -1, .dir = dir, .users = 1};
	if (ex->options->dry_run)
		return EK_OK;
	status = ex_open_dir(ex, dir, &(*dirfd)->fd, err);
	if (status != EK_OK) {
		ex_dirfd_put(ex, *dirfd);
		*dirfd = NULL;
		return status;
	}
	ex->open_dirs++;
	/*
	 * Someone may have put another in the place of the one we made. And
	 * the owner of a directory can give it ACLs at any time.
	 */
	(*dirfd)->ours = ek_attr_ours(&ex->policy, (*dirfd)->fd);
	(*dirfd)->no_acls = (*dirfd)->ours && (ex->dirs.at[dir].no_acls ||
					       ek_attr_no_acls((*dirfd)->fd));
	return EK_OK;
}

static ek_status walk_dir(struct ex *ex, uint32_t dir, struct ek_listing *l,
			  struct ek_err *err)
{
	struct ex_dirfd *dirfd;
	struct ek_node node;
	struct ek_err why;
	ek_status status;
	size_t i;

	EK_TRY(ex_files_close_dirs(ex, err));
	status = ek_image_node(ex->image, ex->dirs.at[dir].nid, &node, &why);
	if (status == EK_OK)
		status = open_for_walk(ex, dir, &dirfd, &why);
	if (status != EK_OK) {
		ex->dirs.at[dir].failed = true;
		return ex_problem(ex, dir, NULL, &why, err);
	}
	/* What could be read of a damaged directory is restored. */
	status = ek_listing_read(l, ex->image, &node, &why);
	if (status != EK_OK)
		status = ex_problem(ex, dir, NULL, &why, err);
	for (i = 0; i < l->entries.n && status == EK_OK; i++) {
		const char *name = ek_listing_name(l, i);

		if (one_entry(ex, dirfd, name, l->entries.at[i].nid, &why) !=
		    EK_OK)
			status = ex_problem(ex, dir, name, &why, err);
	}
	ex_dirfd_put(ex, dirfd);
	ex->result->directories++;
	return status;
}

static ek_status make_link(struct ex *ex, const struct ex_link *link,
			   struct ek_err *err)
{
	const struct ex_first *first = &ex->firsts.at[link->first];
	ek_status status;
	int from, to;

	if (ex->options->dry_run)
		return EK_OK;
	EK_TRY(ex_open_dir(ex, first->dir, &from, err));
	status = ex_open_dir(ex, link->dir, &to, err);
	if (status == EK_OK) {
		status = ek_place_link(from, first->name, to, link->name,
				       ex->options->overwrite, err);
		close(to);
	}
	close(from);
	return status;
}

static ek_status make_links(struct ex *ex, struct ek_err *err)
{
	struct ek_err why;
	size_t i;

	for (i = 0; i < ex->links.n; i++) {
		const struct ex_link *link = &ex->links.at[i];

		if (make_link(ex, link, &why) == EK_OK)
			ex->result->hard_links++;
		else
			EK_TRY(ex_problem(ex, link->dir, link->name, &why,
					  err));
	}
	return EK_OK;
}

/* A single node that is no directory: its parent is the root. */
static ek_status lone_node(struct ex *ex, const char *name,
			   const struct ek_node *node, struct ek_err *err)
{
	struct ex_dir root = {.parent = EX_NO_PARENT, .name = ""};
	struct ex_dirfd *dirfd;
	struct ek_err why;
	ek_status status;

	EK_TRY(ek_vec_push(&ex->dirs, root, EX_DIRS_MAX, err));
	EK_TRY(open_for_walk(ex, 0, &dirfd, err));
	status = one_node(ex, dirfd, name, node, &why);
	if (status != EK_OK)
		status = ex_problem(ex, 0, name, &why, err);
	ex_dirfd_put(ex, dirfd);
	return status == EK_OK ? ex_files_drain(ex, err) : status;
}

static ek_status whole_tree(struct ex *ex, const char *name,
			    const struct ek_node *node, struct ek_err *err)
{
	struct ek_listing l = {.budget = &ex->names_left};
	ek_status status = EK_OK;
	bool made;
	size_t i;

	if (name && !ex->options->dry_run)
		EK_TRY(ek_place_mkdir(ex->root, name, ex->options->overwrite,
				      &made, err));
	EK_TRY(add_dir(ex, node, EX_NO_PARENT, name ? name : "", false, err));
	for (i = 0; i < ex->dirs.n && status == EK_OK; i++)
		status = walk_dir(ex, (uint32_t)i, &l, err);
	ek_listing_free(&l);
	EK_TRY(status);
	EK_TRY(ex_files_drain(ex, err));
	EK_TRY(make_links(ex, err));
	return ex_finish_dirs(ex, err);
}

static ek_status run(struct ex *ex, const struct ek_node *node,
		     const char *name, struct ek_err *err)
{
	ex->arena = ek_arena_new();
	if (!ex->arena)
		return ek_fail(err, EK_NOMEM, "memory for names");
	EK_TRY(ex_files_start(ex, err));
	if (S_ISDIR(node->mode))
		EK_TRY(whole_tree(ex, name, node, err));
	else
		EK_TRY(lone_node(ex, name, node, err));
	if (ex->first_failure != EK_OK)
		*err = ex->first_err;
	return ex->first_failure;
}

ek_status ek_extract(struct ek_image *image, const struct ek_node *node,
		     int dirfd, const char *name,
		     const struct ek_extract_options *options,
		     struct ek_extract_result *result, struct ek_err *err)
{
	static const struct ek_extract_options defaults = {
		.size = sizeof(defaults)};
	struct ek_extract_result unused;
	struct ek_err own;
	struct ek_node root;
	struct ex ex = {.image = image, .root = dirfd};
	ek_status status;

	err = err ? err : &own;
	ex.options = options ? options : &defaults;
	ex.result = result ? result : &unused;
	memset(ex.result, 0, sizeof(*ex.result));
	if (ex.options->size != sizeof(*options))
		return ek_fail(err, EK_INVALID, "options of another size");
	if (!node) {
		EK_TRY(ek_image_root(image, &root, err));
		node = &root;
	}
	EK_TRY(ek_listing_check_name(node, name, err));
	ek_attr_policy_init(&ex.policy, ex.options);
	ex.names_left = ek_listing_budget(image);
	atomic_init(&ex.written, 0);
	atomic_init(&ex.stop, 0);
	atomic_init(&ex.over, 0);
	status = run(&ex, node, name, err);
	ex_files_end(&ex);
	ex.result->bytes = atomic_load(&ex.written);
	ek_vec_free(&ex.dirs);
	ek_vec_free(&ex.firsts);
	ek_vec_free(&ex.links);
	ek_idmap_free(&ex.seen_dirs);
	ek_idmap_free(&ex.seen_files);
	ek_arena_free(ex.arena);
	return status;
}
