/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_BUILD_BUILD_H
#define EK_BUILD_BUILD_H

#include <erofskit/build.h>

#include "io/sink.h"
#include "source/source.h"

/*
 * Build an image of a sealed tree into @sink. The source is read once, file
 * data in path order; metadata follows the data. Changes no node, but uses
 * inode->plan.
 */
ek_status ek_build_tree(struct ek_tree_source *src,
			const struct ek_build_options *options,
			struct ek_sink *sink, struct ek_build_stats *stats,
			struct ek_err *err);

#endif
