/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_SOURCE_MERGE_H
#define EK_SOURCE_MERGE_H

/* Layers, bottom to top, as the one tree that overlayfs would show. */

#include "source/source.h"

/* overlayfs takes that many lower directories in practice; so do images. */
#define EK_MERGE_LAYERS_MAX 127u

struct ek_merge_options {
	/* Leave whiteouts and overlayfs's attributes out of the result. */
	bool strip_overlay;
	const volatile int *cancel;
};

/*
 * Merge @n layers (1 to EK_MERGE_LAYERS_MAX; whiteouts in overlayfs's form).
 * A name is the topmost layer's; directories merge unless the upper one is
 * opaque; a whiteout or a file hides what is below. A merged directory has the
 * attributes of its topmost layer that speaks of it. Hard links hold within a
 * layer.
 *
 * The layers belong to the result on success, to the caller on failure. A
 * layer's devices keep their order: those of layer k come after those of the
 * layers below it. Inodes of the layers' trees become those of the result:
 * after a failure the layers can be freed, but not merged again.
 */
ek_status ek_source_merge(struct ek_tree_source *const *layers, size_t n,
			  const struct ek_merge_options *options,
			  struct ek_tree_source **src, struct ek_err *err);

#endif
