/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_SOURCE_TAR_PRIV_H
#define EK_SOURCE_TAR_PRIV_H

/* What the files of the tar source share. */

#include "base/vec.h"
#include "source/overlay.h"
#include "source/tar.h"
#include "tree/edit.h"

/* Data of one regular file; inode->data points here. */
struct ek_tar_data {
	uint64_t spooled;	 /* place of the stored bytes in the spool */
	struct ek_place *places; /* in the archive; in the tree's arena */
	size_t n_places;
};

/* A hard link whose target has not come yet. */
struct ek_tar_later {
	struct ek_edit_node *parent;
	const char *name, *link;
};

struct ek_tar_build {
	const struct ek_source_tar_options *options;
	struct ek_layer_notes *notes;
	struct ek_tree *tree;
	struct ek_edit *edit;
	struct ek_tar *tar;
	const struct ek_tar_entry *e;
	/* The directory of the last member; of an entry's path so many bytes.
	 */
	struct ek_edit_node *last;
	char *last_path;
	size_t last_len, last_room;
	uint64_t spool_at;
	bool named; /* a failure says already where in which archive */
	const char *name;
	EK_VEC(struct ek_tar_later) later;
};

/*
 * Find (or make) the directory that member path @path lies in, and its last
 * name: *name is a view into @path. *name_len 0: the path is the root itself.
 */
ek_status ek_tar_parent(struct ek_tar_build *b, const char *path,
			struct ek_edit_node **parent, const char **name,
			size_t *name_len, struct ek_err *err);

/* The node at @path, or NULL; never makes anything. */
ek_status ek_tar_find(struct ek_tar_build *b, const char *path,
		      struct ek_edit_node **node, struct ek_err *err);

/* What a name says beyond itself. */
enum ek_whiteout {
	EK_WHITEOUT_NONE,
	EK_WHITEOUT_NAME,   /* ".wh.NAME" */
	EK_WHITEOUT_OPAQUE, /* ".wh..wh..opq" */
	EK_WHITEOUT_OWN,    /* AUFS's own files: ".wh..wh.*" */
};
enum ek_whiteout ek_whiteout_of(const char *name, size_t n);
#define EK_WHITEOUT_PREFIX 4 /* bytes of ".wh." */

/* Carry out the whiteout that the current member is. */
ek_status ek_tar_whiteout(struct ek_tar_build *b, enum ek_whiteout kind,
			  struct ek_edit_node *parent, const char *name,
			  size_t name_len, struct ek_err *err);

/* Let nothing of the layers below show through @dir. */
ek_status ek_tar_make_opaque(struct ek_tar_build *b, struct ek_tree_inode *dir,
			     struct ek_err *err);

/* Give @inode the attribute @name = @value besides those it has. */
ek_status ek_tar_add_xattr(struct ek_tar_build *b, struct ek_tree_inode *inode,
			   const char *name, const void *value, size_t n,
			   struct ek_err *err);

#endif
