/* SPDX-License-Identifier: Apache-2.0 */
#include <erofskit/build.h>

#include "build/compress.h"
#include "build/options.h"

#include "base/try.h"

#include <inttypes.h>
#include <string.h>

#define WORKERS_MAX 1024u
/* The kernel wants no more LZ4 blocks a pcluster, whatever their size. */
#define LZ4_BLOCKS_MAX	   256u
#define PCLUSTER_BYTES_MAX (1u << 20)
#define ALIGN_MAX	   (1u << 20)
#define LABEL_MAX	   15u

static ek_status check_pcluster(const struct ek_build_options *o, uint32_t size,
				bool lz4, struct ek_err *err)
{
	/* A record has the bytes of its extent: blocks do not limit it. */
	uint32_t most = lz4	  ? LZ4_BLOCKS_MAX
			: o->wide ? PCLUSTER_BYTES_MAX / o->block_size
				  : EK_PIECE_BLOCKS_MAX;

	if (size % o->block_size)
		return ek_fail(err, EK_INVALID,
			       "pcluster size %u is not a multiple of the "
			       "block size %u",
			       size, o->block_size);
	if (size > PCLUSTER_BYTES_MAX || size / o->block_size > most)
		return ek_fail(err, EK_INVALID,
			       "pcluster size %u is more than %u blocks of %u "
			       "bytes",
			       size,
			       (unsigned)ek_min(most, PCLUSTER_BYTES_MAX /
							      o->block_size),
			       o->block_size);
	return EK_OK;
}

static ek_status check_codec(const struct ek_build_options *o,
			     const struct ek_build_codec *c, bool *lz4,
			     struct ek_err *err)
{
	struct ek_codec_choice choice;

	EK_TRY(ek_codec_choose(c, o->max_pcluster, &choice, err));
	*lz4 = choice.info->algorithm == EK_CODEC_LZ4;
	return EK_OK;
}

static ek_status check_codecs(const struct ek_build_options *o,
			      struct ek_err *err)
{
	const struct ek_build_codec single = {
		o->codec,	  o->level,	    EK_LEVEL_DEFAULT,
		EK_LEVEL_DEFAULT, EK_LEVEL_DEFAULT, 0};
	bool lz4[EK_CODECS_MAX] = {false};

	if (o->n_codecs > EK_CODECS_MAX)
		return ek_fail(err, EK_INVALID,
			       "%u algorithms are more than %u", o->n_codecs,
			       EK_CODECS_MAX);
	if (o->n_codecs == 0 && o->codec)
		EK_TRY(check_codec(o, &single, &lz4[0], err));
	for (uint32_t i = 0; i < o->n_codecs; i++)
		EK_TRY(check_codec(o, &o->codecs[i], &lz4[i], err));
	EK_TRY(check_pcluster(o, o->max_pcluster, lz4[0], err));
	for (uint32_t i = 0; i < o->n_hints; i++) {
		const struct ek_build_hint *h = &o->hints[i];

		if (h->codec >= ek_max(o->n_codecs, o->codec ? 1 : 0))
			return ek_fail(err, EK_INVALID,
				       "hint %u: there is no algorithm %u",
				       i + 1, h->codec);
		EK_TRY(check_pcluster(o, h->max_pcluster, lz4[h->codec], err));
	}
	if (o->max_extent % o->block_size)
		return ek_fail(err, EK_INVALID,
			       "longest extent %u is not a multiple of the "
			       "block size %u",
			       o->max_extent, o->block_size);
	return EK_OK;
}

static ek_status check_sizes(const struct ek_build_options *o,
			     struct ek_err *err)
{
	if (!ek_is_pow2(o->block_size) || o->block_size < 512 ||
	    o->block_size > 4096)
		return ek_fail(err, EK_INVALID,
			       "block size %u is not a power of two from 512 "
			       "to 4096",
			       o->block_size);
	return EK_OK;
}

static ek_status check_chunks(const struct ek_build_options *o,
			      struct ek_err *err)
{
	uint64_t size = o->chunk_size;

