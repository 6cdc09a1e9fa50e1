/* SPDX-License-Identifier: Apache-2.0 */
#include "format/needs.h"
#include "base/bytes.h"
#include "base/try.h"

#include <string.h>

/* Versions in which the format grew; ek_needs() adds no other. */
static const struct {
	uint8_t major, minor;
	const char *text;
} versions[] = {
	{5, 4, "5.4"},	 {5, 5, "5.5"},	  {5, 13, "5.13"}, {5, 15, "5.15"},
	{5, 16, "5.16"}, {5, 17, "5.17"}, {6, 1, "6.1"},   {6, 4, "6.4"},
	{6, 6, "6.6"},	 {6, 8, "6.8"},	  {6, 10, "6.10"}, {6, 12, "6.12"},
	{6, 15, "6.15"}, {6, 17, "6.17"}, {7, 0, "7.0"},   {7, 2, "7.2"},
};

/*
 * The version that a distribution's kernel began with. What was taken over
 * from later ones does not count: not every update has it.
 */
static const struct {
	const char *name;
	uint8_t major, minor;
} systems[] = {
	{"any", 5, 4},		{"debian-11", 5, 10},	 {"debian-12", 6, 1},
	{"debian-13", 6, 12},	{"rhel-9", 5, 14},	 {"rhel-10", 6, 12},
	{"ubuntu-20.04", 5, 4}, {"ubuntu-22.04", 5, 15}, {"ubuntu-24.04", 6, 8},
};

const char *ek_need_text(const struct ek_need *need)
{
	for (size_t i = 0; i < EK_ARRAY_SIZE(versions); i++)
		if (versions[i].major == need->major &&
		    versions[i].minor == need->minor)
			return versions[i].text;
	return "unknown";
}

/* A number of one to three digits at *@p; moves on. */
static bool number(const char **p, unsigned int *n)
{
	const char *start = *p;

	for (*n = 0; **p >= '0' && **p <= '9' && *p - start < 3; ++*p)
		*n = *n * 10 + (unsigned int)(**p - '0');
	return *p > start && *n <= UINT8_MAX;
}

bool ek_kernel_find(const char *name, uint8_t *major, uint8_t *minor)
{
	unsigned int a, b;

	for (size_t i = 0; i < EK_ARRAY_SIZE(systems); i++) {
		if (strcmp(systems[i].name, name) != 0)
			continue;
		*major = systems[i].major;
		*minor = systems[i].minor;
		return true;
	}
	if (!number(&name, &a) || *name++ != '.' || !number(&name, &b) || *name)
		return false;
	*major = (uint8_t)a;
	*minor = (uint8_t)b;
	return a > 5 || (a == 5 && b >= 4);
}

struct need_list {
	struct ek_need *needs;
	size_t n;
};

/* Insert by version; equal ones stay in order of arrival. */
static void add(struct need_list *l, unsigned int major, unsigned int minor,
		const char *reason)
{
	size_t i = l->n++;

	for (; i > 0; i--) {
		const struct ek_need *prev = &l->needs[i - 1];

		if (prev->major < major ||
		    (prev->major == major && prev->minor <= minor))
			break;
		l->needs[i] = *prev;
	}
	l->needs[i].major = (uint8_t)major;
	l->needs[i].minor = (uint8_t)minor;
	l->needs[i].reason = reason;
}

static void add_features(struct need_list *l, const struct ek_sb *sb,
			 uint32_t uses)
{
	uint32_t f = sb->incompat;

	if (f & EK_INCOMPAT_COMPR_CFGS)
		add(l, 5, 13, "compression configurations");
	if (f & EK_INCOMPAT_CHUNKED_FILE || uses & EK_USE_CHUNKS)
		add(l, 5, 15, "chunk-based files");
	if (f & EK_INCOMPAT_DEVICE_TABLE)
		add(l, 5, 16, "device table");
	if (f & EK_INCOMPAT_ZTAILPACKING)
		add(l, 5, 17, "tail packing of compressed data");
	if (f & EK_INCOMPAT_FRAGMENTS)
		add(l, 6, 1, "fragments or deduplication");
	if (f & EK_INCOMPAT_XATTR_PREFIXES)
		add(l, 6, 4, "long xattr name prefixes");
	if (f & EK_INCOMPAT_48BIT)
		add(l, 6, 15, "48-bit layout");
	if (f & EK_INCOMPAT_METABOX)
		add(l, 6, 17, "metadata compression");
	if (sb->name_full)
		add(l, 6, 15, "volume name of 16 bytes");
	/* Compat bits by number, but data lies elsewhere (P24). */
	if (sb->compat & EK_COMPAT_SHARED_EA_METABOX)
		add(l, 6, 17, "shared xattrs in metabox");
	if (sb->compat & EK_COMPAT_PLAIN_XATTR_PFX && sb->xattr_prefix_count &&
	    (ek_sb_packed(sb) || f & EK_INCOMPAT_METABOX))
		add(l, 6, 17, "xattr prefixes outside the packed inode");
}

static void add_uses(struct need_list *l, const struct ek_sb *sb, uint32_t uses)
{
	if (uses & EK_USE_BIG_PCLUSTER)
		add(l, 5, 13, "pclusters of several blocks");
	if (uses & EK_USE_HEAD2)
		add(l, 5, 16, "two algorithms in one file");
	if (uses & EK_USE_COMPACT_MTIME)
		add(l, 6, 15, "times in compact inodes");
	if (uses & EK_USE_IFORMAT_BIT4)
		add(l, 6, 15, "compact link counts or omitted dots");
	if (uses & EK_USE_HOLE_INODE)
		add(l, 6, 15, "files that are one hole");
	if (uses & EK_USE_ZEXTENTS)
		add(l, 6, 15, "encoded extents");
	if (uses & EK_USE_ZHOLES)
		add(l, 7, 2, "holes in compressed files");
	if (sb->blkszbits < 12) {
		add(l, 6, 4, "blocks smaller than pages");
		/* Makers of such images set the bit when they compress. */
		if (uses & EK_USE_COMPRESSED ||
		    ek_sb_incompat(sb, EK_INCOMPAT_LZ4_0PADDING))
			add(l, 6, 8,
			    "compression in blocks smaller than "
			    "pages");
	}
}

static void add_algs(struct need_list *l, const struct ek_sb *sb,
		     const struct ek_cfgs *cfgs)
{
	if (!ek_sb_incompat(sb, EK_INCOMPAT_COMPR_CFGS))
		return;
	if (cfgs->algs & 1u << EK_ALG_LZMA)
		add(l, 5, 16, "lzma compression");
	if (cfgs->algs & 1u << EK_ALG_DEFLATE)
		add(l, 6, 6, "deflate compression");
	if (cfgs->algs & 1u << EK_ALG_ZSTD)
		add(l, 6, 10, "zstd compression");
}

void ek_needs(const struct ek_sb *sb, const struct ek_cfgs *cfgs, uint32_t uses,
	      struct ek_need needs[EK_NEEDS_MAX], size_t *n)
{
	struct need_list l = {needs, 0};

	add(&l, 5, 4, "EROFS");
	add_features(&l, sb, uses);
	add_uses(&l, sb, uses);
	if (cfgs)
		add_algs(&l, sb, cfgs);
	*n = l.n;
}
