/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source.h"

#include <unistd.h>

void ek_tree_source_free(struct ek_tree_source *src)
{
	if (src)
		src->ops->free(src);
}

ek_status ek_tree_source_open(struct ek_tree_source *src,
			      const struct ek_tree_inode *inode,
			      struct ek_near *near, struct ek_file **file,
			      struct ek_err *err)
{
	if (src->ops->open_near)
		return src->ops->open_near(src, inode, near, file, err);
	return src->ops->open(src, inode, file, err);
}

void ek_near_close(struct ek_near *near)
{
	if (near->dir)
		close(near->fd);
	*near = (struct ek_near){0};
}
