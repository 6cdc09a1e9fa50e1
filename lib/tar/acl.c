/* SPDX-License-Identifier: Apache-2.0 */
#include "tar/pax.h"

#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/* Numbers of linux/posix_acl_xattr.h. */
enum {
	ACL_VERSION = 2,
	TAG_USER_OBJ = 0x01,
	TAG_USER = 0x02,
	TAG_GROUP_OBJ = 0x04,
	TAG_GROUP = 0x08,
	TAG_MASK = 0x10,
	TAG_OTHER = 0x20,
};

#define ACL_NO_ID UINT32_MAX
/* 65,535 bytes of an attribute's value hold no more. */
#define ACL_ENTRIES_MAX 8191u

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

/* Split @text at the first ':'; NULL when there is none. */
static char *cut(char *text)
{
	char *colon = strchr(text, ':');

	if (!colon)
		return NULL;
	*colon = 0;
	return colon + 1;
}

static bool number(const char *text, uint32_t *id)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v >= ACL_NO_ID)
			return false;
	}
	*id = (uint32_t)v;
	return true;
}

static bool permissions(const char *text, uint16_t *perm)
{
	static const char letters[] = "rwx";

	*perm = 0;
	for (unsigned i = 0; i < 3; i++) {
		if (text[i] == letters[i])
			*perm |= (uint16_t)(4 >> i);
		else if (text[i] != '-')
			return false;
	}
	return text[3] == 0 || text[3] == ' ' || text[3] == '\t';
}

/* tag:qualifier:perm[:id]; false: not an entry. */
static ek_status entry_of(char *text, struct acl_entry *e, struct ek_err *err)
{
	char *who = cut(text), *perm = who ? cut(who) : NULL, *id;
	bool user = !strcmp(text, "user") || !strcmp(text, "u");
	bool group = !strcmp(text, "group") || !strcmp(text, "g");

	if (!perm)
		return ek_fail(err, EK_CORRUPT, "ACL entry without ':'");
	id = cut(perm);
	e->id = ACL_NO_ID;
	if (!permissions(perm, &e->perm))
		return ek_fail(err, EK_CORRUPT, "ACL permissions \"%s\"", perm);
	if (user || group) {
		e->tag = user ? (*who ? TAG_USER : TAG_USER_OBJ)
			      : (*who ? TAG_GROUP : TAG_GROUP_OBJ);
		if (*who && !(id && number(id, &e->id)) && !number(who, &e->id))
			return ek_fail(err, EK_NOTFOUND,
				       "ACL name \"%s\" without a number", who);
		return EK_OK;
	}
	if (!strcmp(text, "mask") || !strcmp(text, "m"))
		e->tag = TAG_MASK;
	else if (!strcmp(text, "other") || !strcmp(text, "o"))
		e->tag = TAG_OTHER;
	else
		return ek_fail(err, EK_CORRUPT, "ACL tag \"%s\"", text);
	return EK_OK;
}

static int by_tag(const void *a, const void *b)
{
	const struct acl_entry *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static ek_status encode(const struct acl_entry *e, size_t n, uint8_t **value,
			size_t *len, struct ek_err *err)
{
	uint8_t *p = malloc(4 + 8 * n);

	if (!p)
		return ek_fail(err, EK_NOMEM, "no memory for an ACL");
	*value = p;
	*len = 4 + 8 * n;
	ek_put_le32(p, ACL_VERSION);
	p += 4;
	for (size_t i = 0; i < n; i++, p += 8) {
		ek_put_le16(p, e[i].tag);
		ek_put_le16(p + 2, e[i].perm);
		ek_put_le32(p + 4, e[i].id);
	}
	return EK_OK;
}

ek_status ek_acl_from_text(const char *text, bool drop_minimal, uint8_t **value,
			   size_t *n, struct ek_err *err)
{
	EK_AUTO_FREE char *copy = strdup(text);
	EK_VEC(struct acl_entry) list = {0};
	char *save = NULL;
	ek_status status = EK_OK;

	*value = NULL;
	*n = 0;
	if (!copy)
		return ek_fail(err, EK_NOMEM, "no memory for an ACL");
	for (char *s = strtok_r(copy, ",\n", &save); s && status == EK_OK;
	     s = strtok_r(NULL, ",\n", &save)) {
		struct acl_entry e;

		s += strspn(s, " \t");
		if (!*s || *s == '#')
			continue;
		status = entry_of(s, &e, err);
		if (status == EK_OK)
			status = ek_vec_push(&list, e, ACL_ENTRIES_MAX, err);
	}
	if (status == EK_OK && list.n > (drop_minimal ? 3 : 0)) {
		qsort(list.at, list.n, sizeof(*list.at), by_tag);
		status = encode(list.at, list.n, value, n, err);
	}
	ek_vec_free(&list);
	return status;
}
