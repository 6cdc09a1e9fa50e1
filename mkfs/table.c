/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/opts.h"

#include "mkfs/ids.h"

/* One row of the table, in the order of struct cli_option. */
static const struct cli_option options[] = {
	{OPT_ALGORITHM, NULL, 'z', CLI_REQUIRED,
	 "ALGORITHM[,[level=]LEVEL][,KEY=VALUE...][:ALGORITHM...]",
	 "compress with lz4, lz4hc (levels 0 to 12, 9 when none is given), "
	 "lzma (0 to 9, and 100 to 109 for more effort; 6), deflate (0 to 9; "
	 "1), libdeflate (0 to 12; 1) or zstd (0 to 22; 3). dictsize=SIZE, "
	 "for lzma up to 8 MiB, for zstd and deflate a power of two up to 1 "
	 "MiB and 32 KiB; lc=, lp=, pb= for lzma. lzma needs Linux 5.16, "
	 "deflate and libdeflate "
	 "6.6, zstd 6.10. Those after the first are for --compress-hints",
	 "no compression", "Compression", 0},
	{OPT_PCLUSTER, NULL, 'C', CLI_REQUIRED, "SIZE",
	 "largest physical cluster: bytes that are compressed data of one "
	 "run; a multiple of the block size, up to 1 MiB. More than one "
	 "block needs Linux 5.13",
	 "one block", NULL, 0},
	{OPT_PROFILE, "profile", 0, CLI_REQUIRED, "NAME",
	 "a set of choices, version 1. speed: -zlz4 -C65536. balanced: "
	 "-zlz4hc,9 -C65536 -Eztailpacking. small: -zlzma,6 -C1048576 "
	 "-Eztailpacking. -z, -C and -E^ztailpacking go before",
	 "none", NULL, 0},
	{OPT_HINTS, "compress-hints", 0, CLI_REQUIRED, "FILE",
	 "how to compress which files: lines \"SIZE [NUMBER] REGEX\"; the "
	 "first whose extended regular expression matches anywhere in a path, "
	 "relative to SOURCE, gives the size of physical clusters (0: not "
	 "compressed) and the number, from 0, of an algorithm of -z",
	 NULL, NULL, 0},
	{OPT_MAX_EXTENT, "max-extent-bytes", 0, CLI_REQUIRED, "SIZE",
	 "longest run of bytes in one physical cluster, from the block size "
	 "on; rounded down to whole blocks, with -E48bit to a power of two of "
	 "them",
	 "4 MiB", NULL, 0},
	{OPT_BLOCK, NULL, 'b', CLI_REQUIRED, "SIZE",
	 "block size: 512, 1024, 2048 or 4096. Less than the page size of "
	 "the host that mounts needs Linux 6.4",
	 "4096", "Layout", 0},
	{OPT_EXTRA, NULL, 'E', CLI_REQUIRED, "WORD[,WORD...]",
	 "further choices; ^ before a word takes it back. noinline_data: "
	 "never keep ends of files next to inodes. force-inode-compact, "
	 "force-inode-extended: inodes of 32 or of 64 bytes only. nosbcrc: no "
	 "checksum of the superblock. force-inode-blockmap, "
	 "force-chunk-indexes: 4 or 8 bytes a chunk. ztailpacking: ends of "
	 "compressed files go next to inodes (Linux 5.17). legacy-compress: 8 "
	 "bytes of index a compressed block. 48bit: data "
	 "are cut every -C bytes and encoded in one pass, but for LZ4 (6.15; "
	 "as without the word when --compat says so). dot-omitted: directories "
	 "without "
	 "their own name, in an image with 48-bit inodes (6.15). "
	 "xattr-name-filter: each inode says "
	 "which names of attributes it has not. plain-xattr-prefixes: as it "
	 "is without the word. Adds up",
	 "none", NULL, 0},
	{OPT_ALIGN, "dsunit", 0, CLI_REQUIRED, "BLOCKS",
	 "files that are stored as they are begin at a multiple of so many "
	 "blocks, unless they are shorter",
	 "anywhere", NULL, 0},
	{OPT_COMPAT, "compat", 0, CLI_REQUIRED, "VERSION",
	 "the image is for this Linux (5.4 or later), for any, or for that "
	 "of debian-11, debian-12, debian-13, rhel-9, rhel-10, ubuntu-20.04, "
	 "ubuntu-22.04 or ubuntu-24.04 as they were released: what needs a "
	 "later one is an error that names it",
	 "the summary says what the image needs", NULL, 0},
	{OPT_XATTR, NULL, 'x', CLI_REQUIRED, "NUMBER",
	 "keep an extended attribute once for all when more than NUMBER "
	 "inodes have it; a negative number drops all attributes",
	 "2", NULL, 0},
	{OPT_XATTR_PREFIX, "xattr-prefix", 0, CLI_REQUIRED, "PREFIX",
	 "store this beginning of names of attributes once for all: user., "
	 "trusted. or security. and more. Needs Linux 6.4. Adds up, to 128",
	 "none", NULL, 0},
	{OPT_LABEL, NULL, 'L', CLI_REQUIRED, "LABEL",
	 "volume label, up to 15 bytes", "none", "Identity and time", 0},
	{OPT_UUID, NULL, 'U', CLI_REQUIRED, "UUID",
	 "UUID of the file system: 36 characters, clear (all zero) or random",
	 "made of all bytes of the image, so equal images have equal ones",
	 NULL, 0},
	{OPT_TIME, NULL, 'T', CLI_REQUIRED, "SECONDS",
	 "fixed time, in seconds since 1970",
	 "SOURCE_DATE_EPOCH, see ENVIRONMENT, or the files' own times", NULL,
	 0},
	{OPT_ALL_TIME, "all-time", 0, CLI_NONE, NULL,
	 "the fixed time is for every file and for the superblock; so it is "
	 "with -T alone",
	 NULL, NULL, 0},
	{OPT_MKFS_TIME, "mkfs-time", 0, CLI_NONE, NULL,
	 "the fixed time is for the superblock only", NULL, NULL, 0},
	{OPT_PRESERVE_MTIME, "preserve-mtime", 0, CLI_NONE, NULL,
	 "keep the time of each file, as without the option", NULL, NULL, 0},
	{OPT_IGNORE_MTIME, "ignore-mtime", 0, CLI_NONE, NULL,
	 "each file gets the build time, which makes inodes small", NULL, NULL,
	 0},
	{OPT_ALL_ROOT, "all-root", 0, CLI_NONE, NULL,
	 "owner and group of all files become 0", NULL, "Owners", 0},
	{OPT_FORCE_UID, "force-uid", 0, CLI_REQUIRED, "UID",
	 "owner of all files", "each file's own", NULL, 0},
	{OPT_FORCE_GID, "force-gid", 0, CLI_REQUIRED, "GID",
	 "group of all files", "each file's own", NULL, 0},
	{OPT_UID_OFFSET, "uid-offset", 0, CLI_REQUIRED, "NUMBER",
	 "add NUMBER to all owners; may be negative", "0", NULL, 0},
	{OPT_GID_OFFSET, "gid-offset", 0, CLI_REQUIRED, "NUMBER",
	 "add NUMBER to all groups; may be negative", "0", NULL, 0},
	{OPT_EXCLUDE_PATH, "exclude-path", 0, CLI_REQUIRED, "PATH",
	 "leave out PATH, relative to SOURCE, with all beneath. Adds up",
	 "nothing", "Selection", 0},
	{OPT_EXCLUDE_REGEX, "exclude-regex", 0, CLI_REQUIRED, "REGEX",
	 "leave out paths, relative to SOURCE, that the extended regular "
	 "expression matches anywhere. Adds up",
	 "nothing", NULL, 0},
	{OPT_ACCEPTED, "mount-point", 0, CLI_REQUIRED, "PATH",
	 "accepted: what is in an image does not depend on where it is to be "
	 "mounted",
	 NULL, NULL, 0},
	{OPT_HARD_DEREFERENCE, "hard-dereference", 0, CLI_NONE, NULL,
	 "each hard link becomes a file of its own", NULL, NULL, 0},
	{OPT_TAR, "tar", 0, CLI_OPTIONAL, "f|i|headerball",
	 "SOURCE, or standard input, is a tar archive, plain or compressed "
	 "with gzip, xz, lzma or zstd. --tar=f, as --tar alone, makes an image "
	 "with all data. --tar=i makes an index: blocks of 512 bytes (Linux "
	 "6.4), data stays in the tar, which becomes device 1. "
	 "--tar=headerball takes a stream of headers without data; files are "
	 "holes",
	 NULL, "Archives and images", 0},
	{OPT_RAW, "ungzip", 0, CLI_OPTIONAL, "FILE",
	 "the tar is compressed, which is seen without this option; save it as "
	 "it was before to FILE",
	 NULL, NULL, 0},
	{OPT_RAW, "gzip", 0, CLI_OPTIONAL, "FILE", "the same as --ungzip", NULL,
	 NULL, 0},
	{OPT_RAW, "unxz", 0, CLI_OPTIONAL, "FILE", "the same as --ungzip", NULL,
	 NULL, 0},
	{OPT_RAW, "unlzma", 0, CLI_OPTIONAL, "FILE", "the same as --ungzip",
	 NULL, NULL, 0},
	{OPT_AUFS, "aufs", 0, CLI_NONE, NULL,
	 "turn whiteouts of the tar that are named .wh.NAME, as layers of "
	 "containers have them, into those of overlayfs",
	 NULL, NULL, 0},
	{OPT_STRIP, "ovlfs-strip", 0, CLI_OPTIONAL, "0|1",
	 "leave out whiteouts and overlayfs's attributes; 0 takes it back",
	 NULL, NULL, 0},
	{OPT_SORT, "sort", 0, CLI_REQUIRED, "path|none",
	 "accepted: data is always in the order of paths", NULL, NULL, 0},
	{OPT_CLEAN, "clean", 0, CLI_OPTIONAL, "data|0",
	 "what becomes of the data of files: data copies it into the image; 0 "
	 "leaves it out, files are holes",
	 "data; for images it stays where it is", NULL, 0},
	{OPT_DEVICE, "device", 0, CLI_REQUIRED, "FILE",
	 "a device of the sources, which are images: the data that "
	 "--clean=data "
	 "copies may lie there. Repeat for each, in the order of the images "
	 "and of their tables",
	 "none", NULL, 0},
	{OPT_CHUNK_SIZE, "chunksize", 0, CLI_REQUIRED, "SIZE",
	 "cut files larger than a block in chunks of SIZE bytes, a power of "
	 "two, not less than a block; store equal ones once (-E^dedupe: each), "
	 "leave out those of zeros. Needs Linux 5.15; not with -z",
	 "files are not cut", "Chunks", 0},
	{OPT_BLOB, "blobdev", 0, CLI_REQUIRED, "FILE",
	 "with --chunksize: chunks go to FILE, which is to be given when the "
	 "image is mounted (device=FILE)",
	 "into the image", NULL, 0},
	{OPT_WORKERS, "workers", 0, CLI_REQUIRED, "NUMBER",
	 "threads; the bytes of the image do not depend on it",
	 "the CPUs that the process may use", "Running", 0},
	{OPT_MANIFEST, "manifest-out", 0, CLI_REQUIRED, "FILE",
	 "write to FILE what each path of the source is, with a SHA-256 of the "
	 "data as it was read; fsck.erofs --manifest=FILE compares an image "
	 "with it",
	 "none", NULL, 0},
	{OPT_LEAVES, "leaf-digests", 0, CLI_REQUIRED, "FILE",
	 "write to FILE a SHA-256 of each 64 KiB of the image under one root, "
	 "so that pieces of it can be verified alone; with --blobdev to "
	 "FILE.blob those of its file",
	 "none", NULL, 0},
	{OPT_VERIFY, "verify", 0, CLI_NONE, NULL,
	 "read the finished image again from its disk and compare all of it "
	 "with what was read from the source; a difference publishes nothing",
	 NULL, NULL, 0},
	{OPT_ACCEPTED, "async-queue-limit", 0, CLI_REQUIRED, "NUMBER",
	 "accepted: how far the tree is read ahead depends on its files", NULL,
	 NULL, 0},
	{OPT_NO_SYNC, "no-sync", 0, CLI_NONE, NULL,
	 "do not wait until the image is on the disk", NULL, NULL, 0},
	{OPT_DEBUG, NULL, 'd', CLI_REQUIRED, "LEVEL",
	 "which messages to show: 0 errors, 2 warnings too, up to 9", "2", NULL,
	 0},
	{OPT_QUIET, "quiet", 0, CLI_NONE, NULL,
	 "nothing on standard output, errors only", NULL, NULL, 0},
	{OPT_JSON, "json", 0, CLI_NONE, NULL,
	 "one JSON object on standard output instead of text", NULL, NULL, 0},

/* What the peer knows and this version does not. */
#define REFUSED(name, letter, arg)                                             \
	{                                                                      \
		OPT_REFUSED, name, letter, arg, NULL, NULL, NULL, NULL, 1      \
	}
	REFUSED("offset", 0, CLI_REQUIRED),
	REFUSED("fsalignblks", 0, CLI_REQUIRED),
	REFUSED("zD", 0, CLI_OPTIONAL),
	REFUSED(NULL, 'm', CLI_REQUIRED),
	REFUSED("MZ", 0, CLI_OPTIONAL),
	REFUSED("zfeature-bits", 0, CLI_REQUIRED),
	REFUSED("random-pclusterblks", 0, CLI_NONE),
	REFUSED("random-algorithms", 0, CLI_NONE),
	REFUSED("file-contexts", 0, CLI_REQUIRED),
	REFUSED("product-out", 0, CLI_REQUIRED),
	REFUSED("fs-config-file", 0, CLI_REQUIRED),
	REFUSED("xattr-inode-digest", 0, CLI_OPTIONAL),
	REFUSED("root-xattr-isize", 0, CLI_REQUIRED),
	REFUSED("gzinfo", 0, CLI_OPTIONAL),
	{OPT_REFUSED, "incremental", 0, CLI_OPTIONAL, NULL,
	 "a finished image is never changed; give it as a source, with the new "
	 "layer behind it",
	 NULL, NULL, 1},
	REFUSED("vmdk-desc", 0, CLI_REQUIRED),
	REFUSED("s3", 0, CLI_REQUIRED),
	REFUSED("oci", 0, CLI_OPTIONAL),
#undef REFUSED
};

