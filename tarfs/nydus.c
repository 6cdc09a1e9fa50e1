/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What nydus-snapshotter asks of a program called nydus-image for layers in
 * tarfs, without the export of block devices:
 *
 *	create --type tar-tarfs --bootstrap INDEX --blob-id ID --blob-dir D TAR
 *	merge --bootstrap INDEX INDEX...
 *	inspect "-R blobs" INDEX
 *
 * It shows standard error when the exit status is not 0.
 */

#include "tarfs/verbs.h"

#include "cli/message.h"
#include "tarfs/archive.h"

#include <erofskit/image.h>
#include <erofskit/layer.h>
#include <erofskit/outfile.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INDEX_BLOCK 512u

enum { OPT_TYPE = 256, OPT_BLOB_ID, OPT_BLOB_DIR, OPT_LOG_FILE };

struct nydus {
	const char *type, *bootstrap, *blob_id, *blob_dir, *request, *json;
	char **operands;
	size_t n_operands;
	const volatile int *cancel;
};

static const struct option longs[] = {
	{"type", required_argument, NULL, OPT_TYPE},
	{"source-type", required_argument, NULL, OPT_TYPE},
	{"bootstrap", required_argument, NULL, 'B'},
	{"blob-id", required_argument, NULL, OPT_BLOB_ID},
	{"blob-dir", required_argument, NULL, 'D'},
	{"request", required_argument, NULL, 'R'},
	{"log-level", required_argument, NULL, 'l'},
	{"log-file", required_argument, NULL, OPT_LOG_FILE},
	{"output-json", required_argument, NULL, 'J'},
	{NULL, 0, NULL, 0},
};

/* False: told. */
static bool parse(struct nydus *n, int argc, char **argv)
{
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "t:B:D:R:l:J:", longs, NULL)) !=
	       -1) {
		switch (c) {
		case 't':
		case OPT_TYPE:
			n->type = optarg;
			break;
		case 'B':
			n->bootstrap = optarg;
			break;
		case OPT_BLOB_ID:
			n->blob_id = optarg;
			break;
		case 'D':
			n->blob_dir = optarg;
			break;
		case 'R':
			n->request = optarg;
			break;
		case 'J':
			n->json = optarg;
			break;
		case 'l':
		case OPT_LOG_FILE:
			break;
		default:
			cli_error("%s: not an option that is known here",
				  argv[optind - 1]);
			return false;
		}
	}
	n->operands = argv + optind;
	n->n_operands = (size_t)(argc - optind);
	return true;
}

static void options(const struct nydus *n, struct tarfs_options *o)
{
	*o = (struct tarfs_options){
		.quiet = true,
		.build = {.size = sizeof(o->build),
			  .level = EK_LEVEL_DEFAULT,
			  .xattr_share = EK_XATTR_SHARE_DEFAULT,
			  .cancel = n->cancel},
	};
}

/* What the caller tees into a file: read it all, whatever stands there. */
static ek_status drain(int fd, const char *name, struct ek_err *err)
{
	char *bytes = malloc(1 << 16);
	ssize_t got = 1;

	if (!bytes)
		return ek_fail(err, EK_NOMEM, "no memory");
	while (got > 0 || (got < 0 && errno == EINTR))
		got = read(fd, bytes, 1 << 16);
	free(bytes);
	return got < 0 ? ek_fail_sys(err, errno, "%s", name) : EK_OK;
}

static ek_status index_stream(const struct nydus *n, int fd, int out,
			      struct ek_err *err)
{
	const struct ek_layer_options how = {
		.size = sizeof(how),
		.aufs = true,
		.device_tag = n->blob_id,
		.cancel = n->cancel,
	};
	const char *name = n->operands[0];
	struct ek_build_stats stats;
	struct ek_layer *layer = NULL;
	struct ek_tar_input *in;
	struct tarfs_options o;
	ek_status s;

	CLI_TRY(ek_tar_input_from_fd(fd, name, &in, err));
	s = ek_layer_from_tar(in, NULL, name, &how, &layer, NULL, err);
	ek_tar_input_free(in);
	if (s == EK_OK)
		s = drain(fd, name, err);
	options(n, &o);
	o.build.index = true;
	o.build.block_size = INDEX_BLOCK;
	if (s == EK_OK)
		s = ek_build_layer(layer, &o.build, out, n->bootstrap, &stats,
				   err);
	ek_layer_free(layer);
	return s;
}

static ek_status write_json(const struct nydus *n, struct ek_err *err)
{
	FILE *f = n->json ? fopen(n->json, "we") : NULL;

	if (!n->json)
		return EK_OK;
	if (!f)
		return ek_fail_sys(err, errno, "%s", n->json);
	fprintf(f,
		"{\n  \"version\": \"%s\",\n  \"bootstrap\": \"\",\n"
		"  \"blobs\": [],\n  \"trace\": {},\n"
		"  \"fs_version\": \"6\",\n  \"compressor\": \"None\"\n}\n",
		PACKAGE_VERSION);
	return fclose(f) ? ek_fail_sys(err, errno, "%s", n->json) : EK_OK;
}

