/* SPDX-License-Identifier: Apache-2.0 */
#include "source/source.h"

void ek_tree_source_free(struct ek_tree_source *src)
{
	if (src)
		src->ops->free(src);
}
