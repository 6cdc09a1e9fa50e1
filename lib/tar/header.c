/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/header.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/* Places of the fields (POSIX.1-2017 pax, "ustar Interchange Format"). */
enum {
	AT_NAME = 0,
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	AT_SIZE = 124,
	AT_MTIME = 136,
	AT_CHECKSUM = 148,
	AT_TYPE = 156,
	AT_LINK = 157,
	AT_MAGIC = 257,
	AT_MAJOR = 329,
	AT_MINOR = 337,
	AT_PREFIX = 345,
};

static ek_status base256(const uint8_t *field, size_t n, int64_t *value,
			 struct ek_err *err)
{
	uint8_t fill = field[0] == 0xff ? 0xff : 0;
	uint64_t v = fill ? UINT64_MAX : 0;

	for (size_t i = 1; i < n; i++) {
		/* What is shifted out must be copies of the sign. */
		if ((uint8_t)(v >> 56) != fill)
			return ek_fail(err, EK_CORRUPT,
				       "number beyond 64 bits");
		v = v << 8 | field[i];
	}
	if ((v >> 63 != 0) != (fill != 0))
		return ek_fail(err, EK_CORRUPT, "number beyond 63 bits");
	memcpy(value, &v, sizeof(v));
	return EK_OK;
}

/*
 * Eight octal digits at once, or the seven and an end that shorter fields
 * have. Bytes read; 0: it is written in another way.
 */
static size_t eight_digits(const uint8_t *field, size_t n, uint64_t *value)
{
	uint64_t w;

	if (n < 8)
		return 0;
	w = ek_get_le64(field);
	if (n == 8 && (field[7] == 0 || field[7] == ' '))
		w = w << 8 | '0';
	w ^= UINT64_C(0x3030303030303030);
	if (w & ~UINT64_C(0x0707070707070707))
		return 0;
	/* Pairs, then fours, then all; the first digit is the lowest byte. */
	w = (w << 3 | w >> 8) & UINT64_C(0x003f003f003f003f);
	w = (w << 6 | w >> 16) & UINT64_C(0x00000fff00000fff);
	*value = (w << 12 | w >> 32) & 0xffffff;
	return 8;
}

ek_status ek_tar_number(const uint8_t *field, size_t n, int64_t *value,
			struct ek_err *err)
{
	uint64_t v = 0;
	size_t i = eight_digits(field, n, &v);

	if (!i) {
		if (field[0] == 0x80 || field[0] == 0xff)
			return base256(field, n, value, err);
		while (i < n && field[i] == ' ')
			i++;
	}
	for (; i < n && field[i] >= '0' && field[i] <= '7'; i++) {
		if (v >> 60)
			return ek_fail(err, EK_CORRUPT,
				       "number beyond 63 bits");
		v = v << 3 | (uint64_t)(field[i] - '0');
	}
	if (i < n && field[i] != 0 && field[i] != ' ')
		return ek_fail(err, EK_CORRUPT, "not an octal number");
	*value = (int64_t)v;
	return EK_OK;
}

ek_status ek_tar_count(const uint8_t *field, size_t n, uint64_t *value,
		       struct ek_err *err)
{
	int64_t v = 0;

	EK_TRY(ek_tar_number(field, n, &v, err));
	if (v < 0)
		return ek_fail(err, EK_CORRUPT, "negative number");
	*value = (uint64_t)v;
	return EK_OK;
}

/* The sum of all bytes, four sums of 16 bits at once: none can overflow. */
static int64_t byte_sum(const uint8_t block[EK_TAR_BLOCK])
{
	const uint64_t lanes = UINT64_C(0x00ff00ff00ff00ff);
	uint64_t sums = 0, word;
	int64_t sum = 0;

	for (unsigned i = 0; i < EK_TAR_BLOCK; i += 8) {
		memcpy(&word, block + i, 8);
		sums += (word & lanes) + (word >> 8 & lanes);
	}
	for (; sums; sums >>= 16)
		sum += (int64_t)(sums & 0xffff);
	return sum;
}

bool ek_tar_checksum_ok(const uint8_t block[EK_TAR_BLOCK])
{
	int64_t want = 0, sum = byte_sum(block), high = 0;

	if (ek_tar_number(block + AT_CHECKSUM, 8, &want, NULL) != EK_OK)
		return false;
	/* The sum's own place counts as spaces. */
	for (unsigned i = AT_CHECKSUM; i < AT_CHECKSUM + 8; i++)
		sum += ' ' - block[i];
	if (want == sum)
		return true;
	/* A byte with its highest bit is 256 less when it has a sign. */
	for (unsigned i = 0; i < EK_TAR_BLOCK; i++)
		if (i < AT_CHECKSUM || i >= AT_CHECKSUM + 8)
			high += block[i] >> 7;
	return want == sum - 256 * high;
}

static size_t copy_field(char *to, const uint8_t *field, size_t n)
{
	size_t len = strnlen((const char *)field, n);

	memcpy(to, field, len);
	to[len] = 0;
	return len;
}

static enum ek_tar_dialect dialect_of(const uint8_t *block)
{
	if (!memcmp(block + AT_MAGIC, "ustar  ", 8))
		return EK_TAR_GNU;
	return memcmp(block + AT_MAGIC, "ustar", 5) ? EK_TAR_V7 : EK_TAR_USTAR;
}

static ek_status numbers(const uint8_t *block, struct ek_tar_header *h,
			 struct ek_err *err)
{
	const struct {
		unsigned at, n;
		uint64_t *to;
		const char *what;
		bool devices;
	} fields[] = {
		{AT_MODE, 8, &h->mode, "mode", false},
		{AT_UID, 8, &h->uid, "uid", false},
		{AT_GID, 8, &h->gid, "gid", false},
		{AT_SIZE, 12, &h->size, "size", false},
		{AT_MAJOR, 8, &h->major, "device number", true},
		{AT_MINOR, 8, &h->minor, "device number", true},
	};

	ek_status status = EK_OK;

	for (size_t i = 0; i < EK_ARRAY_SIZE(fields); i++) {
		/* Others leave garbage where no device is. */
		if (fields[i].devices && h->typeflag != '3' &&
		    h->typeflag != '4')
			continue;
		status = ek_tar_count(block + fields[i].at, fields[i].n,
				      fields[i].to, err);
		if (status != EK_OK) {
			ek_err_prefix(err, "%s", fields[i].what);
			return status;
		}
	}
	status = ek_tar_number(block + AT_MTIME, 12, &h->mtime, err);
	if (status != EK_OK)
		ek_err_prefix(err, "mtime");
	return status;
}

ek_status ek_tar_header_decode(const uint8_t block[EK_TAR_BLOCK],
			       struct ek_tar_header *h, struct ek_err *err)
{
	size_t n = 0;

	memset(h, 0, sizeof(*h));
	if (!ek_tar_checksum_ok(block))
		return ek_fail(err, EK_CORRUPT, "wrong header checksum");
	h->dialect = dialect_of(block);
	h->typeflag = (char)block[AT_TYPE];
	copy_field(h->link, block + AT_LINK, 100);
	if (h->dialect == EK_TAR_USTAR && block[AT_PREFIX]) {
		n = copy_field(h->path, block + AT_PREFIX, 155);
		h->path[n++] = '/';
	}
	copy_field(h->path + n, block + AT_NAME, 100);
	return numbers(block, h, err);
}
