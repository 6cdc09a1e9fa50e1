/* SPDX-License-Identifier: Apache-2.0 */
#include "format/xattr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define LONGS_MAX 8u

/* Long prefixes at the start of the input; the bytes that they take. */
static size_t get_longs(const uint8_t *p, size_t n, unsigned int want,
			struct ek_xattr_long *l, size_t *count)
{
	size_t pos = 0;

	for (*count = 0; *count < want; (*count)++) {
		if (pos > n || ek_xattr_long_decode(p + pos, n - pos,
						    &l[*count], NULL) != EK_OK)
			break;
		pos += (l[*count].size + 3u) & ~(size_t)3;
	}
	return pos < n ? pos : n;
}

static void check_entry(const struct ek_xattr_entry *e,
			const struct ek_xattr_long *longs, size_t count)
{
	char name[EK_XATTR_FULL_MAX + 1];
	uint8_t index;
	size_t n, plen;

	if (e->size % 4 || e->size > EK_XATTR_ENTRY_MAX)
		abort();
	if (ek_xattr_full_name(e, longs, count, name, &n) != EK_OK)
		return;
	if (n > EK_XATTR_FULL_MAX || name[n] != '\0')
		abort();
	if (ek_xattr_split(name, n, &index, &plen)) {
		if (plen > n)
			abort();
		ek_xattr_filter_bit(index, (uint8_t *)name + plen, n - plen);
	}
}

/* One byte of form, then long prefixes, then an inline region. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ek_xattr_long longs[LONGS_MAX];
	struct ek_xattr_entry e;
	struct ek_xattr_iter it;
	struct ek_xattr_head h;
	size_t count, pos, sum = 0;

	if (n < 1)
		return 0;
	pos = 1 +
	      get_longs(data + 1, n - 1, data[0] % LONGS_MAX, longs, &count);
	data += pos;
	n -= pos;
	if (ek_xattr_head_decode(data, n, &h, NULL) != EK_OK)
		return 0;
	for (unsigned int i = 0; i < h.shared_count; i++)
		sum += ek_xattr_shared_id(data, i);
	ek_xattr_iter_init(&it, data, n, &h);
	while (ek_xattr_iter_next(&it, &e, NULL) == EK_OK) {
		sum += e.namelen ? e.name[e.namelen - 1] : 0;
		sum += e.valuelen ? e.value[e.valuelen - 1] : 0;
		check_entry(&e, longs, count);
	}
	/* -1 keeps an input out of the corpus; it also makes the sum used. */
	return sum == SIZE_MAX ? -1 : 0;
}
