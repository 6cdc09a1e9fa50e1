/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TAR_HEADER_H
#define EK_TAR_HEADER_H

/* One 512-byte header block as fields; pure functions. */

#include <erofskit/tar.h>

#define EK_TAR_BLOCK 512u

enum ek_tar_dialect {
	EK_TAR_V7,
	EK_TAR_USTAR, /* POSIX and PAX */
	EK_TAR_GNU,
};

struct ek_tar_header {
	enum ek_tar_dialect dialect;
	char typeflag;
	char path[257]; /* prefix, "/", name */
	char link[101];
	uint64_t mode, uid, gid;
	int64_t mtime;
	uint64_t size;
	uint64_t major, minor;
};

/*
 * Decode @block. EK_CORRUPT when the checksum does not fit (signed and
 * unsigned sums count) or a number is none.
 */
ek_status ek_tar_header_decode(const uint8_t block[EK_TAR_BLOCK],
			       struct ek_tar_header *h, struct ek_err *err);

/* Whether the checksum of @block fits. */
bool ek_tar_checksum_ok(const uint8_t block[EK_TAR_BLOCK]);

/*
 * A numeric field of @n bytes: octal text, or base-256 when its first byte is
 * 0x80 or 0xff. EK_CORRUPT for anything else, or beyond 63 bits and a sign.
 */
ek_status ek_tar_number(const uint8_t *field, size_t n, int64_t *value,
			struct ek_err *err);

/* As ek_tar_number(), refusing negative values. */
ek_status ek_tar_count(const uint8_t *field, size_t n, uint64_t *value,
		       struct ek_err *err);

#endif
