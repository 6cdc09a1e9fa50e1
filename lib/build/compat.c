/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/needs.h"

/*
 * The kernel that an image must be fit for. What the options ask for is known
 * before anything is read; what the tree makes of them, at the end.
 */

static ek_status check(const struct ek_build_options *o, const struct ek_sb *sb,
		       const struct ek_cfgs *cfgs, uint32_t uses,
		       struct ek_err *err)
{
	struct ek_need needs[EK_NEEDS_MAX];
	const struct ek_need *need;
	size_t n;

	if (!o->kernel_major)
		return EK_OK;
	ek_needs(sb, cfgs, uses, needs, &n);
	/* Of several the newest: without it the others may go, too. */
	need = &needs[n - 1];
	if (!ek_need_beyond(need, o->kernel_major, o->kernel_minor))
		return EK_OK;
	return ek_fail(err, EK_UNSUPPORTED,
		       "%s: needs Linux %s, and the image is for %u.%u: leave "
		       "that out",
		       need->reason, ek_need_text(need), o->kernel_major,
		       o->kernel_minor);
}

ek_status ek_compat_options(const struct ek_build_options *o,
			    struct ek_err *err)
{
	struct ek_sb sb = {.blkszbits = (uint8_t)__builtin_ctz(o->block_size)};
	struct ek_cfgs cfgs = {0};
	uint32_t uses = 0, n = o->n_codecs ? o->n_codecs : o->codec ? 1 : 0;
	bool big = o->max_pcluster > o->block_size;

	for (uint32_t i = 0; i < o->n_hints; i++)
		big |= o->hints[i].max_pcluster > o->block_size;
	for (uint32_t i = 0; i < n; i++) {
		const char *name = o->n_codecs ? o->codecs[i].name : o->codec;

		cfgs.algs |= (uint16_t)(1u << ek_codec_find(name)->algorithm);
		uses |= EK_USE_COMPRESSED;
	}
	if (n && big)
		uses |= EK_USE_BIG_PCLUSTER;
	if (n && (big || cfgs.algs != 1u << EK_CODEC_LZ4))
		sb.incompat |= EK_INCOMPAT_COMPR_CFGS;
	if (n && o->tailpacking)
		sb.incompat |= EK_INCOMPAT_ZTAILPACKING;
	if (o->dot_omitted || o->wide)
		sb.incompat |= EK_INCOMPAT_48BIT;
	if (o->n_xattr_prefixes && o->xattr_share >= 0)
		sb.incompat |= EK_INCOMPAT_XATTR_PREFIXES;
	if (o->chunk_size || o->index)
		uses |= EK_USE_CHUNKS;
	if (o->blob || o->index)
		sb.incompat |= EK_INCOMPAT_DEVICE_TABLE;
	if (o->no_data)
		uses |= EK_USE_HOLE_INODE;
	return check(o, &sb, &cfgs, uses, err);
}

ek_status ek_compat_image(const struct ek_build *b, struct ek_err *err)
{
	return check(&b->opt, &b->sb, &b->cfgs, b->uses, err);
}

bool ek_compat_has(const struct ek_build *b, uint8_t major, uint8_t minor)
{
	const struct ek_need need = {major, minor, NULL};

	return !b->opt.kernel_major ||
	       !ek_need_beyond(&need, b->opt.kernel_major, b->opt.kernel_minor);
}

ek_status ek_kernel_version(const char *name, uint8_t *major, uint8_t *minor,
			    struct ek_err *err)
{
	if (ek_kernel_find(name, major, minor))
		return EK_OK;
	return ek_fail(err, EK_INVALID,
		       "\"%s\" is neither a version from 5.4 on, nor \"any\", "
		       "nor a known distribution such as debian-12",
		       name);
}
