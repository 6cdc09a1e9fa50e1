/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FSCK_OPTS_H
#define FSCK_OPTS_H

/* The command line of fsck.erofs. */

#include <erofskit/check.h>
#include <erofskit/extract.h>
#include <erofskit/trust.h>

#define FSCK_DEVICES_MAX 65535

/* Exit statuses, as fsck(8) has them. 4 wins over 8. */
#define FSCK_CLEAN     0
#define FSCK_ERRORS    4
#define FSCK_UNCHECKED 8
#define FSCK_USAGE     16

struct fsck_options {
	const char *image;
	uint64_t offset;
	const char **devices;
	size_t n_devices;
	struct ek_check_options check; /* without devices and callbacks */
	const char *extract_dir;       /* NULL: decode only */
	const char *tar;	       /* "-": standard output */
	struct ek_extract_options extract;
	bool force; /* extraction to "/" */
	bool json, quiet, ratio;
	int level; /* -d */
	/* Evidence; NULL: not asked for. */
	const char *digest, *verity_root, *verity_tree, *make_verity, *manifest;
	uint8_t salt[EK_VERITY_SALT_MAX];
	uint32_t salt_size;
	uint64_t verity_block; /* bytes of data and hash blocks */
	bool verity_no_super;
};

/* CLI_GO_ON, or the status to exit with. */
int fsck_parse(int argc, char **argv, struct fsck_options *o);
void fsck_options_free(struct fsck_options *o);

#endif
