/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TAR_PAX_H
#define EK_TAR_PAX_H

/* The records of PAX headers ("LEN KEY=VALUE\n"), kept as facts. */

#include <erofskit/tar.h>

#include "base/vec.h"

/* A key that was never met, was given, or was reset by an empty value. */
enum ek_pax_state {
	EK_PAX_UNSET = 0,
	EK_PAX_SET,
	EK_PAX_RESET,
};

struct ek_pax_text {
	enum ek_pax_state state;
	char *text; /* owned */
};

struct ek_pax_number {
	enum ek_pax_state state;
	uint64_t value;
};

struct ek_pax_xattr {
	char *name;	/* owned */
	uint8_t *value; /* owned */
	size_t value_len;
};

struct ek_pax {
	struct ek_pax_text path, link, sparse_name;
	struct ek_pax_number size, uid, gid;
	enum ek_pax_state mtime_state;
	int64_t mtime;
	uint32_t mtime_nsec;
	/* GNU.sparse.*: 0.0 and 0.1 fill segments (stored is not set). */
	struct ek_pax_number sparse_major, sparse_minor, sparse_size;
	bool sparse_map;
	EK_VEC(struct ek_tar_segment) segments;
	EK_VEC(struct ek_pax_xattr) xattrs;
	unsigned dropped;
};

/* Frees everything; @pax is as new. */
void ek_pax_clear(struct ek_pax *pax);

/*
 * Take the records of one header's data into @pax; a later record of a key
 * replaces the earlier one. Unknown keys are passed over.
 */
ek_status ek_pax_parse(struct ek_pax *pax, const uint8_t *data, size_t n,
		       struct ek_err *err);

/*
 * Text form of an ACL (acl(5), short or long form, with the numeric id behind
 * a name as star writes it) as the value of a system.posix_acl_* attribute,
 * malloc'ed. EK_NOTFOUND when an entry has a name without a number; EK_OK with
 * *n 0 when it says no more than permission bits do (@minimal_ok false keeps
 * those too: default ACLs).
 */
ek_status ek_acl_from_text(const char *text, bool drop_minimal, uint8_t **value,
			   size_t *n, struct ek_err *err);

#endif
