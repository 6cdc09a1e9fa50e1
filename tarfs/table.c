/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/opts.h"

#include "tarfs/ids.h"

/* One row of the table, in the order of struct cli_option. */
static const struct cli_option options[] = {
	{OPT_OUTPUT, "output", 'o', CLI_REQUIRED, "PATH",
	 "convert: the directory to make; merge: the image to write", NULL,
	 "Output", 0},
	{OPT_FORMAT, "format", 0, CLI_REQUIRED, "index|erofs",
	 "convert: index makes indexes over the layers' tars; erofs makes an "
	 "OCI layout whose layers are EROFS images with all data",
	 "index", NULL, 0},
	{OPT_FORCE, "force", 0, CLI_NONE, NULL,
	 "convert: replace a complete OUT", NULL, NULL, 0},
	{OPT_NO_SYNC, "no-sync", 0, CLI_NONE, NULL,
	 "do not wait until the output is on the disk", NULL, NULL, 0},
	{OPT_IMAGE, "image", 0, CLI_REQUIRED, "REF",
	 "which image of an archive of several: a name as the archive has it, "
	 "such as debian:12, or the digest of a manifest or configuration",
	 "the only one", "Selection", 0},
	{OPT_PLATFORM, "platform", 0, CLI_REQUIRED, "OS/ARCH[/VARIANT]",
	 "which platform of an image of several", "linux and the host's", NULL,
	 0},
	{OPT_CHECK, "check-digests", 0, CLI_NONE, NULL,
	 "convert: read uncompressed layers too and check their digests; "
	 "compressed ones are always checked",
	 NULL, NULL, 0},
	{OPT_LEAVES, "leaf-digests", 0, CLI_OPTIONAL, "0|1",
	 "convert: write digests of each 64 KiB of the layers' tars, so that "
	 "pieces of them can be verified alone; uncompressed layers are read "
	 "for it. 0: of none",
	 "of layers that are read anyway", NULL, 0},
	{OPT_SHARE, "share", 0, CLI_REQUIRED, "DIR",
	 "convert: decompressed layers and indexes of layers go to DIR, where "
	 "other images find them",
	 "each OUT has its own", NULL, 0},
	{OPT_ALGORITHM, NULL, 'z', CLI_REQUIRED,
	 "ALGORITHM[,[level=]LEVEL][,KEY=VALUE...]",
	 "with --format=erofs: compress, as mkfs.erofs does", "no compression",
	 "Images", 0},
	{OPT_PCLUSTER, NULL, 'C', CLI_REQUIRED, "SIZE",
	 "with --format=erofs: largest physical cluster", "one block", NULL, 0},
	{OPT_UUID, NULL, 'U', CLI_REQUIRED, "UUID",
	 "UUID of the merged image: 36 characters, clear or random",
	 "made of all bytes of the image", NULL, 0},
	{OPT_TIME, NULL, 'T', CLI_REQUIRED, "SECONDS",
	 "fixed time of all files and of the image, in seconds since 1970",
	 "SOURCE_DATE_EPOCH, or the files' own times", NULL, 0},
	{OPT_WORKERS, "workers", 0, CLI_REQUIRED, "NUMBER",
	 "threads; the output does not depend on it",
	 "the CPUs that the process may use", NULL, 0},
	{OPT_RW, "rw", 0, CLI_NONE, NULL,
	 "mount: writable, by an overlay with --upper", NULL, "Mounting", 0},
	{OPT_UPPER, "upper", 0, CLI_REQUIRED, "DIR",
	 "mount: what is written goes to DIR/upper; DIR/work is the overlay's "
	 "own",
	 NULL, NULL, 0},
	{OPT_QUIET, "quiet", 'q', CLI_NONE, NULL, "nothing on standard output",
	 NULL, "Messages", 0},
	{OPT_JSON, "json", 0, CLI_NONE, NULL,
	 "one JSON object on standard output instead of text", NULL, NULL, 0},
};

static const struct cli_section sections[] = {
	{"VERBS",
	 "convert INPUT: INPUT is an archive of docker save, an OCI archive, "
	 "an OCI layout directory\nor one layer's tar, plain or in gzip, zstd "
	 "or xz; - is standard input, and a FIFO will\ndo.\n\n"
	 "inspect OUT: layers, devices, sizes, digests, and what mounts it."
	 "\n\n"
	 "mount OUT DIR: mount the image of OUT at DIR: as a file where the "
	 "kernel can, else\nthrough loop devices, else by erofsfuse.\n\n"
	 "umount DIR: undo it all, the overlay too.\n\n"
	 "merge IMAGE...: one index or image of many, bottom first.\n\n"
	 "verify OUT: each layer against its digests, then the structure of "
	 "the merged image\nand all data of all files."},
	{"OUTPUT",
	 "convert makes OUT/layers/*.erofs (an index for each layer), "
	 "OUT/merged.erofs (the\nwhole image), OUT/config.json and last "
	 "OUT/image.json, which tells all of it: an OUT\nwithout image.json is "
	 "not complete. Layers that are not compressed stay where they\nare "
	 "and must not be moved or changed; others become plain tars in "
	 "OUT/blobs. OUT/leaves\nhas leaf digests of layers that were "
	 "read.\n\nThe same input and options give the same bytes. On "
	 "failure nothing is published, and an\nOUT that was made is removed."},
	{"ENVIRONMENT",
	 "SOURCE_DATE_EPOCH: seconds since 1970; newer times become it, and "
	 "the time of the\nimage is it. -T goes before."},
	{"NYDUS",
	 "Called as nydus-image, the program understands the commands of "
	 "nydus-snapshotter for\ntarfs: create --type tar-tarfs, merge, and "
	 "inspect \"-R blobs\"."},
	{NULL, NULL},
};

static const struct cli_exit exits[] = {
	{"0", "Done; for verify: nothing is wrong."},
	{"1", "Failed."},
	{"4", "verify: something is wrong."},
	{"8", "verify: something could not be looked at."},
	{"16", "The command line is wrong."},
	{NULL, NULL},
};

static void codec_versions(FILE *out)
{
	const char *name, *version;

	fputs("codecs:", out);
	for (size_t i = 0; (version = ek_build_codec(i, &name)); i++)
		fprintf(out, "%s %s (%s)", i ? "," : "", name, version);
	putc('\n', out);
}

const struct cli_program tarfs_program = {
	.name = "erofs-tarfs",
	.synopsis = "convert [OPTIONS] INPUT -o OUT\n"
		    "inspect [--json] OUT\n"
		    "mount [--rw --upper=DIR] OUT DIR\n"
		    "umount DIR\n"
		    "merge [OPTIONS] -o IMAGE IMAGE...\n"
		    "verify [OPTIONS] OUT",
	.purpose = "container images as file systems, without unpacking",
	.description =
		"Makes EROFS images that point into the tars of an OCI or "
		"docker image, or EROFS images\nof its layers, and mounts "
		"them.",
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.sections = sections,
	.exits = exits,
	.see_also = "mkfs.erofs(8), dump.erofs(8), fsck.erofs(8), mount(8)",
	.usage_status = TARFS_USAGE,
	.version = codec_versions,
};
