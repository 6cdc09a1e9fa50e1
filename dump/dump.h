/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DUMP_DUMP_H
#define DUMP_DUMP_H

/*
 * The reports of dump.erofs. Each writes text to standard output or, when
 * @json is not NULL, its member of the JSON object.
 */

#include "cli/json.h"

#include <erofskit/image.h>

struct dump {
	struct ek_image *image;
	struct cli_json *json; /* NULL: text */
};

/* report-super.c */
ek_status dump_super(const struct dump *d, struct ek_err *err);
void dump_blkid(const struct dump *d);

/* report-stats.c */
ek_status dump_stats(const struct dump *d, struct ek_err *err);

/*
 * report-inode.c: @path NULL stands for an inode known by its number; its name
 * is searched for.
 */
ek_status dump_inode(const struct dump *d, const struct ek_node *node,
		     const char *path, struct ek_err *err);
ek_status dump_ls(const struct dump *d, const struct ek_node *node,
		  struct ek_err *err);
ek_status dump_cat(const struct dump *d, const struct ek_node *node,
		   struct ek_err *err);

/* report-extents.c */
ek_status dump_extents(const struct dump *d, const struct ek_node *node,
		       const char *path, struct ek_err *err);

/* text.c */

/* @n bytes to standard output, control characters as \xNN. */
void dump_put(const char *bytes, size_t n);
/* Words for a type of file: "regular file". */
const char *dump_type(uint32_t mode);
/* The format's number of a type of file, 1 to 7. */
unsigned dump_type_number(uint32_t mode);
/* Name of algorithm @i, "lz4"; NULL from the last one on. */
const char *dump_algorithm(unsigned i);
/* Bytes that a file takes on the device, as far as its inode tells. */
uint64_t dump_stored(const struct ek_image *image, const struct ek_node *node);
/* @seconds by strftime's @format in the local zone, or "@seconds". */
void dump_time(int64_t seconds, const char *format, char *text, size_t size);

#endif
