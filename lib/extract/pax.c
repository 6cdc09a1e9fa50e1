/* SPDX-License-Identifier: Apache-2.0 */
#include "extract/pax.h"
#include "base/try.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Fields of the ustar header: place and size (POSIX.1-1988). */
enum {
	AT_NAME = 0,
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	AT_SIZE = 124,
	AT_MTIME = 136,
	AT_CHKSUM = 148,
	AT_TYPE = 156,
	AT_LINK = 157,
	AT_MAGIC = 257,
	AT_MAJOR = 329,
	AT_MINOR = 337,
	AT_PREFIX = 345,
};

#define NAME_SIZE   100u
#define PREFIX_SIZE 155u

/* Largest numbers of fields with 7 and 11 octal digits. */
#define OCTAL_7	 UINT64_C(07777777)
#define OCTAL_11 UINT64_C(077777777777)

static unsigned digits(size_t n)
{
	unsigned d = 1;

	while (n >= 10) {
		n /= 10;
		d++;
	}
	return d;
}

ek_status pax_record(struct ek_buf *records, const char *key, const void *value,
		     size_t n, struct ek_err *err)
{
	size_t body = 1 + strlen(key) + 1 + n + 1;
	size_t total = body + digits(body);

	/* The length counts its own digits. */
	if (digits(total) != digits(body))
		total++;
	EK_TRY(ek_buf_printf(records, err, "%zu %s=", total, key));
	EK_TRY(ek_buf_append(records, value, n, err));
	return ek_buf_append(records, "\n", 1, err);
}

static ek_status record_number(struct ek_buf *records, const char *key,
			       uint64_t v, struct ek_err *err)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)v);

	return pax_record(records, key, text, (size_t)n, err);
}

/* A time with nanoseconds, which count upwards for negative seconds too. */
static ek_status record_time(struct ek_buf *records, const char *key,
			     const struct ek_node *node, struct ek_err *err)
{
	int64_t sec = node->mtime;
	uint32_t nsec = node->mtime_nsec;
	uint64_t whole;
	char text[40];
	int n;

	if (sec < 0 && nsec) {
		sec++;
		nsec = 1000000000u - nsec;
	}
	whole = sec < 0 ? 0 - (uint64_t)sec : (uint64_t)sec;
	n = snprintf(text, sizeof(text), "%s%llu", node->mtime < 0 ? "-" : "",
		     (unsigned long long)whole);
	if (nsec)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ".%09u",
			      (unsigned)nsec);
	return pax_record(records, key, text, (size_t)n, err);
}

ek_status pax_xattr(struct ek_buf *records, const struct ek_xattr *xattr,
		    struct ek_err *err)
{
	struct ek_buf key = EK_BUF_INIT(8192);
	ek_status status;
	size_t i;

	status = ek_buf_printf(&key, err, "SCHILY.xattr.");
	/* '=' would end the key; tar programs agree on this escape. */
	for (i = 0; i < xattr->name_len && status == EK_OK; i++) {
		char c = xattr->name[i];

		if (c == '=' || c == '%')
			status =
				ek_buf_printf(&key, err, "%%%02X", (unsigned)c);
		else
			status = ek_buf_append(&key, &c, 1, err);
	}
	if (status == EK_OK)
		status = ek_buf_append_zeros(&key, 1, err);
	if (status == EK_OK)
		status = pax_record(records, (char *)key.data, xattr->value,
				    xattr->value_len, err);
	ek_buf_free(&key);
	return status;
}

static void put_octal(uint8_t *h, unsigned at, unsigned width, uint64_t v)
{
	unsigned i = width - 1;

	h[at + i] = 0;
	while (i-- > 0) {
		h[at + i] = (uint8_t)('0' + (v & 7));
		v >>= 3;
	}
}

static char type_of(const struct pax_member *m)
{
	if (m->hard_link)
		return '1';
	switch (m->node->mode & S_IFMT) {
	case S_IFLNK:
		return '2';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	case S_IFDIR:
		return '5';
	case S_IFIFO:
		return '6';
	default:
		return '0';
	}
}

/* Numbers in octal; those that do not fit become records and 0. */
static ek_status put_number(uint8_t *h, unsigned at, unsigned width, uint64_t v,
			    const char *key, struct ek_buf *records,
			    struct ek_err *err)
{
	bool fits = v <= (width == 8 ? OCTAL_7 : OCTAL_11);

	put_octal(h, at, width, fits ? v : 0);
	return fits ? EK_OK : record_number(records, key, v, err);
}

/* A name: in the field, split at a slash into the prefix, or a record. */
static ek_status put_path(uint8_t *h, const char *path, size_t n,
			  struct ek_buf *records, struct ek_err *err)
{
	size_t cut;

