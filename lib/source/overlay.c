/* SPDX-License-Identifier: Apache-2.0 */
#include "source/overlay.h"

#include <string.h>
#include <sys/stat.h>

bool ek_is_whiteout(const struct ek_tree_inode *inode)
{
	return S_ISCHR(inode->mode) && !inode->rdev_major && !inode->rdev_minor;
}

static bool opaque_name(const char *name)
{
	return !strcmp(name, "trusted.overlay.opaque") ||
	       !strcmp(name, "user.overlay.opaque");
}

bool ek_is_opaque(const struct ek_tree_inode *inode)
{
	for (uint32_t i = 0; i < inode->n_xattrs; i++) {
		const struct ek_tree_xattr *x = inode->xattrs[i];

		if (opaque_name(x->name) && x->value_len == 1 &&
		    x->value[0] == 'y')
			return true;
	}
	return false;
}

bool ek_overlay_xattr(const char *name)
{
	return !strncmp(name, "trusted.overlay.", 16) ||
	       !strncmp(name, "user.overlay.", 13);
}
