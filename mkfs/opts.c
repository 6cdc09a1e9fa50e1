/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/opts.h"

#include "cli/message.h"
#include "mkfs/ids.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX    15
#define PCLUSTER_MAX (1u << 20)
#define WORKERS_MAX  1024

/* Words of the peer that are not supported here. */
static const char *const other_words[] = {
	"fragments", "all-fragments", "dedupe", "fragdedupe", NULL,
};

static bool among(const char *word, size_t n, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) == n && strncmp(*list, word, n) == 0)
			return true;
	return false;
}

static bool is_word(const char *word, size_t n, const char *what)
{
	return strlen(what) == n && strncmp(word, what, n) == 0;
}

static ek_status set_word(struct mkfs_options *o, const char *word, size_t n,
			  struct ek_err *err)
{
	bool on = *word != '^';
	size_t name_len;

	if (!on) {
		word++;
		n--;
	}
	name_len = strcspn(word, "=,");
	if (name_len > n)
		name_len = n;
	if (is_word(word, n, "noinline_data")) {
		o->build.no_inline_data = on;
	} else if (is_word(word, n, "inline_data")) {
		o->build.no_inline_data = !on;
	} else if (is_word(word, n, "nosbcrc")) {
		o->build.no_checksum = on;
	} else if (is_word(word, n, "force-inode-compact")) {
		o->build.inode_form = on ? EK_FORM_COMPACT : EK_FORM_AUTO;
	} else if (is_word(word, n, "force-inode-extended")) {
		o->build.inode_form = on ? EK_FORM_EXTENDED : EK_FORM_AUTO;
	} else if (is_word(word, n, "force-inode-blockmap")) {
		o->build.chunk_form = on ? EK_CHUNK_BLOCKMAP : EK_CHUNK_AUTO;
	} else if (is_word(word, n, "force-chunk-indexes")) {
		o->build.chunk_form = on ? EK_CHUNK_INDEXES : EK_CHUNK_AUTO;
	} else if (is_word(word, n, "legacy-compress")) {
		o->build.full_indexes = on;
	} else if (is_word(word, n, "ztailpacking")) {
		o->build.tailpacking = on;
		o->have_tailpacking = true;
	} else if (is_word(word, n, "xattr-name-filter")) {
		o->build.xattr_filter = on;
	} else if (is_word(word, n, "plain-xattr-prefixes")) {
		/* Where else: there are no special inodes for them. */
	} else if (is_word(word, n, "48bit")) {
		o->build.wide = on;
		o->have_wide = true;
	} else if (is_word(word, n, "dot-omitted")) {
		o->build.dot_omitted = on;
	} else if (!on && is_word(word, n, "dedupe")) {
		o->build.keep_equal_chunks = true;
	} else if (!among(word, name_len, other_words)) {
		return ek_fail(err, EK_INVALID, "no choice '%.*s'", (int)n,
			       word);
	} else if (on) {
		return ek_fail(err, EK_UNSUPPORTED,
			       "%.*s is not supported by this version", (int)n,
			       word);
	}
	/* What is not supported is off anyway. */
	return EK_OK;
}

static ek_status set_words(struct mkfs_options *o, const char *value,
			   struct ek_err *err)
{
	for (;;) {
		size_t n = strcspn(value, ",");

		CLI_TRY(set_word(o, value, n, err));
		/* A comma at the end comes of lists that scripts make. */
		if (!value[n] || !value[n + 1])
			return EK_OK;
		value += n + 1;
	}
}

static ek_status set_block(struct mkfs_options *o, const char *value,
			   struct ek_err *err)
{
	uint64_t v;

	CLI_TRY(cli_size(value, 512, 4096, &v, err));
	if (v & (v - 1))
		return ek_fail(err, EK_INVALID, "must be a power of two");
	o->build.block_size = (uint32_t)v;
	return EK_OK;
}

static ek_status set_pcluster(struct mkfs_options *o, const char *value,
			      struct ek_err *err)
{
	uint64_t v;

	CLI_TRY(cli_size(value, 512, PCLUSTER_MAX, &v, err));
	o->build.max_pcluster = (uint32_t)v;
	o->have_max_pcluster = true;
	return EK_OK;
}

static ek_status set_label(struct mkfs_options *o, const char *value,
			   struct ek_err *err)
{
	if (strlen(value) > LABEL_MAX)
		return ek_fail(err, EK_INVALID,
			       "%zu bytes: a label has %d at most",
			       strlen(value), LABEL_MAX);
	o->build.label = *value ? value : NULL;
	return EK_OK;
}

static ek_status set_id(const char *value, bool *force, uint32_t *id,
			struct ek_err *err)
{
	uint64_t v;

