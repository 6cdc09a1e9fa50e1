/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/store/layout.h"
#include "cachefilesd/store/priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * erofskit blob 1 / name / root / size / leaf-size / generation / recipe N, a
 * line each, then N bytes of recipe, newline, and the CRC32C of all before.
 */

bool ekd_good_name(const char *name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(name);

	return n >= 1 && n <= 128 && name[0] != '.' && strspn(name, good) == n;
}

static void put_hex(const uint8_t *bytes, size_t n, char *to)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		to[2 * i] = digits[bytes[i] >> 4];
		to[2 * i + 1] = digits[bytes[i] & 15];
	}
	to[2 * n] = '\0';
}

size_t ekd_meta_encode(const struct ekd_meta *meta, char *to)
{
	char root[65], generation[2 * EKD_GENERATION + 1];
	size_t n;

	put_hex(meta->root, sizeof(meta->root), root);
	put_hex(meta->generation, EKD_GENERATION, generation);
	n = (size_t)snprintf(to, EKD_META_MAX,
			     "erofskit blob 1\nname %s\nroot %s\n"
			     "size %" PRIu64 "\nleaf-size %" PRIu32 "\n"
			     "generation %s\nrecipe %zu\n",
			     meta->name, root, meta->blob_size, meta->leaf_size,
			     generation, meta->recipe_size);
	if (meta->recipe_size)
		memcpy(to + n, meta->recipe, meta->recipe_size);
	n += meta->recipe_size;
	to[n++] = '\n';
	return n + (size_t)snprintf(to + n, EKD_META_MAX - n,
				    "crc32c %08" PRIx32 "\n",
				    ekd_crc32c((const uint8_t *)to, n));
}

/* What is left of the text. */
struct cursor {
	const char *at, *end;
};

static bool literal(struct cursor *c, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0)
		return false;
	c->at += n;
	return true;
}

static bool number(struct cursor *c, uint64_t max, uint64_t *value)
{
	const char *start = c->at;
	uint64_t v = 0;

	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
		uint64_t digit = (uint64_t)(*c->at - '0');

		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*value = v;
	/* One spelling for each number. */
	return c->at > start && (*start != '0' || c->at == start + 1);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex(struct cursor *c, uint8_t *to, size_t n)
{
	if ((size_t)(c->end - c->at) < 2 * n)
		return false;
	for (size_t i = 0; i < n; i++, c->at += 2) {
		int high = digit_value(c->at[0]), low = digit_value(c->at[1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool name(struct cursor *c, char to[129])
{
	size_t n = 0;

	while (c->at < c->end && *c->at != '\n' && n < 128)
		to[n++] = *c->at++;
	to[n] = '\0';
	return ekd_good_name(to) && strlen(to) == n;
}

static bool checksum(struct cursor *c, const char *text)
{
	uint32_t crc =
		ekd_crc32c((const uint8_t *)text, (size_t)(c->at - text));
	uint8_t bytes[4];

	return literal(c, "crc32c ") && hex(c, bytes, sizeof(bytes)) &&
	       bytes[0] == crc >> 24 && bytes[1] == (crc >> 16 & 255) &&
	       bytes[2] == (crc >> 8 & 255) && bytes[3] == (crc & 255) &&
	       literal(c, "\n") && c->at == c->end;
}

static bool recipe(struct cursor *c, struct ekd_meta *meta)
{
	uint64_t n;

	if (!literal(c, "\nrecipe ") || !number(c, EKD_RECIPE_MAX, &n) ||
	    !literal(c, "\n") || (uint64_t)(c->end - c->at) < n ||
	    (n && memchr(c->at, '\0', (size_t)n)))
		return false;
	meta->recipe = c->at;
	meta->recipe_size = (size_t)n;
	c->at += n;
	return literal(c, "\n");
}

ek_status ekd_meta_decode(const char *text, size_t size, struct ekd_meta *meta,
			  struct ek_err *err)
{
	struct cursor c = {text, text + size};
	uint64_t leaf_size = 0;

	if (!literal(&c, "erofskit blob 1\nname ") || !name(&c, meta->name) ||
	    !literal(&c, "\nroot ") ||
	    !hex(&c, meta->root, sizeof(meta->root)) ||
	    !literal(&c, "\nsize ") ||
	    !number(&c, UINT64_MAX, &meta->blob_size) ||
	    !literal(&c, "\nleaf-size ") ||
	    !number(&c, EK_LEAF_SIZE_MAX, &leaf_size) ||
	    !literal(&c, "\ngeneration ") ||
	    !hex(&c, meta->generation, EKD_GENERATION) || !recipe(&c, meta) ||
	    !checksum(&c, text))
		return ek_fail(err, EK_CORRUPT, "damaged meta file");
	meta->leaf_size = (uint32_t)leaf_size;
	return EK_OK;
}
