/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LEAVES_H
#define CLI_LEAVES_H

/* Tables of leaf digests (erofskit/leaf.h) as programs write and tell them. */

#include "cli/json.h"

#include <erofskit/leaf.h>
#include <erofskit/trust.h>

/* Write all @n bytes to @fd, which is called @name in errors. */
ek_status cli_write_all(int fd, const char *name, const void *from, size_t n,
			struct ek_err *err);

/* Write the file form to @fd, which is called @name in errors. */
ek_status cli_leaves_write(const struct ek_leaves *leaves, int fd,
			   const char *name, struct ek_err *err);

/* What is told of a table in file @path; null when that is NULL. */
void cli_json_leaves(struct cli_json *j, const char *key, const char *path,
		     uint64_t leaf_size, uint64_t count,
		     const uint8_t root[EK_DIGEST_SIZE]);

#endif
