/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_CHECK_IMG_H
#define UNIT_CHECK_IMG_H

/*
 * A small image in memory that is clean under a strict check: blocks of 512
 * bytes, the root with files "a" and "b", which share one LZ4 cluster. Tests
 * damage it. Findings are kept as text.
 */

#include "../unit.h"

#include <erofskit/check.h>

#include "format/inode.h"
#include "format/sb.h"
#include "format/zmap.h"

#define IMG_BS	   512u
#define IMG_BLOCKS 16u
#define IMG_SIZE   (IMG_BS * IMG_BLOCKS)

/* Slots of 32 bytes from block 4 on; maps follow their inodes. */
#define IMG_ROOT 1u
#define IMG_A	 16u
#define IMG_B	 32u
#define IMG_DATA 12u  /* block of the cluster */
#define IMG_FILE 600u /* bytes of both files, all 'x' */

struct img {
	uint8_t bytes[IMG_SIZE];
	struct ek_sb sb;
	struct ek_check_options options;
	struct ek_check_result result;
	struct ek_err err;
	char codes[4096]; /* " CODE" for each finding */
	unsigned handed_out;
};

/* The good image; free with free(). */
struct img *img_new(void);
uint8_t *img_inode(struct img *m, unsigned nid);
/* Write the superblock anew with its checksum. */
void img_seal(struct img *m);
/* Check with m->options; the status of ek_check(). */
ek_status img_check(struct img *m);
/* The same over another source. */
ek_status img_check_source(struct img *m, struct ek_source *src);
/* Whether @code was found. */
int img_found(const struct img *m, const char *code);

extern const struct CMUnitTest rules_tests[];
extern const struct CMUnitTest limits_tests[];
extern const struct CMUnitTest space_tests[];
extern const struct CMUnitTest sort_tests[];

#endif
