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
	uint32_t uid;	    /* of what the caller makes */
	uint32_t mode_mask; /* bits of the mode that are restored */
	uint32_t umask;	    /* of the process, which must not change it */
};

/*
 * What a file has already since it was made, so that it need not be set. Found
 * out with the first of some new files in one directory, as it depends on the
 * file system, its mount and the directory.
 */
struct ek_attr_born {
	bool owned; /* the next two are known */
	uint32_t uid, gid;
	bool moded;   /* permissions are those asked for, less the umask */
	bool no_acls; /* it has none from the directory */
};

void ek_attr_policy_init(struct ek_attr_policy *policy,
			 const struct ek_extract_options *options);

/*
 * Whether nobody else may change how new files in @dir begin: its owner might
 * between any two of them.
 */
bool ek_attr_ours(const struct ek_attr_policy *policy, int dir);

/* Whether new files in @dir get no ACL from it. */
bool ek_attr_no_acls(int dir);

/* Reasons for which something was left out, for a note. */
#define EK_ATTR_SKIPPED_OWNER 1u
#define EK_ATTR_SKIPPED_XATTR 2u

/*
 * Permissions to make the file of @node with. Mostly nobody may touch it
 * before all else is right; those that @born makes right at once may be seen
 * half written by those who may see it in the end.
 */
uint32_t ek_attr_first_mode(const struct ek_attr_policy *policy,
			    const struct ek_attr_born *born,
			    const struct ek_node *node);

/* Learn from the new file @fd, made with mode @asked. @no_acls as it was. */
void ek_attr_learn(const struct ek_attr_policy *policy, int fd, uint32_t asked,
		   struct ek_attr_born *born);

/*
 * Restore everything that @node says to the file open as @fd; @opened_path
 * says that it was opened with O_PATH. @born is what it has; a zeroed one
 * knows nothing. Regular files were made by ek_attr_first_mode(). The order
 * matters: a change of the owner takes capabilities away, so attributes follow
 * it; user attributes need a writable file, so permissions follow them; times
 * come last.
 * *@skipped is a mask of the above. Any thread.
 */
ek_status ek_attr_apply(struct ek_image *image,
			const struct ek_attr_policy *policy,
			const struct ek_attr_born *born,
			const struct ek_node *node, int fd, bool opened_path,
			unsigned *skipped, struct ek_err *err);

#endif
