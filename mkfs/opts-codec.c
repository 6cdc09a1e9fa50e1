/* SPDX-License-Identifier: Apache-2.0 */
#include "mkfs/opts.h"

#include "cli/message.h"
#include "mkfs/ids.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define EXTENT_MAX (4u << 20)
#define ALIGN_MAX  (1u << 20)
#define HINTS_MAX  65536u

static ek_status set_codecs(struct mkfs_options *o, const char *value,
			    struct ek_err *err)
{
	uint32_t at = 0;

	o->build.n_codecs = 0;
	o->build.codecs = o->codecs;
	for (;;) {
		size_t n = strcspn(value, ":");

		if (at == MKFS_CODECS_MAX)
			return ek_fail(err, EK_INVALID,
				       "more than %d algorithms",
				       MKFS_CODECS_MAX);
		CLI_TRY(cli_codec(value, n, &o->parsed[at], err));
		o->codecs[at] = o->parsed[at].codec;
		o->build.n_codecs = ++at;
		if (!value[n])
			break;
		value += n + 1;
	}
	o->build.codec = o->codecs[0].name;
	return EK_OK;
}

/* BYTES [INDEX] REGEX */
static ek_status add_hint(struct mkfs_options *o, char *line,
			  struct ek_err *err)
{
	struct ek_build_hint hint = {0}, *at;
	char *save, *rest, *word = strtok_r(line, " \t", &save);
	uint64_t v;
	regex_t re;

	CLI_TRY(cli_size(word, 0, UINT32_MAX, &v, err));
	hint.max_pcluster = (uint32_t)v;
	rest = strtok_r(NULL, "", &save);
	rest += rest ? strspn(rest, " \t") : 0;
	word = rest;
	if (word && (v = strspn(word, "0123456789")) &&
	    (word[v] == ' ' || word[v] == '\t')) {
		word[v] = 0;
		rest = word + v + 1;
		rest += strspn(rest, " \t");
		CLI_TRY(cli_unsigned(word, 0, MKFS_CODECS_MAX - 1, &v, err));
		hint.codec = (uint32_t)v;
	}
	if (!rest || !*rest)
		return ek_fail(err, EK_INVALID, "no pattern");
	if (regcomp(&re, rest, REG_EXTENDED | REG_NOSUB))
		return ek_fail(err, EK_INVALID, "no regular expression: %s",
			       rest);
	regfree(&re);
	if (o->build.n_hints == HINTS_MAX)
		return ek_fail(err, EK_LIMIT, "more than %u lines", HINTS_MAX);
	at = reallocarray(o->hints, o->build.n_hints + 1, sizeof(*at));
	if (!at)
		return ek_fail(err, EK_NOMEM, "no memory");
	o->hints = at;
	o->build.hints = at;
	hint.regex = strdup(rest);
	if (!hint.regex)
		return ek_fail(err, EK_NOMEM, "no memory");
	at[o->build.n_hints++] = hint;
	return EK_OK;
}

static ek_status read_hints(struct mkfs_options *o, const char *name,
			    struct ek_err *err)
{
	FILE *file = fopen(name, "re");
	ek_status s = EK_OK;
	char *line = NULL;
	unsigned n = 0;
	size_t cap = 0;

	if (!file)
		return ek_fail_sys(err, errno, "%s", name);
	while (s == EK_OK && getline(&line, &cap, file) >= 0) {
		line[strcspn(line, "\r\n")] = 0;
		n++;
		if (line[strspn(line, " \t")] && line[0] != '#')
			s = add_hint(o, line, err);
	}
	if (s != EK_OK) {
		struct ek_err why = *err;

		ek_fail(err, s, "line %u: %s", n, why.text);
	} else if (ferror(file)) {
		s = ek_fail_sys(err, errno, "%s", name);
	}
	free(line);
	fclose(file);
	return s;
}

static ek_status add_prefix(struct mkfs_options *o, const char *value,
			    struct ek_err *err)
{
	struct ek_build_options only = {.size = sizeof(only)};
	const char **at = reallocarray(
		o->prefixes, o->build.n_xattr_prefixes + 1, sizeof(*at));

	if (!at)
		return ek_fail(err, EK_NOMEM, "no memory");
	o->prefixes = at;
	o->build.xattr_prefixes = at;
	at[o->build.n_xattr_prefixes++] = value;
	only.xattr_prefixes = at;
	only.n_xattr_prefixes = o->build.n_xattr_prefixes;
	return ek_build_check_options(&only, err);
}

/*
 * Sets of choices, version 1, not to change without a new name. What the user
 * says himself stays.
 */
static const struct {
	const char *name, *codecs;
	uint32_t max_pcluster;
	bool tailpacking;
} profiles[] = {
	{"speed", "lz4", 65536, false},
	{"balanced", "lz4hc,9", 65536, true},
	{"small", "lzma,6", 1u << 20, true},
};

static ek_status set_profile(struct mkfs_options *o, const char *value,
			     struct ek_err *err)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		if (strcmp(profiles[i].name, value))
			continue;
		o->profile = profiles[i].name;
		return EK_OK;
	}
	return ek_fail(err, EK_INVALID, "neither speed nor balanced nor small");
}

ek_status mkfs_finish_codecs(struct mkfs_options *o, struct ek_err *err)
{
	unsigned kernel = o->build.kernel_major * 256u + o->build.kernel_minor;
	size_t i = 0;

	/* The faster way, where the kernel is known to have it. */
	if (!o->have_wide && kernel >= 6 * 256 + 15)
		o->build.wide = true;
	if (!o->profile)
		return EK_OK;
	while (strcmp(profiles[i].name, o->profile))
		i++;
	if (!o->build.n_codecs)
		CLI_TRY(set_codecs(o, profiles[i].codecs, err));
	if (!o->have_max_pcluster) {
		uint32_t block =
			o->build.block_size ? o->build.block_size : 4096;
		/* LZ4 has 256 blocks at most, which may be less. */
		o->build.max_pcluster = profiles[i].max_pcluster;
		if (o->build.max_pcluster > 256 * block)
			o->build.max_pcluster = 256 * block;
	}
	if (!o->have_tailpacking)
		o->build.tailpacking = profiles[i].tailpacking;
	return EK_OK;
}

ek_status mkfs_codec_option(struct mkfs_options *o, int id, const char *value,
			    struct ek_err *err)
{
	uint64_t v;

	switch (id) {
	case OPT_ALGORITHM:
		return set_codecs(o, value, err);
	case OPT_HINTS:
		return read_hints(o, value, err);
	case OPT_COMPAT:
		return ek_kernel_version(value, &o->build.kernel_major,
					 &o->build.kernel_minor, err);
	case OPT_PROFILE:
		return set_profile(o, value, err);
	case OPT_XATTR_PREFIX:
		return add_prefix(o, value, err);
	case OPT_ALIGN:
		CLI_TRY(cli_unsigned(value, 0, ALIGN_MAX, &v, err));
		o->build.data_align = (uint32_t)v;
		return EK_OK;
	default: /* OPT_MAX_EXTENT */
		CLI_TRY(cli_size(value, 512, UINT32_MAX, &v, err));
		/* More is no wish for extents that long. */
		o->build.max_extent = v < EXTENT_MAX ? (uint32_t)v : EXTENT_MAX;
		return EK_OK;
	}
}

void mkfs_codec_free(struct mkfs_options *o)
{
	for (uint32_t i = 0; i < o->build.n_hints; i++)
		free((char *)o->hints[i].regex);
	free(o->hints);
	free(o->prefixes);
}
