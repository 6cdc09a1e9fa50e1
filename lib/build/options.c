/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include <erofskit/build.h>

#include "build/options.h"

#include "base/try.h"

#include <inttypes.h>
#include <string.h>

#define WORKERS_MAX 1024u
/* The kernel wants no more LZ4 blocks a pcluster, whatever their size. */
#define PCLUSTER_BLOCKS_MAX 256u
#define PCLUSTER_BYTES_MAX  (1u << 20)
#define LABEL_MAX	    15u

static ek_status check_codec(const struct ek_build_options *o,
			     struct ek_err *err)
{
	const struct ek_codec_info *info;

	if (!o->codec)
		return EK_OK;
	info = ek_codec_find(o->codec);
	if (!info)
		return ek_fail(err, EK_INVALID,
			       "compression \"%s\" is not known", o->codec);
	if (o->level == EK_LEVEL_DEFAULT)
		return EK_OK;
	if (info->min_level > info->max_level)
		return ek_fail(err, EK_INVALID, "%s takes no level",
			       info->name);
	if (o->level < info->min_level || o->level > info->max_level)
		return ek_fail(err, EK_INVALID,
			       "level %d of %s is not %d to %d", o->level,
			       info->name, info->min_level, info->max_level);
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
	if (o->max_pcluster % o->block_size)
		return ek_fail(err, EK_INVALID,
			       "pcluster size %u is not a multiple of the "
			       "block size %u",
			       o->max_pcluster, o->block_size);
	if (o->max_pcluster > PCLUSTER_BYTES_MAX ||
	    o->max_pcluster / o->block_size > PCLUSTER_BLOCKS_MAX)
		return ek_fail(err, EK_INVALID,
			       "pcluster size %u is more than %u blocks of %u "
			       "bytes",
			       o->max_pcluster, PCLUSTER_BLOCKS_MAX,
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
	EK_TRY(check_codec(to, err));
	EK_TRY(check_chunks(to, err));
	return check_rest(to, err);
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

ek_status ek_build_encoder(const struct ek_build_options *o,
			   struct ek_encoder **enc, struct ek_err *err)
{
	const struct ek_codec_info *info = ek_codec_find(o->codec);
	struct ek_encoder_params params = {
		.level = o->level,
		.max_out = o->max_pcluster,
	};

	EK_BUG_ON(!info);
	if (o->level == EK_LEVEL_DEFAULT)
		params.level = info->default_level;
	return ek_encoder_new(info, &params, enc, err);
}

unsigned int ek_build_algorithm(const struct ek_build_options *o)
{
	const struct ek_codec_info *info = ek_codec_find(o->codec);

	EK_BUG_ON(!info);
	return (unsigned int)info->algorithm;
}

void ek_build_encoder_free(struct ek_encoder *enc)
{
	ek_encoder_free(enc);
}
