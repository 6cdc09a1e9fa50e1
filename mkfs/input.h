/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MKFS_INPUT_H
#define MKFS_INPUT_H

#include "mkfs/opts.h"
#include "mkfs/outputs.h"

#include <erofskit/layer.h>

/* Sources that are no directory: a tar, or images. */
struct input {
	struct ek_layer *layer;
	/* Of a tar: */
	int fd, spool;
	struct ek_source *file; /* what can be read again */
	struct ek_tar_input *in;
};

/* What @o->sources are. */
enum input_kind { INPUT_DIRECTORY, INPUT_TAR, INPUT_IMAGES };
ek_status input_kind(const struct mkfs_options *o, enum input_kind *kind,
		     struct ek_err *err);

/*
 * Read the tree of a tar or of images; data is read while it is built. May set
 * o->build.label and, for images, o->build.index.
 */
ek_status input_open(struct input *in, enum input_kind kind,
		     struct mkfs_options *o, const struct outputs *out,
		     struct ek_err *err);
void input_close(struct input *in);

#endif
