/* SPDX-License-Identifier: Apache-2.0 */
#include "format/cfgs.h"
#include "base/bytes.h"
#include "base/try.h"

#include <inttypes.h>
#include <string.h>

static const uint8_t blob_size[EK_ALG_COUNT] = {
	[EK_ALG_LZ4] = 14,
	[EK_ALG_LZMA] = 14,
	[EK_ALG_DEFLATE] = 6,
	[EK_ALG_ZSTD] = 6,
};

const char *ek_alg_name(unsigned int alg)
{
	static const char *const names[EK_ALG_COUNT] = {"lz4", "lzma",
							"deflate", "zstd"};

	return alg < EK_ALG_COUNT ? names[alg] : "unknown";
}

/* The limits of kernels, shared by decode and encode. */
static ek_status check_cfg(const struct ek_cfgs *c, unsigned int alg,
			   uint8_t blkszbits, ek_status bad, struct ek_err *err)
{
	switch (alg) {
	case EK_ALG_LZ4:
		/*
		 * A kernel with 4 KiB pages compares with 256 whatever the
		 * block size (pitfall P7); larger blocks need larger pages
		 * and stop earlier.
		 */
		if (((uint64_t)c->lz4_max_pclusterblks
		     << ek_max(blkszbits, 12)) > EK_PCLUSTER_MAX)
			return ek_fail(err, bad,
				       "lz4: pclusters of %u blocks are too "
				       "large",
				       c->lz4_max_pclusterblks);
		break;
	case EK_ALG_LZMA:
		if (c->lzma_dict_size < EK_LZMA_DICT_MIN ||
		    c->lzma_dict_size > EK_LZMA_DICT_MAX)
			return ek_fail(err, bad,
				       "lzma: dictionary of %" PRIu32 " bytes",
				       c->lzma_dict_size);
		break;
	case EK_ALG_DEFLATE:
		if (c->deflate_windowbits > 15)
			return ek_fail(err, bad, "deflate: window of 2^%u",
				       c->deflate_windowbits);
		break;
	default:
		if (c->zstd_windowlog < EK_ZSTD_WLOG_MIN ||
		    c->zstd_windowlog > EK_ZSTD_WLOG_MAX)
			return ek_fail(err, bad, "zstd: window of 2^%u",
				       c->zstd_windowlog);
	}
	return EK_OK;
}

static ek_status decode_blob(unsigned int alg, const uint8_t *p,
			     struct ek_cfgs *c, struct ek_err *err)
{
	unsigned int format = 0, known;

	switch (alg) {
	case EK_ALG_LZ4:
		c->lz4_max_distance = ek_get_le16(p);
		if (!c->lz4_max_distance)
			c->lz4_max_distance = EK_LZ4_DISTANCE_MAX;
		c->lz4_max_pclusterblks = ek_get_le16(p + 2);
		if (!c->lz4_max_pclusterblks)
			c->lz4_max_pclusterblks = 1;
		known = 4;
		break;
	case EK_ALG_LZMA:
		c->lzma_dict_size = ek_get_le32(p);
		format = ek_get_le16(p + 4);
		known = 6;
		break;
	case EK_ALG_DEFLATE:
		c->deflate_windowbits = p[0];
		known = 1;
		break;
	default:
		format = p[0];
		/* Beyond 8 bits is beyond the limit too: keep it so. */
		c->zstd_windowlog =
			(uint8_t)ek_min(255, p[1] + EK_ZSTD_WLOG_MIN);
		known = 2;
	}
	if (format)
		return ek_fail(err, EK_UNSUPPORTED, "%s: unknown format %u",
			       ek_alg_name(alg), format);
	if (!ek_all_zero(p + known, blob_size[alg] - known))
		c->reserved_nonzero = true;
	return EK_OK;
}

ek_status ek_cfgs_decode(const struct ek_sb *sb, const uint8_t *p, size_t n,
			 struct ek_cfgs *cfgs, size_t *used, struct ek_err *err)
{
	size_t pos = 0;

	memset(cfgs, 0, sizeof(*cfgs));
	cfgs->lz4_max_distance = EK_LZ4_DISTANCE_MAX;
	cfgs->lz4_max_pclusterblks = 1;
	*used = 0;
	if (!ek_sb_incompat(sb, EK_INCOMPAT_COMPR_CFGS)) {
		cfgs->algs = 1u << EK_ALG_LZ4;
		if (sb->lz4_max_distance)
			cfgs->lz4_max_distance = sb->lz4_max_distance;
		return EK_OK;
	}
	cfgs->algs = sb->algs;
	for (unsigned int alg = 0; alg < EK_ALG_COUNT; alg++) {
		size_t len;

		if (!(sb->algs & 1u << alg))
			continue;
		pos = (pos + 3) & ~(size_t)3;
		if (pos > n || n - pos < 2)
			return ek_fail(err, EK_CORRUPT, "%s: no configuration",
				       ek_alg_name(alg));
		len = ek_get_le16(p + pos);
		pos += 2;
		if (len < blob_size[alg] || len > n - pos)
			return ek_fail(err, EK_CORRUPT,
				       "%s: configuration of %zu bytes",
				       ek_alg_name(alg), len);
		EK_TRY(decode_blob(alg, p + pos, cfgs, err));
		EK_TRY(check_cfg(cfgs, alg, sb->blkszbits, EK_CORRUPT, err));
		pos += len;
	}
	*used = pos;
	return EK_OK;
}

static void encode_blob(const struct ek_cfgs *c, unsigned int alg, uint8_t *p)
{
	switch (alg) {
	case EK_ALG_LZ4:
		ek_put_le16(p, c->lz4_max_distance);
		ek_put_le16(p + 2, c->lz4_max_pclusterblks);
		break;
	case EK_ALG_LZMA:
		ek_put_le32(p, c->lzma_dict_size);
		break;
	case EK_ALG_DEFLATE:
		p[0] = c->deflate_windowbits;
		break;
	default:
		p[1] = (uint8_t)(c->zstd_windowlog - EK_ZSTD_WLOG_MIN);
	}
}

ek_status ek_cfgs_encode(const struct ek_cfgs *cfgs, uint8_t *out, size_t cap,
			 size_t *used, struct ek_err *err)
{
	size_t pos = 0;

	if (cfgs->algs >> EK_ALG_COUNT)
		return ek_fail(err, EK_INVALID, "unknown algorithms 0x%x",
			       (unsigned int)cfgs->algs);
	/* Every blob's size + 2 is a multiple of 4: no gaps arise. */
	for (unsigned int alg = 0; alg < EK_ALG_COUNT; alg++) {
		size_t len = blob_size[alg];

		if (!(cfgs->algs & 1u << alg))
			continue;
		EK_TRY(check_cfg(cfgs, alg, EK_BLKSZBITS_MIN, EK_INVALID, err));
		if (cap < pos || cap - pos < len + 2)
			return ek_fail(err, EK_INVALID,
				       "%s: no room for its configuration",
				       ek_alg_name(alg));
		memset(out + pos, 0, len + 2);
		ek_put_le16(out + pos, (uint16_t)len);
		encode_blob(cfgs, alg, out + pos + 2);
		pos += len + 2;
	}
	*used = pos;
	return EK_OK;
}
