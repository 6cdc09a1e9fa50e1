/* SPDX-License-Identifier: Apache-2.0 */

/* Requests of the FUSE protocol: bytes of the kernel to checked structs. */

#include "cachefilesd/kernel/fuse.h"

#include <string.h>

/* Least bytes of an INIT: without the flags that 7.36 added. */
#define INIT_OLD 16u

static ek_status decode_init(const uint8_t *arg, size_t n,
			     struct ekd_fuse_in *in, struct ek_err *err)
{
	struct fuse_init_in init;

	if (n < INIT_OLD)
		return ek_fail(err, EK_CORRUPT, "INIT of %zu bytes", n);
	memset(&init, 0, sizeof(init));
	memcpy(&init, arg, n < sizeof(init) ? n : sizeof(init));
	in->major = init.major;
	in->minor = init.minor;
	in->max_readahead = init.max_readahead;
	in->features = init.flags;
	if (init.flags & FUSE_INIT_EXT)
		in->features |= (uint64_t)init.flags2 << 32;
	return EK_OK;
}

static ek_status decode_read(const uint8_t *arg, size_t n,
			     struct ekd_fuse_in *in, struct ek_err *err)
{
	struct fuse_read_in read;

	if (n < sizeof(read))
		return ek_fail(err, EK_CORRUPT, "READ of %zu bytes", n);
	memcpy(&read, arg, sizeof(read));
	in->offset = read.offset;
	in->size = read.size;
	return EK_OK;
}

static ek_status decode_args(const uint8_t *arg, size_t n,
			     struct ekd_fuse_in *in, struct ek_err *err)
{
	struct fuse_open_in open;

	switch (in->opcode) {
	case FUSE_INIT:
		return decode_init(arg, n, in, err);
	case FUSE_READ:
	case FUSE_READDIR:
		return decode_read(arg, n, in, err);
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		if (n < sizeof(open))
			return ek_fail(err, EK_CORRUPT, "OPEN of %zu bytes", n);
		memcpy(&open, arg, sizeof(open));
		in->flags = open.flags;
		return EK_OK;
	case FUSE_LOOKUP:
		if (n == 0 || memchr(arg, 0, n) != arg + n - 1)
			return ek_fail(err, EK_CORRUPT, "LOOKUP: bad name");
		in->name = (const char *)arg;
		return EK_OK;
	default:
		return EK_OK;
	}
}

ek_status ekd_fuse_decode(const void *bytes, size_t n, struct ekd_fuse_in *in,
			  struct ek_err *err)
{
	struct fuse_in_header head;

	memset(in, 0, sizeof(*in));
	if (n < sizeof(head))
		return ek_fail(err, EK_CORRUPT, "request of %zu bytes", n);
	memcpy(&head, bytes, sizeof(head));
	in->unique = head.unique;
	if (head.len != n)
		return ek_fail(err, EK_CORRUPT,
			       "request of %zu bytes that says %u", n,
			       (unsigned)head.len);
	in->opcode = head.opcode;
	in->node = head.nodeid;
	in->pid = head.pid;
	in->resent = head.unique & EKD_FUSE_RESENT;
	return decode_args((const uint8_t *)bytes + sizeof(head),
			   n - sizeof(head), in, err);
}
