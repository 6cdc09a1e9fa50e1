/* SPDX-License-Identifier: Apache-2.0 */
#include "build/internal.h"

#include "base/try.h"
#include "format/needs.h"

#include <regex.h>
#include <string.h>
#include <unistd.h>

/*
 * Which algorithms an image uses, with what parameters, and which files go
 * through which.
 */

/* Encoders take no more than this part of the memory of the machine. */
#define MEMORY_PART 2u

#define DEFLATE_WINDOW_MAX 15 /* logarithm */

static void prop(const struct ek_build_codec *c, int32_t value, uint8_t bit,
		 uint8_t *to, struct ek_encoder_params *p)
{
	(void)c;
	if (value == EK_LEVEL_DEFAULT)
		return;
	p->set |= bit;
	/* What does not fit must not become something that does. */
	*to = value < 0 || value > 255 ? 255 : (uint8_t)value;
}

ek_status ek_codec_choose(const struct ek_build_codec *c, uint32_t max_out,
			  struct ek_codec_choice *to, struct ek_err *err)
{
	struct ek_encoder_params p = {
		.level = c->level,
		.dict_size = c->dict_size,
		.max_out = max_out,
	};

	to->info = c->name ? ek_codec_find(c->name) : NULL;
	if (!to->info)
		return ek_fail(err, EK_INVALID,
			       "compression \"%s\" is not known",
			       c->name ? c->name : "");
	if (c->level == EK_LEVEL_DEFAULT)
		p.level = to->info->default_level;
	else if (to->info->min_level > to->info->max_level)
		return ek_fail(err, EK_INVALID, "%s takes no level", c->name);
	prop(c, c->lc, EK_PROP_LC, &p.lc, &p);
	prop(c, c->lp, EK_PROP_LP, &p.lp, &p);
	prop(c, c->pb, EK_PROP_PB, &p.pb, &p);
	to->params = p;
	return ek_codec_check(to->info, &p, err);
}

/* The largest pcluster of any file. */
static uint32_t largest(const struct ek_build_options *o)
{
	uint32_t most = o->max_pcluster;

	for (uint32_t i = 0; i < o->n_hints; i++)
		most = ek_max(most, o->hints[i].max_pcluster);
	return most;
}

/* Files are cut before they are encoded; LZ4 fills in one pass anyhow. */
static bool in_units(const struct ek_build *b, uint32_t codec)
{
	return b->opt.wide && b->codecs[codec].info->algorithm != EK_CODEC_LZ4;
}

/*
 * Bytes of a piece that is encoded in one pass: a power of two of blocks, and
 * as an extent no longer than extents may be.
 */
static uint32_t unit_of(const struct ek_build *b, uint32_t max_pcluster)
{
	uint32_t unit = b->bs, most = max_pcluster;

	if (b->opt.max_extent)
		most = ek_min(most, b->opt.max_extent);
	while (2 * (uint64_t)unit <= most)
		unit *= 2;
	return unit;
}

static ek_status load_hints(struct ek_build *b, struct ek_err *err)
{
	const struct ek_build_options *o = &b->opt;

	if (!o->n_hints)
		return EK_OK;
	b->hints = calloc(o->n_hints, sizeof(regex_t));
	if (!b->hints)
		return ek_fail(err, EK_NOMEM, "no memory for hints");
	for (; b->n_hints < o->n_hints; b->n_hints++) {
		regex_t *re = &((regex_t *)b->hints)[b->n_hints];

		if (regcomp(re, o->hints[b->n_hints].regex,
			    REG_EXTENDED | REG_NOSUB))
			return ek_fail(err, EK_INVALID,
				       "hint %u: \"%s\" is no regular "
				       "expression",
				       b->n_hints + 1,
				       o->hints[b->n_hints].regex);
	}
	return EK_OK;
}

/* Fewer workers rather than more memory than there is. */
static void limit_workers(struct ek_build *b, uint64_t one)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t most;

	if (pages <= 0 || size <= 0 || one == 0)
		return;
	most = (uint64_t)pages * (uint64_t)size / MEMORY_PART / one;
	if (b->workers > most)
		b->workers = most ? (unsigned)most : 1;
}

ek_status ek_codecs_load(struct ek_build *b, struct ek_err *err)
{
	const struct ek_build_options *o = &b->opt;
	const struct ek_build_codec single = {
		.name = o->codec,
		.level = o->level,
		.lc = EK_LEVEL_DEFAULT,
		.lp = EK_LEVEL_DEFAULT,
		.pb = EK_LEVEL_DEFAULT,
	};
	const struct ek_build_codec *list = o->n_codecs ? o->codecs : &single;
	uint32_t n = o->n_codecs ? o->n_codecs : o->codec ? 1 : 0;
	uint32_t most = largest(o);
	uint64_t memory = 0;

	b->max_blocks = most / b->bs;
	for (uint32_t i = 0; i < n; i++) {
		EK_TRY(ek_codec_choose(&list[i], most, &b->codecs[i], err));
		if (in_units(b, i))
			b->codecs[i].params.max_in = unit_of(b, most);
		memory += ek_codec_memory(b->codecs[i].info,
					  &b->codecs[i].params);
	}
	b->n_codecs = n;
	limit_workers(b, memory);
	return load_hints(b, err);
}