	if (n <= NAME_SIZE) {
		memcpy(h + AT_NAME, path, n);
		return EK_OK;
	}
	for (cut = n - NAME_SIZE - 1; cut < n - 1 && cut <= PREFIX_SIZE; cut++)
		if (path[cut] == '/' && cut > 0) {
			memcpy(h + AT_PREFIX, path, cut);
			memcpy(h + AT_NAME, path + cut + 1, n - cut - 1);
			return EK_OK;
		}
	/* For readers that know no PAX headers: its beginning. */
	memcpy(h + AT_NAME, path, NAME_SIZE);
	return pax_record(records, "path", path, n, err);
}

static ek_status put_target(uint8_t *h, const char *target,
			    struct ek_buf *records, struct ek_err *err)
{
	size_t n = strlen(target);

	memcpy(h + AT_LINK, target, n < NAME_SIZE ? n : NAME_SIZE);
	if (n <= NAME_SIZE)
		return EK_OK;
	return pax_record(records, "linkpath", target, n, err);
}

static ek_status put_node(uint8_t *h, const struct pax_member *m,
			  struct ek_buf *records, struct ek_err *err)
{
	const struct ek_node *node = m->node;
	bool plain_time = node->mtime >= 0 && !node->mtime_nsec &&
			  (uint64_t)node->mtime <= OCTAL_11;

	put_octal(h, AT_MODE, 8, node->mode & 07777);
	EK_TRY(put_number(h, AT_UID, 8, node->uid, "uid", records, err));
	EK_TRY(put_number(h, AT_GID, 8, node->gid, "gid", records, err));
	EK_TRY(put_number(h, AT_SIZE, 12, m->size, "size", records, err));
	put_octal(h, AT_MTIME, 12,
		  node->mtime < 0 || (uint64_t)node->mtime > OCTAL_11
			  ? 0
			  : (uint64_t)node->mtime);
	if (!plain_time)
		EK_TRY(record_time(records, "mtime", node, err));
	if (S_ISCHR(node->mode) || S_ISBLK(node->mode)) {
		EK_TRY(put_number(h, AT_MAJOR, 8, node->rdev_major,
				  "SCHILY.devmajor", records, err));
		EK_TRY(put_number(h, AT_MINOR, 8, node->rdev_minor,
				  "SCHILY.devminor", records, err));
	}
	return EK_OK;
}

static void seal(uint8_t *h)
{
	unsigned i, sum = 0;

	memcpy(h + AT_MAGIC, "ustar\00000", 8);
	memset(h + AT_CHKSUM, ' ', 8);
	for (i = 0; i < PAX_BLOCK; i++)
		sum += h[i];
	put_octal(h, AT_CHKSUM, 7, sum);
}

static ek_status pad(struct ek_buf *out, struct ek_err *err)
{
	size_t over = out->len % PAX_BLOCK;

	return over ? ek_buf_append_zeros(out, PAX_BLOCK - over, err) : EK_OK;
}

ek_status pax_headers(const struct pax_member *m, struct ek_buf *records,
		      struct ek_buf *out, struct ek_err *err)
{
	struct ek_buf path = EK_BUF_INIT(PAX_RECORDS_MAX);
	uint8_t h[PAX_BLOCK] = {0}, x[PAX_BLOCK] = {0};
	bool dir = S_ISDIR(m->node->mode);
	ek_status status;

	status = ek_buf_printf(&path, err, "%s%s", *m->path ? m->path : ".",
			       dir ? "/" : "");
	if (status == EK_OK)
		status = put_path(h, (char *)path.data, path.len, records, err);
	ek_buf_free(&path);
	EK_TRY(status);
	h[AT_TYPE] = (uint8_t)type_of(m);
	if (m->target)
		EK_TRY(put_target(h, m->target, records, err));
	EK_TRY(put_node(h, m, records, err));
	seal(h);
	if (records->len) {
		memcpy(x + AT_NAME, "PaxHeaders/member", 17);
		put_octal(x, AT_MODE, 8, 0644);
		put_octal(x, AT_UID, 8, 0);
		put_octal(x, AT_GID, 8, 0);
		put_octal(x, AT_SIZE, 12, records->len);
		put_octal(x, AT_MTIME, 12, 0);
		x[AT_TYPE] = 'x';
		seal(x);
		EK_TRY(ek_buf_append(out, x, sizeof(x), err));
		EK_TRY(ek_buf_append(out, records->data, records->len, err));
		EK_TRY(pad(out, err));
	}
	return ek_buf_append(out, h, sizeof(h), err);
}