static ek_status create(const struct nydus *n, struct ek_err *err)
{
	const struct ek_outfile_options file = {.size = sizeof(file)};
	struct ek_outfile *out;
	ek_status s;
	int fd;

	if (!n->type || strcmp(n->type, "tar-tarfs") != 0)
		return ek_fail(err, EK_UNSUPPORTED,
			       "create: only --type tar-tarfs is known here");
	if (!n->bootstrap || !n->blob_id || n->n_operands != 1)
		return ek_fail(err, EK_INVALID,
			       "create: --bootstrap, --blob-id and one source "
			       "are needed");
	if (strlen(n->blob_id) != 64 ||
	    strspn(n->blob_id, "0123456789abcdef") != 64)
		return ek_fail(err, EK_INVALID,
			       "--blob-id: not 64 hexadecimal digits");
	if (n->blob_dir && access(n->blob_dir, F_OK) < 0)
		return ek_fail_sys(err, errno, "%s", n->blob_dir);
	fd = open(n->operands[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", n->operands[0]);
	s = ek_outfile_open(n->bootstrap, &file, &out, err);
	if (s == EK_OK) {
		s = index_stream(n, fd, ek_outfile_fd(out), err);
		if (s == EK_OK)
			s = ek_outfile_commit(out, err);
		else
			ek_outfile_abort(out);
	}
	close(fd);
	return s == EK_OK ? write_json(n, err) : s;
}

static ek_status merge(const struct nydus *n, struct ek_err *err)
{
	struct tarfs_options o;

	if (!n->bootstrap || !n->n_operands)
		return ek_fail(err, EK_INVALID,
			       "merge: --bootstrap and sources are needed");
	options(n, &o);
	CLI_TRY(tarfs_merge_images(n->operands, n->n_operands, n->bootstrap, &o,
				   NULL, err));
	return write_json(n, err);
}

/* One compact array: the caller looks for "blob_id":"HEX" as a text. */
static ek_status blobs(struct ek_image *image, struct ek_err *err)
{
	const struct ek_image_info *info = ek_image_info(image);
	struct ek_image_device d;

	for (unsigned i = 0; i < info->n_devices; i++) {
		CLI_TRY(ek_image_device(image, i, &d, err));
		if (strspn(d.tag, "0123456789abcdef") != strlen(d.tag))
			return ek_fail(err, EK_CORRUPT,
				       "device %u has no blob id", i);
	}
	putchar('[');
	for (unsigned i = 0; i < info->n_devices; i++) {
		uint64_t bytes;

		CLI_TRY(ek_image_device(image, i, &d, err));
		bytes = d.blocks * info->block_size;
		printf("%s{\"blob_id\":\"%s\",\"readahead_offset\":0,"
		       "\"readahead_size\":0,\"decompressed_size\":%" PRIu64
		       ",\"compressed_size\":%" PRIu64 "}",
		       i ? "," : "", d.tag, bytes, bytes);
	}
	puts("]");
	return EK_OK;
}

static ek_status inspect(const struct nydus *n, struct ek_err *err)
{
	const char *request = n->request ? n->request : "";
	const char *path = n->n_operands ? n->operands[0] : n->bootstrap;
	struct ek_image *image = NULL;
	struct ek_source *src;
	ek_status s;

	/* It comes as one word, "-R blobs": the value begins with a space. */
	request += strspn(request, " \t");
	if (strcmp(request, "blobs") != 0 || !path)
		return ek_fail(err, EK_UNSUPPORTED,
			       "inspect: only '-R blobs' of one index is "
			       "known here");
	CLI_TRY(ek_source_open_file(path, 0, &src, err));
	s = ek_image_open(src, NULL, &image, err);
	if (s == EK_OK)
		s = blobs(image, err);
	ek_image_free(image);
	ek_source_free(src);
	return s;
}

int tarfs_nydus(int argc, char **argv, const volatile int *cancel)
{
	static const struct {
		const char *name;
		ek_status (*run)(const struct nydus *n, struct ek_err *err);
	} commands[] = {
		{"create", create},
		{"merge", merge},
		{"inspect", inspect},
	};
	struct nydus n = {.cancel = cancel};
	struct ek_err err;

	if (argc == 2 &&
	    (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		printf("erofskit %s as nydus-image\n", PACKAGE_VERSION);
		return cli_finish();
	}
	for (size_t i = 0; argc > 1 && i < 3; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (!parse(&n, argc - 1, argv + 1))
			return TARFS_FAILED;
		if (commands[i].run(&n, &err) != EK_OK) {
			cli_error("%s", err.text);
			return TARFS_FAILED;
		}
		return cli_finish() ? TARFS_FAILED : TARFS_OK;
	}
	cli_error("nydus-image: only create, merge and inspect are known here");
	return TARFS_FAILED;
}
