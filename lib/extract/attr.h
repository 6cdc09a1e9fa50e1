/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_EXTRACT_ATTR_H
#define EK_EXTRACT_ATTR_H

/* Owner, attributes, permissions and times of one restored file. */

#include <erofskit/extract.h>

/* What one extraction restores; fixed before any thread starts. */
struct ek_attr_policy {
	bool owner;
	bool xattrs;
	bool root;	    /* the caller may do everything */
	bool no_acls;	    /* the file can have no ACL yet */
	uint32_t mode_mask; /* bits of the mode that are restored */
};

void ek_attr_policy_init(struct ek_attr_policy *policy,
			 const struct ek_extract_options *options);

/* Whether new files in @dir get no ACL from it. */
bool ek_attr_no_acls(int dir);

/* Reasons for which something was left out, for a note. */
#define EK_ATTR_SKIPPED_OWNER 1u
#define EK_ATTR_SKIPPED_XATTR 2u

/*
 * Restore everything that @node says to the file open as @fd; @opened_path
 * says that it was opened with O_PATH. The order matters: a change of the
 * owner takes capabilities away, so attributes follow it; user attributes
 * need a writable file, so permissions follow them; times come last.
 * *@skipped is a mask of the above. Any thread.
 */
ek_status ek_attr_apply(struct ek_image *image,
			const struct ek_attr_policy *policy,
			const struct ek_node *node, int fd, bool opened_path,
			unsigned *skipped, struct ek_err *err);

#endif
