/* SPDX-License-Identifier: Apache-2.0 */
#include "format/dirent.h"
#include "base/bytes.h"
#include "base/try.h"

#include <string.h>
#include <sys/stat.h>

/* Name offsets are 16 bits, and a block is at most 64 KiB. */
#define DIRBLOCK_MAX 65536u

int ek_name_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	int r = memcmp(a, b, alen < blen ? alen : blen);

	if (r)
		return r;
	return (alen > blen) - (alen < blen);
}

bool ek_name_ok(const uint8_t *name, size_t n)
{
	return n >= 1 && n <= EK_NAME_MAX && !memchr(name, 0, n) &&
	       !memchr(name, '/', n);
}

static uint32_t nameoff(const struct ek_dirblock *b, uint32_t i)
{
	return ek_get_le16(b->p + (size_t)i * EK_DIRENT_SIZE + 8);
}

ek_status ek_dirblock_open(const uint8_t *p, size_t len, struct ek_dirblock *b,
			   struct ek_err *err)
{
	uint32_t off;

	if (len < EK_DIRENT_SIZE || len > DIRBLOCK_MAX)
		return ek_fail(err, EK_CORRUPT, "directory block of %zu bytes",
			       len);
	off = ek_get_le16(p + 8);
	if (off == 0 || off % EK_DIRENT_SIZE || off >= len)
		return ek_fail(err, EK_CORRUPT,
			       "directory block: first name at %u of %zu",
			       (unsigned int)off, len);
	b->p = p;
	b->len = (uint32_t)len;
	b->count = off / EK_DIRENT_SIZE;
	return EK_OK;
}

/* Where the name of entry @i lies: [*from, *to). */
static ek_status name_range(const struct ek_dirblock *b, uint32_t i,
			    uint32_t *from, uint32_t *to, struct ek_err *err)
{
	uint32_t off = nameoff(b, i), end = b->len;
	const uint8_t *nul;

	if (off < b->count * EK_DIRENT_SIZE || off >= b->len)
		return ek_fail(err, EK_CORRUPT,
			       "dirent %u: name at %u of %u bytes",
			       (unsigned int)i, (unsigned int)off,
			       (unsigned int)b->len);
	if (i + 1 < b->count) {
		end = nameoff(b, i + 1);
		if (end <= off || end > b->len)
			return ek_fail(err, EK_CORRUPT,
				       "dirent %u: name from %u to %u",
				       (unsigned int)i, (unsigned int)off,
				       (unsigned int)end);
	} else {
		nul = memchr(b->p + off, 0, end - off);
		if (nul)
			end = (uint32_t)(nul - b->p);
	}
	*from = off;
	*to = end;
	return EK_OK;
}

ek_status ek_dirblock_get(const struct ek_dirblock *b, uint32_t i,
			  struct ek_dent *d, struct ek_err *err)
{
	const uint8_t *e;
	uint32_t from, to;

	if (i >= b->count)
		return ek_fail(err, EK_CORRUPT, "dirent %u of %u",
			       (unsigned int)i, (unsigned int)b->count);
	EK_TRY(name_range(b, i, &from, &to, err));
	if (!ek_name_ok(b->p + from, to - from))
		return ek_fail(err, EK_CORRUPT,
			       "dirent %u: bad name of %u bytes",
			       (unsigned int)i, (unsigned int)(to - from));
	e = b->p + (size_t)i * EK_DIRENT_SIZE;
	d->nid = ek_get_le64(e);
	d->type = e[10];
	d->reserved = e[11];
	d->name = b->p + from;
	d->namelen = (uint16_t)(to - from);
	return EK_OK;
}

ek_status ek_dirblock_find(const struct ek_dirblock *b, const uint8_t *name,
			   size_t namelen, struct ek_dent *d, int *side,
			   struct ek_err *err)
{
	uint32_t lo = 0, hi = b->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int r;

		EK_TRY(ek_dirblock_get(b, mid, d, err));
		r = ek_name_cmp(name, namelen, d->name, d->namelen);
		if (r == 0)
			return EK_OK;
		if (r < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (side)
		*side = lo == 0 ? -1 : lo == b->count;
	return ek_fail(err, EK_NOTFOUND, "no such name");
}

bool ek_dirblock_padding_zero(const struct ek_dirblock *b)
{
	uint32_t from, to;

	if (name_range(b, b->count - 1, &from, &to, NULL) != EK_OK)
		return false;
	return ek_all_zero(b->p + to, b->len - to);
}

size_t ek_dirblock_take(const struct ek_dent *ents, size_t n, uint32_t bs,
			uint32_t *used)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!ek_dirblock_fits(sum, ents[i].namelen, bs))
			break;
		sum += EK_DIRENT_SIZE + ents[i].namelen;
	}
	*used = sum;
	return i;
}

ek_status ek_dirblock_encode(const struct ek_dent *ents, size_t n, uint8_t *out,
			     uint32_t bs, struct ek_err *err)
{
	uint32_t used, off;

	if (bs > DIRBLOCK_MAX || n == 0 ||
	    ek_dirblock_take(ents, n, bs, &used) != n)
		return ek_fail(err, EK_INVALID,
			       "%zu names do not make a directory block", n);
	off = (uint32_t)n * EK_DIRENT_SIZE;
	memset(out + used, 0, bs - used);
	for (size_t i = 0; i < n; i++) {
		const struct ek_dent *d = &ents[i];
		uint8_t *e = out + i * EK_DIRENT_SIZE;

		if (!ek_name_ok(d->name, d->namelen))
			return ek_fail(err, EK_INVALID,
				       "name %zu of a directory block is bad",
				       i);
		if (i && ek_name_cmp(ents[i - 1].name, ents[i - 1].namelen,
				     d->name, d->namelen) >= 0)
			return ek_fail(err, EK_INVALID,
				       "name %zu of a directory block is not "
				       "after the one before",
				       i);
		ek_put_le64(e, d->nid);
		ek_put_le16(e + 8, (uint16_t)off);
		e[10] = d->type;
		e[11] = 0;
		memcpy(out + off, d->name, d->namelen);
		off += d->namelen;
	}
	return EK_OK;
}

uint8_t ek_ftype_of_mode(uint16_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return EK_FT_REG;
	case S_IFDIR:
		return EK_FT_DIR;
	case S_IFCHR:
		return EK_FT_CHR;
	case S_IFBLK:
		return EK_FT_BLK;
	case S_IFIFO:
		return EK_FT_FIFO;
	case S_IFSOCK:
		return EK_FT_SOCK;
	case S_IFLNK:
		return EK_FT_LNK;
	default:
		return EK_FT_UNKNOWN;
	}
}

uint16_t ek_mode_of_ftype(uint8_t ftype)
{
	static const uint16_t modes[EK_FT_COUNT] = {
		[EK_FT_REG] = S_IFREG,	[EK_FT_DIR] = S_IFDIR,
		[EK_FT_CHR] = S_IFCHR,	[EK_FT_BLK] = S_IFBLK,
		[EK_FT_FIFO] = S_IFIFO, [EK_FT_SOCK] = S_IFSOCK,
		[EK_FT_LNK] = S_IFLNK,
	};

	return ftype < EK_FT_COUNT ? modes[ftype] : 0;
}
