/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TREE_INTERN_H
#define EK_TREE_INTERN_H

/* The table behind ek_tree_xattr(): attributes of a tree, each kept once. */

#include <stddef.h>

struct ek_tree_intern;

/* NULL when there is no memory. */
struct ek_tree_intern *ek_tree_intern_new(void);
void ek_tree_intern_free(struct ek_tree_intern *intern);

#endif