	CLI_TRY(cli_unsigned(value, 0, UINT32_MAX, &v, err));
	*force = true;
	*id = (uint32_t)v;
	return EK_OK;
}

static ek_status set_owner(struct mkfs_options *o, int id, const char *value,
			   struct ek_err *err)
{
	struct ek_build_options *b = &o->build;

	switch (id) {
	case OPT_FORCE_UID:
		return set_id(value, &b->force_uid, &b->uid, err);
	case OPT_FORCE_GID:
		return set_id(value, &b->force_gid, &b->gid, err);
	case OPT_UID_OFFSET:
		return cli_signed(value, -(int64_t)UINT32_MAX, UINT32_MAX,
				  &b->uid_offset, err);
	case OPT_GID_OFFSET:
		return cli_signed(value, -(int64_t)UINT32_MAX, UINT32_MAX,
				  &b->gid_offset, err);
	default: /* OPT_ALL_ROOT */
		b->force_uid = b->force_gid = true;
		b->uid = b->gid = 0;
		return EK_OK;
	}
}

/* Append a copy of @text; the arrays are short. */
static ek_status append(char ***list, size_t *n, const char *text,
			struct ek_err *err)
{
	char **at = reallocarray(*list, *n + 1, sizeof(*at));

	if (at)
		*list = at;
	if (!at || !(at[*n] = strdup(text)))
		return ek_fail(err, EK_NOMEM, "no memory");
	++*n;
	return EK_OK;
}

ek_status mkfs_exclude(struct mkfs_options *o, const char *path,
		       struct ek_err *err)
{
	ek_status s = append(&o->paths, &o->walk.n_exclude_paths, path, err);

	o->walk.exclude_paths = (const char *const *)o->paths;
	return s;
}

static ek_status set_regex(struct mkfs_options *o, const char *value,
			   struct ek_err *err)
{
	ek_status s;
	char why[128];
	regex_t re;
	int rc;

	/* Here too, so that a wrong one is told before anything begins. */
	rc = regcomp(&re, value, REG_EXTENDED | REG_NOSUB);
	if (rc) {
		regerror(rc, &re, why, sizeof(why));
		return ek_fail(err, EK_INVALID, "%s", why);
	}
	regfree(&re);
	s = append(&o->regexes, &o->walk.n_exclude_regexes, value, err);

	o->walk.exclude_regexes = (const char *const *)o->regexes;
	return s;
}

static ek_status set_number(struct mkfs_options *o, int id, const char *value,
			    struct ek_err *err)
{
	uint64_t v;
	int64_t share;

	switch (id) {
	case OPT_WORKERS:
		CLI_TRY(cli_unsigned(value, 1, WORKERS_MAX, &v, err));
		o->build.workers = (uint32_t)v;
		return EK_OK;
	case OPT_DEBUG:
		CLI_TRY(cli_unsigned(value, 0, CLI_LEVEL_MAX, &v, err));
		o->level = (int)v;
		return EK_OK;
	default: /* OPT_XATTR */
		CLI_TRY(cli_signed(value, INT32_MIN, INT32_MAX, &share, err));
		o->build.xattr_share = (int32_t)share;
		return EK_OK;
	}
}

/* Options without a value. */
static void set_flag(struct mkfs_options *o, int id)
{
	switch (id) {
	case OPT_ALL_TIME:
		o->time_scope = SCOPE_ALL;
		break;
	case OPT_MKFS_TIME:
		o->time_scope = SCOPE_SUPERBLOCK;
		break;
	case OPT_PRESERVE_MTIME:
	case OPT_IGNORE_MTIME:
		o->build.ignore_mtime = id == OPT_IGNORE_MTIME;
		break;
	case OPT_HARD_DEREFERENCE:
		o->walk.hard_dereference = true;
		break;
	case OPT_NO_SYNC:
		o->no_sync = true;
		break;
	case OPT_VERIFY:
		o->verify = true;
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	case OPT_JSON:
		o->json = true;
		break;
	}
}

