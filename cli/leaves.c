/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/leaves.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

ek_status cli_write_all(int fd, const char *name, const void *from, size_t n,
			struct ek_err *err)
{
	const char *at = from;

	while (n) {
		ssize_t w = write(fd, at, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return ek_fail_sys(err, w ? errno : ENOSPC,
					   "%s: cannot write", name);
		at += w;
		n -= (size_t)w;
	}
	return EK_OK;
}

ek_status cli_leaves_write(const struct ek_leaves *leaves, int fd,
			   const char *name, struct ek_err *err)
{
	size_t n = ek_leaves_file_size(leaves);
	uint8_t *bytes = malloc(n);
	ek_status s;

	if (!bytes)
		return ek_fail(err, EK_NOMEM, "no memory for leaf digests");
	ek_leaves_encode(leaves, bytes);
	s = cli_write_all(fd, name, bytes, n, err);
	free(bytes);
	return s;
}

void cli_json_leaves(struct cli_json *j, const char *key, const char *path,
		     uint64_t leaf_size, uint64_t count,
		     const uint8_t root[EK_DIGEST_SIZE])
{
	if (!path) {
		cli_json_null(j, key);
		return;
	}
	cli_json_open(j, key, '{');
	cli_json_text(j, "path", path);
	cli_json_unsigned(j, "leaf_size", leaf_size);
	cli_json_unsigned(j, "count", count);
	cli_json_hex(j, "root", root, EK_DIGEST_SIZE);
	cli_json_close(j);
}