static const struct cli_section sections[] = {
	{"OUTPUT",
	 "IMAGE is written under a temporary name beside it, flushed to the "
	 "disk and renamed:\non any failure an existing IMAGE is as it was "
	 "and nothing is left. A symbolic link is\nfollowed. A block device "
	 "is written in place. Outputs inside SOURCE are left out of it."
	 "\n\n"
	 "Standard output has the version, on a terminal a line of progress, "
	 "and a summary: the\nUUID, blocks, inodes, bytes, time, and the "
	 "oldest kernel that mounts the image.\nMessages go to standard "
	 "error.\n\n"
	 "The same tree, options and versions of codecs give the same bytes. "
	 "Holes are decided\nby content. Without -T and SOURCE_DATE_EPOCH "
	 "the build time is the newest time in the\ntree, or another one of "
	 "it that makes the image smaller."},
	{"DEVICES",
	 "An image may need other files when it is mounted, one device= option "
	 "for each, in\norder: of --tar=i the tar, of --blobdev its file, of "
	 "merged layers what each of them\nneeds or, when that is nothing, "
	 "the layer itself. Instead, they may be appended to\nthe image in "
	 "that order, each padded to whole blocks.\n\n"
	 "What blocks cannot address is copied into an index: odd sparse "
	 "members, data of layers\nthat is compressed or beside inodes "
	 "(-Enoinline_data avoids it). It is counted.\n\n"
	 "The data of a stream that is needed later is kept in a file without "
	 "a name beside\nIMAGE. The label of a tar becomes that of the image "
	 "unless -L is given."},
	{"JSON",
	 "With --json the object has the versions of program and codecs, "
	 "uuid, sizes and\ncounts, and the seconds of each phase. A byte XX "
	 "of a name that is not UTF-8 is\nwritten as the lone surrogate "
	 "\\udcXX, as Python's surrogateescape does."},
	{"ENVIRONMENT",
	 "SOURCE_DATE_EPOCH: seconds since 1970. Times of files that are "
	 "newer become it, older\nstay, and the superblock's time is it. "
	 "With --all-time or --mkfs-time it is a fixed\ntime as of -T, which "
	 "it gives way to."},
	{NULL, NULL},
};