static ek_status handle(void *ctx, const struct cli_option *option,
			const char *value, struct ek_err *err)
{
	struct mkfs_options *o = ctx;

	switch (option->id) {
	case OPT_ALGORITHM:
	case OPT_HINTS:
	case OPT_MAX_EXTENT:
	case OPT_COMPAT:
	case OPT_PROFILE:
	case OPT_ALIGN:
	case OPT_XATTR_PREFIX:
		return mkfs_codec_option(o, option->id, value, err);
	case OPT_PCLUSTER:
		return set_pcluster(o, value, err);
	case OPT_MANIFEST:
		o->manifest = value;
		return EK_OK;
	case OPT_ACCEPTED:
		return EK_OK;
	case OPT_BLOCK:
		return set_block(o, value, err);
	case OPT_EXTRA:
		return set_words(o, value, err);
	case OPT_LABEL:
		return set_label(o, value, err);
	case OPT_UUID:
		return cli_set_uuid(&o->build, value, err);
	case OPT_TIME:
		/* Go programs pass "-T 0" as one word, with its space. */
		return cli_time(value + strspn(value, " "), &o->time, err);
	case OPT_ALL_ROOT:
	case OPT_FORCE_UID:
	case OPT_FORCE_GID:
	case OPT_UID_OFFSET:
	case OPT_GID_OFFSET:
		return set_owner(o, option->id, value, err);
	case OPT_EXCLUDE_PATH:
		return mkfs_exclude(o, value, err);
	case OPT_EXCLUDE_REGEX:
		return set_regex(o, value, err);
	case OPT_XATTR:
	case OPT_WORKERS:
	case OPT_DEBUG:
		return set_number(o, option->id, value, err);
	case OPT_TAR:
	case OPT_RAW:
	case OPT_AUFS:
	case OPT_STRIP:
	case OPT_SORT:
	case OPT_CLEAN:
	case OPT_DEVICE:
	case OPT_CHUNK_SIZE:
	case OPT_BLOB:
	case OPT_LEAVES:
		return mkfs_source_option(o, option->id, value, err);
	default:
		set_flag(o, option->id);
		return EK_OK;
	}
}

/* -T, then SOURCE_DATE_EPOCH, and what they are for. */
static int finish_time(struct mkfs_options *o)
{
	if (cli_time_finish(&o->time) != EK_OK)
		return 1;
	if (!o->time.given) {
		if (o->time_scope != SCOPE_UNSET)
			cli_message(o->level, CLI_WARNING,
				    "--all-time and --mkfs-time mean nothing "
				    "without -T or SOURCE_DATE_EPOCH");
		return CLI_GO_ON;
	}
	o->build.fixed_time = o->time.at;
	if (o->time_scope == SCOPE_SUPERBLOCK)
		o->build.time_mode = EK_TIME_SUPERBLOCK;
	else if (o->time_scope == SCOPE_ALL || o->time.by_option)
		o->build.time_mode = EK_TIME_ALL;
	else
		o->build.time_mode = EK_TIME_CLAMP;
	return CLI_GO_ON;
}

/* What several options must agree on. */
static int finish(struct mkfs_options *o)
{
	uint32_t block = o->build.block_size ? o->build.block_size : 4096;
	struct ek_err err;
	int status = finish_time(o);

	if (status != CLI_GO_ON)
		return status;
	if (mkfs_finish_codecs(o, &err) != EK_OK)
		return cli_usage(&mkfs_program, "--profile: %s", err.text);
	if (o->have_max_pcluster && o->build.max_pcluster % block)
		return cli_usage(&mkfs_program,
				 "-C%u: not a multiple of the block size %u",
				 o->build.max_pcluster, block);
	if (o->quiet && o->level > CLI_ERROR)
		o->level = CLI_ERROR;
	if (o->build.max_extent && o->build.max_extent < block)
		return cli_usage(&mkfs_program,
				 "--max-extent-bytes=%u: less than the block "
				 "size %u",
				 o->build.max_extent, block);
	/* No extent is longer then, which is all that was asked for. */
	o->build.max_extent -= o->build.max_extent % block;
	if (ek_build_check_options(&o->build, &err) != EK_OK)
		return cli_usage(&mkfs_program, "%s", err.text);
	return CLI_GO_ON;
}

int mkfs_parse(struct mkfs_options *o, int argc, char **argv)
{
	int first = 0, status;

	*o = (struct mkfs_options){
		.build =
			{
				.size = sizeof(o->build),
				.xattr_share = EK_XATTR_SHARE_DEFAULT,
			},
		.walk = {.size = sizeof(o->walk)},
		.level = CLI_LEVEL_DEFAULT,
	};
	status = cli_parse(&mkfs_program, argc, argv, handle, o, &first);
	if (status != CLI_GO_ON)
		return status;
	status = mkfs_finish_sources(o, argc - first, argv + first);
	return status == CLI_GO_ON ? finish(o) : status;
}

void mkfs_options_free(struct mkfs_options *o)
{
	for (size_t i = 0; i < o->walk.n_exclude_paths; i++)
		free(o->paths[i]);
	for (size_t i = 0; i < o->walk.n_exclude_regexes; i++)
		free(o->regexes[i]);
	free(o->paths);
	free(o->regexes);
	free(o->leaves_name);
	free(o->devices);
	mkfs_codec_free(o);
}
