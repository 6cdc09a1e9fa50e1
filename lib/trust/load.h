/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TRUST_LOAD_H
#define EK_TRUST_LOAD_H

/*
 * Makes manifest entries of an image's nodes: reads attributes, targets and
 * data by several workers and gives the entries to a sink in the order in
 * which the nodes were submitted. One thread submits.
 *
 *   new -> submit... -> finish -> free;  after a failure only free
 */

#include <erofskit/manifest.h>

struct ek_loader;

/* @image and @sink are borrowed; @options is only looked at here. */
ek_status ek_loader_new(struct ek_image *image,
			const struct ek_manifest_image_options *options,
			struct ek_manifest_sink *sink,
			struct ek_loader **loader, struct ek_err *err);
/* NULL allowed. */
void ek_loader_free(struct ek_loader *loader);

/*
 * The node at @path (copied); @link (borrowed until finish, NULL allowed): a
 * further name of the node that was submitted with that path.
 */
ek_status ek_loader_submit(struct ek_loader *loader, const struct ek_node *node,
			   const char *path, const char *link,
			   struct ek_err *err);
ek_status ek_loader_finish(struct ek_loader *loader, struct ek_err *err);

/* Whether a failure came from an earlier node or the sink. */
bool ek_loader_failed(const struct ek_loader *loader);

#endif
