/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/opts.h"

#include "cli/message.h"
#include "mkfs/ids.h"
#include "mkfs/leaves.h"

#include <stdlib.h>
#include <string.h>

/* The largest that the format can say: 2^31 blocks of 4096 bytes. */
#define CHUNK_MAX (UINT64_C(1) << 43)

static ek_status set_tar(struct mkfs_options *o, const char *value,
			 struct ek_err *err)
{
	/* erofs-utils looks for i and takes the rest for f; "-" is in use. */
	if (!value || strcmp(value, "f") == 0 || strcmp(value, "-") == 0)
		o->tar = TAR_FULL;
	else if (strcmp(value, "i") == 0 || strcmp(value, "0") == 0)
		o->tar = TAR_INDEX;
	else if (strcmp(value, "headerball") == 0)
		o->tar = TAR_HEADERS;
	else if (value[0] == 'i' && value[1] == ',')
		return ek_fail(err, EK_UNSUPPORTED,
			       "no program reads the map of a tar; mount the "
			       "index with the tar as its device");
	else
		return ek_fail(err, EK_INVALID, "not f, i or headerball");
	return EK_OK;
}

static ek_status set_raw(struct mkfs_options *o, const char *value,
			 struct ek_err *err)
{
	if (value && !*value)
		return ek_fail(err, EK_INVALID, "the name is empty");
	o->raw = value;
	o->for_tar = "a decompressor";
	return EK_OK;
}

static ek_status set_clean(struct mkfs_options *o, const char *value,
			   struct ek_err *err)
{
	if (!value || strcmp(value, "data") == 0)
		o->clean = CLEAN_DATA;
	else if (strcmp(value, "0") == 0)
		o->clean = CLEAN_NOTHING;
	else if (strcmp(value, "rvsp") == 0)
		return ek_fail(err, EK_UNSUPPORTED,
			       "rvsp reserves blocks that no program fills; "
			       "take data or 0");
	else
		return ek_fail(err, EK_INVALID, "neither data nor 0");
	return EK_OK;
}

static ek_status add_device(struct mkfs_options *o, const char *value,
			    struct ek_err *err)
{
	const char **at;

	if (!*value)
		return ek_fail(err, EK_INVALID, "the name is empty");
	at = reallocarray(o->devices, o->n_devices + 1, sizeof(*at));
	if (!at)
		return ek_fail(err, EK_NOMEM, "no memory for a device");
	o->devices = at;
	at[o->n_devices++] = value;
	return EK_OK;
}

static ek_status set_strip(struct mkfs_options *o, const char *value,
			   struct ek_err *err)
{
	if (value && strcmp(value, "0") && strcmp(value, "1"))
		return ek_fail(err, EK_INVALID, "neither 0 nor 1");
	o->strip_overlay = !value || *value == '1';
	o->for_overlay = "--ovlfs-strip";
	return EK_OK;
}

static ek_status set_chunk_size(struct mkfs_options *o, const char *value,
				struct ek_err *err)
{
	uint64_t v;

	CLI_TRY(cli_size(value, 512, CHUNK_MAX, &v, err));
	if (v & (v - 1))
		return ek_fail(err, EK_INVALID, "must be a power of two");
	o->build.chunk_size = v;
	return EK_OK;
}

static ek_status set_leaves(struct mkfs_options *o, const char *value,
			    struct ek_err *err)
{
	if (!*value)
		return ek_fail(err, EK_INVALID, "the name is empty");
	o->leaves.path = value;
	free(o->leaves_name);
	return leaves_blob_name(value, &o->leaves_name, err);
}

ek_status mkfs_source_option(struct mkfs_options *o, int id, const char *value,
			     struct ek_err *err)
{
	switch (id) {
	case OPT_TAR:
		return set_tar(o, value, err);
	case OPT_RAW:
		return set_raw(o, value, err);
	case OPT_AUFS:
		o->aufs = true;
		o->for_tar = "--aufs";
		return EK_OK;
	case OPT_STRIP:
		return set_strip(o, value, err);
	case OPT_SORT:
		if (strcmp(value, "path") && strcmp(value, "none"))
			return ek_fail(err, EK_INVALID,
				       "neither path nor none");
		return EK_OK;
	case OPT_CLEAN:
		return set_clean(o, value, err);
	case OPT_DEVICE:
		return add_device(o, value, err);
	case OPT_LEAVES:
		return set_leaves(o, value, err);
	case OPT_CHUNK_SIZE:
		return set_chunk_size(o, value, err);
	default: /* OPT_BLOB */
		if (!*value)
			return ek_fail(err, EK_INVALID, "the name is empty");
		o->blob = value;
		return EK_OK;
	}
}

static int finish_operands(struct mkfs_options *o, int argc, char **argv)
{
	if (argc < 1)
		return cli_usage(&mkfs_program, "IMAGE is missing");
	if (argc < 2 && o->tar == TAR_NO)
		return cli_usage(&mkfs_program, "SOURCE is missing");
	if (argc > 2 && o->tar != TAR_NO)
		return cli_usage(&mkfs_program, "%s: --tar takes one archive",
				 argv[2]);
	o->image = argv[0];
	o->sources = argv + 1;
	o->n_sources = (size_t)argc - 1;
	/* As tar has it: a dash is standard input. */
	if (o->tar != TAR_NO && argc == 2 && strcmp(argv[1], "-") == 0)
		o->n_sources = 0;
	return CLI_GO_ON;
}

int mkfs_finish_sources(struct mkfs_options *o, int argc, char **argv)
{
	int status = finish_operands(o, argc, argv);

	if (status != CLI_GO_ON)
		return status;
	if (o->tar == TAR_NO)
		o->raw = NULL;
	if (o->blob && !o->build.chunk_size)
		return cli_usage(&mkfs_program, "--blobdev needs --chunksize");
	o->build.blob = o->blob != NULL;
	o->build.blob_name = o->blob;
	if (o->blob)
		o->blob_leaves.path = o->leaves_name;
	o->build.no_data = o->clean == CLEAN_NOTHING;
	if (o->tar == TAR_INDEX && o->clean != CLEAN_DEFAULT)
		return cli_usage(&mkfs_program,
				 "--tar=i and --clean exclude each other");
	o->build.index = o->tar == TAR_INDEX;
	return CLI_GO_ON;
}

void mkfs_warn_unused(const struct mkfs_options *o, bool directory)
{
	const struct ek_walk_options *w = &o->walk;
	bool walks = w->n_exclude_paths || w->n_exclude_regexes ||
		     w->hard_dereference;

	if (o->for_tar && o->tar == TAR_NO)
		cli_message(o->level, CLI_WARNING,
			    "%s means nothing without --tar", o->for_tar);
	if (o->for_overlay && directory)
		cli_message(o->level, CLI_WARNING,
			    "%s means nothing for a directory", o->for_overlay);
	if (o->n_devices && (directory || o->tar != TAR_NO))
		cli_message(o->level, CLI_WARNING,
			    "--device means nothing where no source is an "
			    "image");
	if (walks && !directory)
		cli_message(o->level, CLI_WARNING,
			    "--exclude-path, --exclude-regex and "
			    "--hard-dereference are for directories");
}
