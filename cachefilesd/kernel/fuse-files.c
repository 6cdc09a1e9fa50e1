/* SPDX-License-Identifier: Apache-2.0 */

/* The files of the FUSE door, and what is told of them. */

#include "base/bytes.h"
#include "cachefilesd/kernel/fuse.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Seconds that the kernel may trust attributes and names. */
#define VALID_S 1

uint64_t ekd_fuse_node(const char *name)
{
	uint8_t digest[EVP_MAX_MD_SIZE] = {0};
	uint64_t node;

	EVP_Digest(name, strlen(name), digest, NULL, EVP_sha256(), NULL);
	node = ek_get_le64(digest) & INT64_MAX;
	return node < EKD_FUSE_FIRST ? node + EKD_FUSE_FIRST : node;
}

bool ekd_fuse_name_ok(const char *name)
{
	size_t n = strnlen(name, EKD_DOOR_NAME + 1);

	return n > 0 && n <= EKD_DOOR_NAME && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

/* Where @node is, or would be put. */
static uint32_t find_place(const struct ekd_fuse_table *table, uint64_t node)
{
	uint32_t low = 0, high = table->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (table->files[mid]->node < node)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

ek_status ekd_fuse_table_add(struct ekd_fuse_table *table, const char *name,
			     uint64_t size, void *cookie, struct ek_err *err)
{
	uint64_t node = ekd_fuse_node(name);
	uint32_t at = find_place(table, node);
	struct ekd_fuse_file *file;

	if (at < table->n && table->files[at]->node == node)
		return ek_fail(err, EK_EXISTS, "%s: the door has that file",
			       name);
	if (table->n == EKD_FUSE_FILES)
		return ek_fail(err, EK_LIMIT, "over %u files at the door",
			       EKD_FUSE_FILES);
	file = calloc(1, sizeof(*file));
	if (!file)
		return ek_fail(err, EK_NOMEM, "no memory for a file");
	memcpy(file->name, name, strlen(name));
	file->node = node;
	file->size = size;
	file->cookie = cookie;
	memmove(&table->files[at + 1], &table->files[at],
		(table->n - at) * sizeof(file));
	table->files[at] = file;
	table->n++;
	return EK_OK;
}

struct ekd_fuse_file *ekd_fuse_table_find(const struct ekd_fuse_table *table,
					  uint64_t node)
{
	uint32_t at = find_place(table, node);

	if (at == table->n || table->files[at]->node != node)
		return NULL;
	return table->files[at];
}

struct ekd_fuse_file *ekd_fuse_table_take(struct ekd_fuse_table *table,
					  const char *name)
{
	uint64_t node = ekd_fuse_node(name);
	uint32_t at = find_place(table, node);
	struct ekd_fuse_file *file;

	if (at == table->n || table->files[at]->node != node)
		return NULL;
	file = table->files[at];
	table->n--;
	memmove(&table->files[at], &table->files[at + 1],
		(table->n - at) * sizeof(file));
	return file;
}

void ekd_fuse_attr(const struct ekd_fuse_file *file, struct fuse_attr *attr)
{
	memset(attr, 0, sizeof(*attr));
	attr->ino = file ? file->node : FUSE_ROOT_ID;
	attr->mode = file ? S_IFREG | 0400 : S_IFDIR | 0500;
	attr->nlink = file ? 1 : 2;
	attr->blksize = 4096;
	if (file) {
		attr->size = file->size;
		attr->blocks = file->size / 512 + (file->size % 512 != 0);
	}
}

void ekd_fuse_entry(const struct ekd_fuse_file *file,
		    struct fuse_entry_out *out)
{
	memset(out, 0, sizeof(*out));
	out->nodeid = file->node;
	out->entry_valid = VALID_S;
	out->attr_valid = VALID_S;
	ekd_fuse_attr(file, &out->attr);
}

/* Append an entry; 0 when it does not fit. */
static size_t put_entry(uint8_t *to, size_t room, uint64_t ino, uint32_t type,
			uint64_t offset, const char *name)
{
	struct fuse_dirent head = {
		.ino = ino,
		.off = offset,
		.namelen = (uint32_t)strlen(name),
		.type = type,
	};
	size_t used = FUSE_NAME_OFFSET + head.namelen;
	size_t n = FUSE_DIRENT_ALIGN(used);

	if (n > room)
		return 0;
	memcpy(to, &head, FUSE_NAME_OFFSET);
	memcpy(to + FUSE_NAME_OFFSET, name, head.namelen);
	memset(to + used, 0, n - used);
	return n;
}

/* An offset is the node id of the last entry told; 1 and 2: "." and "..". */
size_t ekd_fuse_readdir(const struct ekd_fuse_table *table, uint64_t offset,
			uint8_t *to, size_t n)
{
	static const char *const dots[] = {".", ".."};
	size_t used = 0, more = 1;

	for (uint64_t i = offset; i < 2 && more; i++) {
		more = put_entry(to + used, n - used, FUSE_ROOT_ID,
				 S_IFDIR >> 12, i + 1, dots[i]);
		used += more;
	}
	if (offset < EKD_FUSE_FIRST)
		offset = EKD_FUSE_FIRST - 1;
	if (offset >= INT64_MAX)
		return used;
	for (uint32_t i = find_place(table, offset + 1); i < table->n && more;
	     i++) {
		const struct ekd_fuse_file *file = table->files[i];

		more = put_entry(to + used, n - used, file->node, S_IFREG >> 12,
				 file->node, file->name);
		used += more;
	}
	return used;
}
