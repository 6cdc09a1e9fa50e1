/* SPDX-License-Identifier: Apache-2.0 */
#include "dump/dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

void dump_put(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c < 0x20 || c == 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

unsigned dump_type_number(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 1;
	case S_IFDIR:
		return 2;
	case S_IFCHR:
		return 3;
	case S_IFBLK:
		return 4;
	case S_IFIFO:
		return 5;
	case S_IFSOCK:
		return 6;
	case S_IFLNK:
		return 7;
	default:
		return 0;
	}
}

const char *dump_type(uint32_t mode)
{
	/* The peer's words. */
	static const char *const words[] = {
		"unknown type", "regular file", "directory", "char dev",
		"block dev",	"FIFO file",	"SOCK file", "symlink file",
	};

	return words[dump_type_number(mode)];
}

const char *dump_algorithm(unsigned i)
{
	static const char *const names[] = {"lz4", "lzma", "deflate", "zstd"};

	return i < sizeof(names) / sizeof(names[0]) ? names[i] : NULL;
}

uint64_t dump_stored(const struct ek_image *image, const struct ek_node *node)
{
	if (node->layout == EK_LAYOUT_COMPRESSED_FULL ||
	    node->layout == EK_LAYOUT_COMPRESSED_COMPACT)
		return node->startblk * ek_image_info(image)->block_size;
	return node->null_address && node->layout == EK_LAYOUT_FLAT_PLAIN
		       ? 0
		       : node->size;
}

void dump_time(int64_t seconds, const char *format, char *text, size_t size)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (t != seconds || !localtime_r(&t, &tm) ||
	    strftime(text, size, format, &tm) == 0)
		snprintf(text, size, "@%" PRId64, seconds);
}
