/* SPDX-License-Identifier: Apache-2.0 */
#include "fsck/opts.h"

#include "cli/message.h"
#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPT_STRICT,
	OPT_METADATA_ONLY,
	OPT_MAX_DECODE,
	OPT_NO_SBCRC,
	OPT_PATH,
	OPT_NID,
	OPT_DEVICE,
	OPT_OFFSET,
	OPT_WORKERS,
	OPT_IGNORED,
	OPT_JSON,
	OPT_QUIET,
	OPT_RATIO,
	OPT_LEVEL,
	OPT_DIGEST,
	OPT_VERITY_ROOT,
	OPT_VERITY,
	OPT_MAKE_VERITY,
	OPT_VERITY_SALT,
	OPT_VERITY_BLOCK,
	OPT_VERITY_NO_SUPER,
	OPT_MANIFEST,
	OPT_EXTRACT,
	OPT_TO_TAR,
	OPT_OVERWRITE,
	OPT_FORCE,
	OPT_XATTRS,
	OPT_NO_XATTRS,
	OPT_PRESERVE,
	OPT_NO_PRESERVE,
	OPT_PRESERVE_OWNER,
	OPT_NO_PRESERVE_OWNER,
	OPT_PRESERVE_PERMS,
	OPT_NO_PRESERVE_PERMS,
};

#define REQUIRED(v) .arg = CLI_REQUIRED, .value = v

