/* SPDX-License-Identifier: Apache-2.0 */
#include "dump/opts.h"

#include "cli/options.h"

#include <stdlib.h>

enum {
	OPT_SUPER,
	OPT_STATS,
	OPT_PATH,
	OPT_NID,
	OPT_EXTENTS,
	OPT_LS,
	OPT_CAT,
	OPT_JSON,
	OPT_BLKID,
	OPT_DEVICE,
	OPT_OFFSET,
};

static const struct cli_option options[] = {
	{.id = OPT_SUPER,
	 .letter = 's',
	 .meaning = "show the superblock",
	 .def = "shown when nothing else is asked for",
	 .group = "What to show"},
	{.id = OPT_STATS,
	 .letter = 'S',
	 .meaning = "show statistics of the whole image and where its "
		    "metadata is"},
	{.id = OPT_PATH,
	 .name = "path",
	 .arg = CLI_REQUIRED,
	 .value = "PATH",
	 .meaning = "show the inode at PATH in the image; symlinks are not "
		    "followed"},
	{.id = OPT_NID,
	 .name = "nid",
	 .arg = CLI_REQUIRED,
	 .value = "NID",
	 .meaning = "show the inode with number NID"},
	{.id = OPT_EXTENTS,
	 .letter = 'e',
	 .meaning = "show the extents of the inode too"},
	{.id = OPT_LS,
	 .name = "ls",
	 .meaning = "show the entries of the directory too"},
	{.id = OPT_CAT,
	 .name = "cat",
	 .meaning = "write the data of the file to standard output, and "
		    "nothing else"},
	{.id = OPT_BLKID,
	 .name = "blkid-udev",
	 .meaning = "show ID_FS_ lines as blkid(8) does for udev, and nothing "
		    "else"},
	{.id = OPT_JSON,
	 .name = "json",
	 .meaning = "show everything as one JSON object",
	 .def = "text"},
	{.id = OPT_DEVICE,
	 .name = "device",
	 .arg = CLI_REQUIRED,
	 .value = "PATH",
	 .meaning = "an extra device of the image; repeat for each, in the "
		    "order of its device table",
	 .def = "none: they are looked for behind the image itself",
	 .group = "Where the image is"},
	{.id = OPT_OFFSET,
	 .name = "offset",
	 .arg = CLI_REQUIRED,
	 .value = "BYTES",
	 .meaning = "the image begins BYTES bytes into the file",
	 .def = "0"},
};

static const struct cli_section sections[] = {
	{"OUTPUT",
	 "Sizes and offsets are bytes, addresses of metadata and data areas "
	 "blocks. Times are in the local zone. Control characters in names "
	 "are written \\xNN.\n\n"
	 "With --json there is one object with the members superblock, "
	 "statistics, inode, extents and entries, of which those asked for "
	 "are there. A byte of a name that is not part of valid UTF-8 is "
	 "written as the lone surrogate \\udcXX."},
	{NULL, NULL},
};

static const struct cli_exit exits[] = {
	{"0", "everything asked for was shown"},
	{"1", "the command line is wrong, the image cannot be read, or the "
	      "path, inode or kind of file asked for is not there"},
	{NULL, NULL},
};

static const struct cli_program program = {
	.name = "dump.erofs",
	.synopsis = "[OPTIONS] IMAGE",
	.purpose = "show what an EROFS image holds",
	.description = "dump.erofs shows the superblock, statistics, single "
		       "inodes, directories and data of an EROFS image without "
		       "mounting it. IMAGE is a file or a block device; it is "
		       "only read.",
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.sections = sections,
	.exits = exits,
	.see_also = "mkfs.erofs(8), fsck.erofs(8), mount(8)",
	.usage_status = 1,
};

static ek_status add_device(struct dump_options *o, const char *path,
			    struct ek_err *err)
{
	const char **grown;

	if (o->n_devices == DUMP_DEVICES_MAX)
		return ek_fail(err, EK_LIMIT, "more than %d devices",
			       DUMP_DEVICES_MAX);
	grown = realloc(o->devices, (o->n_devices + 1) * sizeof(*grown));
	if (!grown)
		return ek_fail(err, EK_NOMEM, "no memory");
	o->devices = grown;
	o->devices[o->n_devices++] = path;
	return EK_OK;
}

static ek_status handle(void *ctx, const struct cli_option *option,
			const char *value, struct ek_err *err)
{
	struct dump_options *o = ctx;

	switch (option->id) {
	case OPT_SUPER:
		o->super = true;
		return EK_OK;
	case OPT_STATS:
		o->stats = true;
		return EK_OK;
	case OPT_PATH:
		o->path = value;
		return EK_OK;
	case OPT_NID:
		o->have_nid = true;
		return cli_unsigned(value, 0, UINT64_MAX, &o->nid, err);
	case OPT_EXTENTS:
		o->extents = true;
		return EK_OK;
	case OPT_LS:
		o->ls = true;
		return EK_OK;
	case OPT_CAT:
		o->cat = true;
		return EK_OK;
	case OPT_BLKID:
		o->blkid = true;
		return EK_OK;
	case OPT_JSON:
		o->json = true;
		return EK_OK;
	case OPT_DEVICE:
		return add_device(o, value, err);
	case OPT_OFFSET:
		return cli_size(value, 0, INT64_MAX, &o->offset, err);
	default:
		return ek_fail(err, EK_INVALID, "unknown option");
	}
}

static int check(const struct dump_options *o)
{
	bool inode = o->path || o->have_nid;

	if (o->extents && !inode)
		return cli_usage(&program, "-e needs --path or --nid");
	if (o->ls && !inode)
		return cli_usage(&program, "--ls needs --path or --nid");
	if (o->cat && !inode)
		return cli_usage(&program, "--cat needs --path or --nid");
	if (o->cat && (o->json || o->super || o->stats || o->extents || o->ls))
		return cli_usage(&program, "--cat shows data and nothing else");
	if (o->path && o->have_nid)
		return cli_usage(&program,
				 "--path and --nid cannot be used together");
	return CLI_GO_ON;
}

int dump_parse(int argc, char **argv, struct dump_options *o)
{
	int first = 0, status;

	status = cli_parse(&program, argc, argv, handle, o, &first);
	if (status != CLI_GO_ON)
		return status;
	if (first >= argc)
		return cli_usage(&program, "no IMAGE given");
	if (argc - first > 1)
		return cli_usage(&program, "unexpected argument %s",
				 argv[first + 1]);
	o->image = argv[first];
	status = check(o);
	if (!o->path && !o->have_nid && !o->stats)
		o->super = true;
	return status;
}

void dump_options_free(struct dump_options *o)
{
	free(o->devices);
}