static const struct cli_exit exits[] = {
	{"0", "The image is complete."},
	{"1", "It is not: a wrong command line or any other failure."},
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

const struct cli_program mkfs_program = {
	.name = "mkfs.erofs",
	.synopsis = "[OPTIONS] IMAGE DIRECTORY\n"
		    "[OPTIONS] --tar[=f|i|headerball] IMAGE [TAR]\n"
		    "[OPTIONS] IMAGE LAYER...",
	.purpose = "make an EROFS image of a directory, a tar or images",
	.description =
		"Makes the read-only file system IMAGE of the directory "
		"SOURCE, "
		"with all types of files,\nhard links, owners, times to the "
		"nanosecond and extended attributes. Other file\nsystems "
		"mounted "
		"inside SOURCE are included. A file that cannot be read or "
		"that "
		"changes\nmeanwhile is an error.\n\n"
		"With --tar the source is an archive (V7, ustar, GNU, PAX, "
		"sparse members). With images\nas sources IMAGE shows them "
		"merged as overlayfs would, the bottom one first; their data "
		"stays\nin them, or on the devices that they name, unless "
		"--clean says otherwise.",
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.sections = sections,
	.exits = exits,
	.see_also = "dump.erofs(8), fsck.erofs(8), mount(8)",
	.usage_status = 1,
	.version = codec_versions,
};
