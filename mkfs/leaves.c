/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/leaves.h"

#include "cli/leaves.h"

#include <erofskit/outfile.h>
#include <erofskit/source.h>

#include <stdio.h>
#include <string.h>

ek_status leaves_blob_name(const char *name, char **to, struct ek_err *err)
{
	if (asprintf(to, "%s.blob", name) >= 0)
		return EK_OK;
	*to = NULL;
	return ek_fail(err, EK_NOMEM, "no memory for a name");
}

/* The first @n bytes of @data; a device is longer. */
static ek_status table(struct ek_outfile *data, const char *name, uint64_t n,
		       struct ek_outfile *to, struct mkfs_leaves *note,
		       struct ek_err *err)
{
	struct ek_source *file, *slice = NULL;
	struct ek_leaves *leaves = NULL;
	ek_status s;

	CLI_TRY(ek_source_from_fd(ek_outfile_fd(data), name, 0, &file, err));
	s = ek_source_slice(file, 0, n, &slice, err);
	if (s == EK_OK)
		s = ek_leaves_of(slice, EK_LEAF_SIZE, &leaves, err);
	if (s == EK_OK) {
		note->count = leaves->n;
		note->size = leaves->leaf_size;
		memcpy(note->root, leaves->root, sizeof(note->root));
		s = cli_leaves_write(leaves, ek_outfile_fd(to), note->path,
				     err);
	}
	ek_leaves_free(leaves);
	ek_source_free(slice);
	ek_source_free(file);
	return s;
}

ek_status leaves_write(struct mkfs_options *o, const struct outputs *out,
		       const struct ek_build_stats *stats, struct ek_err *err)
{
	if (!o->leaves.path)
		return EK_OK;
	CLI_TRY(table(out->file[OUT_IMAGE], o->image, stats->bytes_out,
		      out->file[OUT_LEAVES], &o->leaves, err));
	if (!o->blob)
		return EK_OK;
	return table(out->file[OUT_BLOB], o->blob, stats->blob_bytes,
		     out->file[OUT_BLOB_LEAVES], &o->blob_leaves, err);
}
