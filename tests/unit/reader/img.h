/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_READER_IMG_H
#define UNIT_READER_IMG_H

/*
 * Images made in memory, field by field. Blocks of 4096 bytes; inodes stand
 * in slots of 256 bytes from block 1 on, slot 0 is the root directory, whose
 * names are in block 4; what a test stores begins at block 8.
 */

#include "../unit.h"

#include <erofskit/image.h>

#include "codec/codec.h"
#include "base/try.h"
#include "format/cfgs.h"
#include "format/chunk.h"
#include "format/device.h"
#include "format/dirent.h"
#include "format/inode.h"
#include "format/sb.h"
#include "format/xattr.h"
#include "format/zmap.h"

#include <sys/stat.h>

#define IMG_BS	  4096u
#define IMG_MAX	  (256u * IMG_BS)
#define IMG_SLOTS 48u
#define IMG_NAMES 16

struct img {
	uint8_t *bytes;
	size_t size; /* of the source; IMG_MAX unless changed */
	struct ek_sb sb;
	struct ek_cfgs cfgs; /* written when sb says COMPR_CFGS */
	struct ek_dent names[IMG_NAMES];
	size_t n_names;
	struct ek_source *src;
	struct ek_image *image;
	struct ek_err err;
};

/* An image with an empty root ("." and ".."). */
struct img *img_new(void);
void img_free(struct img *m);

/* Byte and NID of inode slot @slot. */
uint64_t img_pos(unsigned slot);
uint64_t img_nid(unsigned slot);

/* A regular file inode of @size bytes to be changed and put. */
struct ek_inode img_file(uint8_t layout, uint64_t size);
/* Write @in to @slot and give it @name in the root; NULL: no name. */
void img_put(struct img *m, unsigned slot, const struct ek_inode *in,
	     const char *name);
/* The bytes after the inode core in @slot. */
uint8_t *img_after(struct img *m, unsigned slot, const struct ek_inode *in);
uint8_t *img_block(struct img *m, unsigned block);

/* Write root, superblock and checksum, and open; the status of opening. */
ek_status img_open(struct img *m, const struct ek_image_options *options);
/* As img_open(), which must succeed. */
void img_must_open(struct img *m);
/* Write superblock and checksum alone. */
void img_seal(struct img *m);

/* The node in @slot, which must load. */
struct ek_node img_node(struct img *m, unsigned slot);

/* Bytes that no codec can guess: byte @i of pattern @seed. */
uint8_t img_byte(unsigned seed, uint64_t i);
void img_fill(uint8_t *to, unsigned seed, uint64_t from, size_t n);
/* Whether @n bytes are img_byte(seed, from...). */
int img_same(const uint8_t *p, unsigned seed, uint64_t from, size_t n);

/*
 * Streams without real compression, written to @out: their length. LZ4: all
 * literals; DEFLATE: one stored block; ZSTD: one raw block (n < 256).
 */
size_t img_lz4(const uint8_t *in, size_t n, uint8_t *out);
size_t img_deflate(const uint8_t *in, size_t n, uint8_t *out);
size_t img_zstd(const uint8_t *in, size_t n, uint8_t *out);

extern const struct CMUnitTest open_tests[];
extern const struct CMUnitTest names_tests[];
extern const struct CMUnitTest flat_tests[];
extern const struct CMUnitTest coded_tests[];
extern const struct CMUnitTest extents_tests[];
extern const struct CMUnitTest xattr_tests[];
extern const struct CMUnitTest metabox_tests[];
extern const struct CMUnitTest hostile_tests[];

#endif