ek_status ek_codecs_open(struct ek_build *b, struct ek_err *err)
{
	size_t n = (size_t)b->workers * b->n_codecs;

	if (!n)
		return EK_OK;
	b->encs = calloc(n, sizeof(struct ek_encoder *));
	if (!b->encs)
		return ek_fail(err, EK_NOMEM, "no memory for encoders");
	for (size_t i = 0; i < n; i++) {
		const struct ek_codec_choice *c = &b->codecs[i % b->n_codecs];

		EK_TRY(ek_encoder_new(c->info, &c->params, &b->encs[i], err));
	}
	return EK_OK;
}

void ek_codecs_close(struct ek_build *b)
{
	for (size_t i = 0; b->encs && i < (size_t)b->workers * b->n_codecs; i++)
		ek_encoder_free(b->encs[i]);
	free(b->encs);
	for (uint32_t i = 0; i < b->n_hints; i++)
		regfree(&((regex_t *)b->hints)[i]);
	free(b->hints);
}

/* The first hint that matches a path of @inode; NULL: none. */
static ek_status find_hint(const struct ek_build *b,
			   const struct ek_tree_inode *inode,
			   const struct ek_build_hint **hint,
			   struct ek_err *err)
{
	char *path;

	*hint = NULL;
	if (!b->n_hints)
		return EK_OK;
	path = ek_tree_path(inode->first);
	if (!path)
		return ek_fail(err, EK_NOMEM, "no memory for a path");
	for (uint32_t i = 0; i < b->n_hints && !*hint; i++)
		if (!regexec(&((const regex_t *)b->hints)[i],
			     path + (path[0] == '/'), 0, NULL, 0))
			*hint = &b->opt.hints[i];
	free(path);
	return EK_OK;
}

ek_status ek_codecs_plan(const struct ek_build *b,
			 const struct ek_tree_inode *inode,
			 struct ek_plan *plan, struct ek_err *err)
{
	const struct ek_build_hint *hint;

	plan->max_blocks = 0;
	if (!b->n_codecs)
		return EK_OK;
	plan->max_blocks = (uint16_t)(b->opt.max_pcluster / b->bs);
	EK_TRY(find_hint(b, inode, &hint, err));
	if (hint) {
		plan->codec = (uint8_t)hint->codec;
		plan->max_blocks = (uint16_t)(hint->max_pcluster / b->bs);
	}
	return EK_OK;
}

size_t ek_codecs_unit(const struct ek_build *b,
		      const struct ek_tree_inode *inode)
{
	const struct ek_plan *plan = inode->plan;

	if (!plan->max_blocks || !in_units(b, plan->codec))
		return 0;
	return unit_of(b, (uint32_t)plan->max_blocks * b->bs);
}

void ek_codecs_announce(struct ek_build *b, unsigned int codec, uint32_t most)
{
	const struct ek_codec_choice *c = &b->codecs[codec];
	uint32_t dict = ek_codec_dict_size(c->info, &c->params);
	struct ek_cfgs *cfgs = &b->cfgs;

	b->sb.incompat |= EK_INCOMPAT_LZ4_0PADDING;
	b->uses |= EK_USE_COMPRESSED;
	if (most > 1) {
		b->sb.incompat |= EK_INCOMPAT_BIG_PCLUSTER;
		b->uses |= EK_USE_BIG_PCLUSTER;
	}
	cfgs->algs |= (uint16_t)(1u << c->info->algorithm);
	switch (c->info->algorithm) {
	case EK_CODEC_LZ4:
		cfgs->lz4_max_distance = EK_LZ4_DISTANCE_MAX;
		cfgs->lz4_max_pclusterblks =
			(uint16_t)ek_max(cfgs->lz4_max_pclusterblks, most);
		return;
	case EK_CODEC_LZMA:
		cfgs->lzma_dict_size = ek_max(cfgs->lzma_dict_size, dict);
		break;
	case EK_CODEC_DEFLATE:
		/* libdeflate always has the largest. */
		cfgs->deflate_windowbits = (uint8_t)ek_max(
			cfgs->deflate_windowbits,
			dict ? __builtin_ctz(dict) : DEFLATE_WINDOW_MAX);
		break;
	default:
		cfgs->zstd_windowlog = (uint8_t)ek_max(cfgs->zstd_windowlog,
						       __builtin_ctz(dict));
	}
	/* LZ4 alone is known to a kernel without being told. */
	b->sb.incompat |= EK_INCOMPAT_COMPR_CFGS;
}