	if ((unsigned int)o->chunk_form > EK_CHUNK_INDEXES)
		return ek_fail(err, EK_INVALID, "chunk form %d is not known",
			       (int)o->chunk_form);
	if (size && ((size & (size - 1)) || size < o->block_size))
		return ek_fail(err, EK_INVALID,
			       "chunk size %" PRIu64 " is not a power of two "
			       "from the block size %u on",
			       size, o->block_size);
	if (size && o->codec)
		return ek_fail(err, EK_INVALID,
			       "chunks cannot be compressed: a chunk size and "
			       "%s exclude each other",
			       o->codec);
	if (o->blob && !size)
		return ek_fail(err, EK_INVALID,
			       "a device for chunks needs a chunk size");
	if (o->index && (size || o->no_data))
		return ek_fail(err, EK_INVALID,
			       "an index has the chunks of its source: no "
			       "chunk size, and data");
	if (o->chunk_form == EK_CHUNK_BLOCKMAP && (o->index || o->blob))
		return ek_fail(err, EK_INVALID,
			       "a block map reaches no other device");
	if (o->manifest && (o->index || o->no_data))
		return ek_fail(err, EK_INVALID,
			       "a manifest needs the data to be read");
	return EK_OK;
}

static ek_status check_rest(const struct ek_build_options *o,
			    struct ek_err *err)
{
	if (o->label && strlen(o->label) > LABEL_MAX)
		return ek_fail(err, EK_INVALID,
			       "label \"%s\" is longer than %u bytes", o->label,
			       LABEL_MAX);
	if (o->workers > WORKERS_MAX)
		return ek_fail(err, EK_INVALID, "%u workers are more than %u",
			       o->workers, WORKERS_MAX);
	if (o->data_align > ALIGN_MAX)
		return ek_fail(err, EK_INVALID,
			       "an alignment of %u blocks is more than %u",
			       o->data_align, ALIGN_MAX);
	if ((unsigned int)o->uuid_mode > EK_UUID_RANDOM)
		return ek_fail(err, EK_INVALID, "UUID mode %d is not known",
			       (int)o->uuid_mode);
	if ((unsigned int)o->time_mode > EK_TIME_CLAMP)
		return ek_fail(err, EK_INVALID, "time mode %d is not known",
			       (int)o->time_mode);
	if ((unsigned int)o->inode_form > EK_FORM_EXTENDED)
		return ek_fail(err, EK_INVALID, "inode form %d is not known",
			       (int)o->inode_form);
	return EK_OK;
}

ek_status ek_build_options_load(const struct ek_build_options *from,
				struct ek_build_options *to, struct ek_err *err)
{
	memset(to, 0, sizeof(*to));
	if (!from || from->size < sizeof(size_t) || from->size > sizeof(*to))
		return ek_fail(err, EK_INVALID,
			       "the size of the build options is wrong");
	memcpy(to, from, from->size);
	to->size = sizeof(*to);
	if (to->block_size == 0)
		to->block_size = to->index ? 512 : 4096;
	if (to->max_pcluster == 0)
		to->max_pcluster = to->block_size;
	EK_TRY(check_sizes(to, err));
	if (to->n_codecs)
		to->codec = to->codecs[0].name;
	EK_TRY(check_codecs(to, err));
	EK_TRY(check_chunks(to, err));
	EK_TRY(check_rest(to, err));
	EK_TRY(ek_xattr_check_longs(to, err));
	return ek_compat_options(to, err);
}

ek_status ek_build_check_options(const struct ek_build_options *options,
				 struct ek_err *err)
{
	struct ek_build_options loaded;

	return ek_build_options_load(options, &loaded, err);
}

const char *ek_build_codec(size_t i, const char **name)
{
	size_t n;
	const struct ek_codec_info *list = ek_codec_list(&n);

	if (i >= n)
		return NULL;
	if (name)
		*name = list[i].name;
	return list[i].version();
}
