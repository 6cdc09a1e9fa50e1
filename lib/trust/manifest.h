/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_TRUST_MANIFEST_H
#define EK_TRUST_MANIFEST_H

/* What the files about manifests share: words, escapes, rules of an entry. */

#include <erofskit/manifest.h>
#include "base/buf.h"

#define EK_MANIFEST_HEADER  "erofskit-manifest "
#define EK_MANIFEST_VERSION "1"

/*
 * Append @n bytes of @from: printable ASCII but ' ', '%' and '=' as it is,
 * every other byte as %XX.
 */
ek_status ek_manifest_escape(struct ek_buf *to, const void *from, size_t n,
			     struct ek_err *err);

/*
 * Undo it for [@from, @from + n) into @to, which has room for @n bytes; *@got
 * is the length. False when the text is not exactly what escaping gives.
 */
bool ek_manifest_unescape(const char *from, size_t n, uint8_t *to, size_t *got);

/* "f", "d", ... of the type bits of @mode; 0 when there is no such type. */
char ek_manifest_type(uint32_t mode);

/* Type bits of a letter; 0 when there is no such type. */
uint32_t ek_manifest_type_bits(char letter);

/* "/" or "/a/b": absolute, no empty component, no "." or "..". */
bool ek_manifest_path_ok(const char *path);

/*
 * EK_INVALID when @entry breaks a rule of <erofskit/manifest.h>, or does not
 * come after @before (NULL: it is the first).
 */
ek_status ek_manifest_check(const struct ek_manifest_entry *entry,
			    const char *before, struct ek_err *err);

/* As the order of attributes: memcmp(), a prefix first. */
int ek_manifest_xattr_order(const struct ek_manifest_xattr *a,
			    const struct ek_manifest_xattr *b);

#endif