/* clang-format off */
static const struct cli_option options[] = {
	{ .id = OPT_STRICT, .name = "strict",
	  .meaning = "warnings are errors, and nothing may hide in the image: "
		     "bytes that nothing refers to, padding and reserved "
		     "fields must be zero",
	  .def = "off", .group = "What to check" },
	{ .id = OPT_METADATA_ONLY, .name = "metadata-only",
	  .meaning = "do not decode file data", .def = "all is decoded" },
	{ .id = OPT_MAX_DECODE, .name = "max-decode", REQUIRED("SIZE"),
	  .meaning = "most bytes to decode or to extract",
	  .def = "1,000 times the size of the image" },
	{ .id = OPT_NO_SBCRC, .name = "no-sbcrc",
	  .meaning = "do not compare the checksum of the superblock",
	  .def = "it is compared" },
	{ .id = OPT_PATH, .name = "path", REQUIRED("PATH"),
	  .meaning = "check or extract the subtree at PATH alone",
	  .def = "/" },
	{ .id = OPT_NID, .name = "nid", REQUIRED("NID"),
	  .meaning = "check or extract the subtree of inode NID alone",
	  .def = "that of the root" },
	{ .id = OPT_IGNORED, .letter = 'a', .meaning = "accepted and ignored, "
	  "like -A and -y: nothing is ever repaired" },
	{ .id = OPT_IGNORED, .letter = 'A', .meaning = "see -a" },
	{ .id = OPT_IGNORED, .letter = 'y', .meaning = "see -a" },
	{ .id = OPT_DEVICE, .name = "device", REQUIRED("PATH"),
	  .meaning = "an extra device of the image; repeat for each, in the "
		     "order of its device table",
	  .def = "none: they are looked for behind the image itself",
	  .group = "Where the image is" },
	{ .id = OPT_OFFSET, .name = "offset", REQUIRED("BYTES"),
	  .meaning = "the image begins BYTES bytes into the file",
	  .def = "0" },
	{ .id = OPT_DIGEST, .name = "digest", REQUIRED("sha256:HEX"),
	  .meaning = "the whole image must have this digest",
	  .group = "Evidence for the contents" },
	{ .id = OPT_VERITY_ROOT, .name = "verity-root", REQUIRED("HEX"),
	  .meaning = "the dm-verity tree over the image must have this root "
		     "hash" },
	{ .id = OPT_VERITY, .name = "verity", REQUIRED("FILE"),
	  .meaning = "the tree is in FILE: it must fit the image, and tells "
		     "salt and block sizes",
	  .def = "the tree is computed" },
	{ .id = OPT_MAKE_VERITY, .name = "make-verity", REQUIRED("FILE"),
	  .meaning = "write the dm-verity tree of the image to FILE and print "
		     "the root hash; only when no error was found" },
	{ .id = OPT_VERITY_SALT, .name = "verity-salt", REQUIRED("HEX"),
	  .meaning = "salt of a tree that is computed or made",
	  .def = "none" },
	{ .id = OPT_VERITY_BLOCK, .name = "verity-block", REQUIRED("BYTES"),
	  .meaning = "size of data and hash blocks of a tree that is computed "
		     "or made: 512 or 4096",
	  .def = "4096" },
	{ .id = OPT_VERITY_NO_SUPER, .name = "verity-no-superblock",
	  .meaning = "the file of --verity or --make-verity has no superblock",
	  .def = "it has one" },
	{ .id = OPT_MANIFEST, .name = "manifest", REQUIRED("FILE"),
	  .meaning = "the tree must be exactly the one that FILE tells: paths, "
		     "metadata and contents" },
	{ .id = OPT_EXTRACT, .name = "extract", .arg = CLI_OPTIONAL,
	  .value = "DIR",
	  .meaning = "write the tree into DIR, which is made when it does not "
		     "exist; without DIR decode all, which is done anyway",
	  .group = "Extraction" },
	{ .id = OPT_TO_TAR, .name = "to-tar", REQUIRED("FILE"),
	  .meaning = "write the tree as a PAX tar with attributes to FILE, "
		     "\"-\" for standard output; needs no root" },
	{ .id = OPT_OVERWRITE, .name = "overwrite",
	  .meaning = "replace files that exist", .def = "they are errors" },
	{ .id = OPT_FORCE, .name = "force",
	  .meaning = "allow extraction into the root directory of the host" },
	{ .id = OPT_XATTRS, .name = "xattrs",
	  .meaning = "restore extended attributes", .def = "on" },
	{ .id = OPT_NO_XATTRS, .name = "no-xattrs",
	  .meaning = "do not restore extended attributes" },
	{ .id = OPT_PRESERVE, .name = "preserve",
	  .meaning = "as --preserve-owner --preserve-perms",
	  .def = "for root" },
	{ .id = OPT_PRESERVE_OWNER, .name = "preserve-owner",
	  .meaning = "restore owners and groups", .def = "for root" },
	{ .id = OPT_PRESERVE_PERMS, .name = "preserve-perms",
	  .meaning = "restore permissions as they are; otherwise less the "
		     "umask, without set-id bits",
	  .def = "for root" },
	{ .id = OPT_NO_PRESERVE, .name = "no-preserve",
	  .meaning = "as --no-preserve-owner --no-preserve-perms",
	  .def = "for others" },
	{ .id = OPT_NO_PRESERVE_OWNER, .name = "no-preserve-owner",
	  .meaning = "files belong to the caller", .def = "for others" },
	{ .id = OPT_NO_PRESERVE_PERMS, .name = "no-preserve-perms",
	  .meaning = "the umask applies", .def = "for others" },
	{ .id = OPT_JSON, .name = "json",
	  .meaning = "tell everything as one JSON object", .def = "text",
	  .group = "Output and speed" },
	{ .id = OPT_QUIET, .name = "quiet",
	  .meaning = "findings alone, no summary" },
	{ .id = OPT_RATIO, .letter = 'p',
	  .meaning = "tell the compression ratio too" },
	{ .id = OPT_LEVEL, .letter = 'd', REQUIRED("LEVEL"),
	  .meaning = "messages on standard error from 0 (errors) to 9",
	  .def = "2" },
	{ .id = OPT_WORKERS, .name = "workers", REQUIRED("N"),
	  .meaning = "threads that decode or extract",
	  .def = "the CPUs that the process may use" },
	{ .name = "xattr-inode-digest", .arg = CLI_NONE, .refused = 1 },
};
/* clang-format on */

static const struct cli_exit exits[] = {
	{"0", "clean; warnings alone too, unless --strict"},
	{"4", "errors were found, or evidence does not fit; a truncated "
	      "image counts here"},
	{"8", "no error was found, but something could not be checked: "
	      "unreadable, not EROFS, an unknown feature or codec, a missing "
	      "device, a budget; or the extraction failed for a reason that "
	      "is not in the image"},
	{"16", "the command line is wrong"},
	{NULL, NULL},
};

#define DESCRIPTION                                                            \
	"fsck.erofs checks an EROFS image against every rule of its format: "  \
	"superblock, inodes, directories, attributes, extents, overlaps; and " \
	"decodes every stream to its exact length. IMAGE is a file or a "      \
	"block device; it is only read.\n\n"                                   \
	"EROFS has no checksum over data. A clean check says that the "        \
	"structure is valid; it does not say whose contents they are. That "   \
	"takes evidence from outside: a digest, the root hash of a dm-verity " \
	"tree, or a manifest. The summary tells which of these was given "     \
	"and held."

