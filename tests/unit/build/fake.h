/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_BUILD_FAKE_H
#define UNIT_BUILD_FAKE_H

/* Trees in memory, built into memory, and read back by the reader. */

#include <erofskit/image.h>

#include "build/build.h"
#include "io/sink.h"
#include "tree/tree.h"

enum fill { TEXT, RANDOM, ZEROS, MIXED, SPARSE };

struct fake_data {
	enum fill fill;
	uint32_t seed;
	/* What goes wrong: the status of read or close. */
	ek_status read_status, close_status;
};

struct fake {
	struct ek_tree_source src; /* first */
	unsigned open_now, opened; /* by any thread */
};

/* The bytes of a file with these data from @offset on. */
void fake_bytes(const struct fake_data *data, uint64_t offset, uint8_t *to,
		size_t n);

struct fake *fake_new(void);
void fake_free(struct fake *fake);

/* Under @parent (NULL: root). Results are never NULL. */
struct ek_tree_node *fake_dir(struct fake *fake, struct ek_tree_node *parent,
			      const char *name);
struct ek_tree_inode *fake_file(struct fake *fake, struct ek_tree_node *parent,
				const char *name, uint64_t size,
				enum fill fill);
struct ek_tree_inode *fake_node(struct fake *fake, struct ek_tree_node *parent,
				const char *name, uint32_t mode);
struct ek_tree_inode *fake_link(struct fake *fake, struct ek_tree_node *parent,
				const char *name, const char *target);
void fake_xattrs(struct fake *fake, struct ek_tree_inode *inode,
		 const char *const names[], const char *const values[],
		 size_t n);

/* Defaults with a codec (NULL: none), block size and pcluster size. */
struct ek_build_options fake_options(const char *codec, uint32_t bs,
				     uint32_t max_pcluster);

/* A built image and what is needed to read it. */
struct built {
	struct ek_sink *sink;
	const uint8_t *bytes;
	size_t n;
	struct ek_build_stats stats;
	struct ek_source *src;
	struct ek_image *image;
};

/* Seal (once) and build; fails the test when that fails. */
void fake_build(struct fake *fake, const struct ek_build_options *o,
		struct built *built);
/* Build what must fail; returns the status. */
ek_status fake_fail(struct fake *fake, const struct ek_build_options *o,
		    struct ek_err *err);
void built_free(struct built *built);

/* Compare all names, metadata, attributes and data with the tree. */
void fake_compare(const struct fake *fake, const struct ek_build_options *o,
		  const struct built *built);

struct ek_node built_node(const struct built *built, const char *path);

/* A tree with some of everything. */
struct fake *fake_zoo(void);

#endif
