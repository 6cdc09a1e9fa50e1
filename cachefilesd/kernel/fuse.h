/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EKD_FUSE_H
#define EKD_FUSE_H

/*
 * What the parts of the FUSE door share: requests as checked structs, bytes of
 * answers. The kernel speaks in its own byte order.
 */

#include "cachefilesd/kernel/door.h"

#include <linux/fuse.h>

/* Newer than Debian 12's headers. */
#define EKD_FUSE_MINOR	       40
#define EKD_FUSE_HAS_RESEND    (1ull << 39)
#define EKD_FUSE_NOTIFY_RESEND 7
#define EKD_FUSE_RESENT	       (1ull << 63)

/* Bytes of the buffer for one request; the kernel wants at least 8 KiB. */
#define EKD_FUSE_BUFFER (16u << 10)
#define EKD_FUSE_FILES	4096u
/* Node ids below are not of files: none, the root, offsets of "." and "..". */
#define EKD_FUSE_FIRST 16u

/* One request; what it has no use for is 0. */
struct ekd_fuse_in {
	uint32_t opcode, pid;
	uint64_t unique, node;
	bool resent;	 /* it was read before, perhaps by another process */
	uint64_t offset; /* READ, READDIR */
	uint32_t size;	 /* READ, READDIR: bytes wanted */
	uint32_t flags;	 /* OPEN */
	uint32_t major, minor, max_readahead; /* INIT */
	uint64_t features;		      /* INIT */
	const char *name; /* LOOKUP: inside the bytes, NUL-terminated */
};

/*
 * Check the @n bytes of one request. EK_CORRUPT: lengths do not agree (then
 * in->unique is set if there was a header, else 0).
 */
ek_status ekd_fuse_decode(const void *bytes, size_t n, struct ekd_fuse_in *in,
			  struct ek_err *err);

/* One file; under the lock of the table's owner. */
struct ekd_fuse_file {
	char name[EKD_DOOR_NAME + 1];
	uint64_t node, size;
	void *cookie;
	uint32_t under_way;
};

/* Files in the order of their node ids. */
struct ekd_fuse_table {
	struct ekd_fuse_file *files[EKD_FUSE_FILES];
	uint32_t n;
};

/* 63 bits that depend on the name alone; at least EKD_FUSE_FIRST. */
uint64_t ekd_fuse_node(const char *name);
bool ekd_fuse_name_ok(const char *name);
ek_status ekd_fuse_table_add(struct ekd_fuse_table *table, const char *name,
			     uint64_t size, void *cookie, struct ek_err *err);
/* Take it out; NULL: there is none. The caller frees it. */
struct ekd_fuse_file *ekd_fuse_table_take(struct ekd_fuse_table *table,
					  const char *name);
struct ekd_fuse_file *ekd_fuse_table_find(const struct ekd_fuse_table *table,
					  uint64_t node);

/* Attributes of @file; NULL: of the directory. */
void ekd_fuse_attr(const struct ekd_fuse_file *file, struct fuse_attr *attr);
void ekd_fuse_entry(const struct ekd_fuse_file *file,
		    struct fuse_entry_out *out);
/* Entries behind @offset, at most @n bytes; how many bytes. */
size_t ekd_fuse_readdir(const struct ekd_fuse_table *table, uint64_t offset,
			uint8_t *to, size_t n);

/* ops->probe of the FUSE door. */
void ekd_fuse_probe(struct ekd_door_report *report);

/* The answer to INIT, and what it means. */
void ekd_fuse_init(const struct ekd_fuse_in *in, bool no_resend,
		   struct fuse_init_out *out, struct ekd_door_kept *kept);

#endif