#define OUTPUT                                                                 \
	"One line a finding on standard output: code, severity, path, inode "  \
	"number, byte offset in the image, words; \"-\" stands for what a "    \
	"finding does not have. Severities are error, warning and unchecked "  \
	"(nothing is known about it). Control characters and spaces in paths " \
	"are written \\xNN.\n\nWith --json there is one object with the "      \
	"members image, findings, evidence, extraction, summary and status. "  \
	"A byte of a name that is not part of valid UTF-8 is written as the "  \
	"lone surrogate \\udcXX.\n\nWith --to-tar=- standard output is the "   \
	"tar stream and everything else goes to standard error."

/* The section with all codes is made of the table of the library. */
static char *codes_text(void)
{
	const struct ek_check_code *row;
	size_t size, i;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (i = 0; (row = ek_check_code(i)); i++)
		fprintf(out, "%s%s (%s%s): %s", i ? "\n\n" : "", row->code,
			ek_severity_name(row->severity),
			row->strict_only ? ", with --strict" : "",
			row->meaning);
	fprintf(out, "\n\nEVIDENCE-DIGEST, EVIDENCE-VERITY, "
		     "EVIDENCE-MANIFEST (error): the image is not the one "
		     "that the evidence is for");
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static const struct cli_program program = {
	.name = "fsck.erofs",
	.synopsis = "[OPTIONS] IMAGE",
	.purpose = "check an EROFS image, or extract it",
	.description = DESCRIPTION,
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.exits = exits,
	.see_also = "mkfs.erofs(8), dump.erofs(8), fsck(8), veritysetup(8)",
	.usage_status = FSCK_USAGE,
};

static ek_status add_device(struct fsck_options *o, const char *path,
			    struct ek_err *err)
{
	const char **grown;

	if (o->n_devices == FSCK_DEVICES_MAX)
		return ek_fail(err, EK_LIMIT, "more than %d devices",
			       FSCK_DEVICES_MAX);
	grown = realloc(o->devices, (o->n_devices + 1) * sizeof(*grown));
	if (!grown)
		return ek_fail(err, EK_NOMEM, "no memory");
	o->devices = grown;
	o->devices[o->n_devices++] = path;
	return EK_OK;
}

/* Options with a number. */
static ek_status number(struct fsck_options *o, int id, const char *value,
			struct ek_err *err)
{
	uint64_t v = 0;
	ek_status status;

	switch (id) {
	case OPT_MAX_DECODE:
		return cli_size(value, 1, INT64_MAX, &o->check.max_decode, err);
	case OPT_OFFSET:
		return cli_size(value, 0, INT64_MAX, &o->offset, err);
	case OPT_NID:
		o->check.has_nid = true;
		return cli_unsigned(value, 0, UINT64_MAX, &o->check.nid, err);
	case OPT_VERITY_BLOCK:
		status = cli_size(value, 512, 4096, &v, err);
		if (status == EK_OK && v != 512 && v != 4096)
			return ek_fail(err, EK_INVALID, "must be 512 or 4096");
		o->verity_block = v;
		return status;
	case OPT_WORKERS:
		status = cli_unsigned(value, 1, 1024, &v, err);
		o->check.workers = o->extract.workers = (uint32_t)v;
		return status;
	default:
		status = cli_unsigned(value, 0, CLI_LEVEL_MAX, &v, err);
		o->level = (int)v;
		return status;
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static ek_status salt(struct fsck_options *o, const char *value,
		      struct ek_err *err)
{
	size_t n = strlen(value), i;

	if (n % 2 || n / 2 > sizeof(o->salt))
		return ek_fail(err, EK_INVALID,
			       "must be an even number of up to 512 "
			       "hexadecimal digits");
	for (i = 0; i < n; i += 2) {
		int high = hex_digit(value[i]), low = hex_digit(value[i + 1]);

		if (high < 0 || low < 0)
			return ek_fail(err, EK_INVALID, "must be hexadecimal");
		o->salt[i / 2] = (uint8_t)(high << 4 | low);
	}
	o->salt_size = (uint32_t)(n / 2);
	return EK_OK;
}

/* Digests are looked at here, so that a wrong one fails at once. */
static ek_status digest(const char *value, const char **to, struct ek_err *err)
{
	uint8_t bytes[EK_DIGEST_SIZE];

	*to = value;
	return ek_digest_parse(value, bytes, err);
}

/* Options that say what to restore. */
static void preserve(struct fsck_options *o, int id)
{
	struct ek_extract_options *e = &o->extract;
	bool no = id == OPT_NO_PRESERVE || id == OPT_NO_PRESERVE_OWNER ||
		  id == OPT_NO_PRESERVE_PERMS;
	enum ek_preserve how = no ? EK_PRESERVE_NO : EK_PRESERVE_YES;

	if (id != OPT_PRESERVE_PERMS && id != OPT_NO_PRESERVE_PERMS)
		e->owner = how;
	if (id != OPT_PRESERVE_OWNER && id != OPT_NO_PRESERVE_OWNER)
		e->perms = how;
}

static bool text_option(struct fsck_options *o, int id, const char *value)
{
	switch (id) {
	case OPT_PATH:
		o->check.path = value;
		return true;
	case OPT_VERITY:
		o->verity_tree = value;
		return true;
	case OPT_MAKE_VERITY:
		o->make_verity = value;
		return true;
	case OPT_MANIFEST:
		o->manifest = value;
		return true;
	case OPT_EXTRACT:
		o->extract_dir = value;
		return true;
	case OPT_TO_TAR:
		o->tar = value;
		return true;
	default:
		return false;
	}
}

static bool flag_option(struct fsck_options *o, int id)
{
	switch (id) {
	case OPT_STRICT:
		return o->check.strict = true;
	case OPT_METADATA_ONLY:
		return o->check.metadata_only = true;
	case OPT_NO_SBCRC:
		return o->check.ignore_checksum = true;
	case OPT_VERITY_NO_SUPER:
		return o->verity_no_super = true;
	case OPT_OVERWRITE:
		return o->extract.overwrite = true;
	case OPT_FORCE:
		return o->force = true;
	case OPT_XATTRS:
		o->extract.no_xattrs = false;
		return true;
	case OPT_NO_XATTRS:
		return o->extract.no_xattrs = true;
	case OPT_JSON:
		return o->json = true;
	case OPT_QUIET:
		return o->quiet = true;
	case OPT_RATIO:
		return o->ratio = true;
	case OPT_IGNORED:
		return true;
	default:
		return false;
	}
}

static ek_status handle(void *ctx, const struct cli_option *option,
			const char *value, struct ek_err *err)
{
	struct fsck_options *o = ctx;

	if (text_option(o, option->id, value) || flag_option(o, option->id))
		return EK_OK;
	switch (option->id) {
	case OPT_DEVICE:
		return add_device(o, value, err);
	case OPT_DIGEST:
		return digest(value, &o->digest, err);
	case OPT_VERITY_ROOT:
		return digest(value, &o->verity_root, err);
	case OPT_VERITY_SALT:
		return salt(o, value, err);
	case OPT_PRESERVE:
	case OPT_NO_PRESERVE:
	case OPT_PRESERVE_OWNER:
	case OPT_NO_PRESERVE_OWNER:
	case OPT_PRESERVE_PERMS:
	case OPT_NO_PRESERVE_PERMS:
		preserve(o, option->id);
		return EK_OK;
	default:
		return number(o, option->id, value, err);
	}
}

static int consistent(const struct fsck_options *o)
{
	if (o->check.path && o->check.has_nid)
		return cli_usage(&program,
				 "--path and --nid cannot be used together");
	if (o->extract_dir && o->tar)
		return cli_usage(&program, "--extract and --to-tar cannot be "
					   "used together");
	if (o->tar && !strcmp(o->tar, "-") && o->json)
		return cli_usage(&program, "--to-tar=- and --json both want "
					   "standard output");
	if (o->verity_tree && !o->verity_root)
		return cli_usage(&program, "--verity needs --verity-root: a "
					   "tree alone proves nothing");
	if (o->verity_tree && o->make_verity)
		return cli_usage(&program, "--verity and --make-verity cannot "
					   "be used together");
	return CLI_GO_ON;
}

int fsck_parse(int argc, char **argv, struct fsck_options *o)
{
	char *codes = codes_text();
	const struct cli_section sections[] = {
		{"OUTPUT", OUTPUT},
		{"CODES", codes ? codes : ""},
		{NULL, NULL},
	};
	struct cli_program whole = program;
	int first = 0, status;

	o->check.size = sizeof(o->check);
	o->extract.size = sizeof(o->extract);
	o->level = CLI_LEVEL_DEFAULT;
	o->verity_block = 4096;
	whole.sections = sections;
	status = cli_parse(&whole, argc, argv, handle, o, &first);
	free(codes);
	if (status != CLI_GO_ON)
		return status;
	if (first >= argc)
		return cli_usage(&program, "no IMAGE given");
	if (argc - first > 1)
		return cli_usage(&program, "unexpected argument %s",
				 argv[first + 1]);
	o->image = argv[first];
	return consistent(o);
}

void fsck_options_free(struct fsck_options *o)
{
	free(o->devices);
}
