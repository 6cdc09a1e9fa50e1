/* SPDX-License-Identifier: Apache-2.0 */
#include "tarfs/opts.h"

#include "cli/message.h"
#include "tarfs/ids.h"

#include <string.h>

#define PCLUSTER_MAX (1u << 20)
#define WORKERS_MAX  1024

#define BIT(x) (1u << (x))

static const struct verb {
	const char *name;
	enum tarfs_verb verb;
	size_t least, most; /* operands */
	uint32_t options;
} verbs[] = {
	{"convert", VERB_CONVERT, 1, 1,
	 BIT(OPT_OUTPUT) | BIT(OPT_FORMAT) | BIT(OPT_IMAGE) |
		 BIT(OPT_PLATFORM) | BIT(OPT_CHECK) | BIT(OPT_LEAVES) |
		 BIT(OPT_SHARE) | BIT(OPT_FORCE) | BIT(OPT_ALGORITHM) |
		 BIT(OPT_PCLUSTER) | BIT(OPT_UUID) | BIT(OPT_TIME) |
		 BIT(OPT_WORKERS) | BIT(OPT_NO_SYNC) | BIT(OPT_QUIET) |
		 BIT(OPT_JSON)},
	{"inspect", VERB_INSPECT, 1, 1, BIT(OPT_JSON)},
	{"mount", VERB_MOUNT, 2, 2,
	 BIT(OPT_RW) | BIT(OPT_UPPER) | BIT(OPT_QUIET)},
	{"umount", VERB_UMOUNT, 1, 1, BIT(OPT_QUIET)},
	{"merge", VERB_MERGE, 1, SIZE_MAX,
	 BIT(OPT_OUTPUT) | BIT(OPT_UUID) | BIT(OPT_TIME) | BIT(OPT_WORKERS) |
		 BIT(OPT_NO_SYNC) | BIT(OPT_QUIET) | BIT(OPT_JSON)},
	{"verify", VERB_VERIFY, 1, 1,
	 BIT(OPT_WORKERS) | BIT(OPT_QUIET) | BIT(OPT_JSON)},
};

static ek_status set_codec(struct tarfs_options *o, const char *value,
			   struct ek_err *err)
{
	CLI_TRY(cli_codec(value, strlen(value), &o->codec, err));
	o->build.codec = o->codec.name;
	o->build.codecs = &o->codec.codec;
	o->build.n_codecs = 1;
	return EK_OK;
}

static ek_status set_format(struct tarfs_options *o, const char *value,
			    struct ek_err *err)
{
	if (strcmp(value, "index") != 0 && strcmp(value, "erofs") != 0)
		return ek_fail(err, EK_INVALID, "neither index nor erofs");
	o->native = *value == 'e';
	return EK_OK;
}

static ek_status set_leaves(struct tarfs_options *o, const char *value,
			    struct ek_err *err)
{
	if (value && strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		return ek_fail(err, EK_INVALID, "neither 0 nor 1");
	o->leaves = value && *value == '0' ? LEAVES_NONE : LEAVES_ALL;
	return EK_OK;
}

bool tarfs_leaves(const struct tarfs_options *o)
{
	return !o->native && o->leaves != LEAVES_NONE;
}

static ek_status set_number(struct tarfs_options *o, int id, const char *value,
			    struct ek_err *err)
{
	uint64_t v;

	if (id == OPT_WORKERS) {
		CLI_TRY(cli_unsigned(value, 1, WORKERS_MAX, &v, err));
		o->build.workers = (uint32_t)v;
		return EK_OK;
	}
	CLI_TRY(cli_size(value, 512, PCLUSTER_MAX, &v, err));
	if (v % 4096)
		return ek_fail(err, EK_INVALID,
			       "not a multiple of the block size 4096");
	o->build.max_pcluster = (uint32_t)v;
	return EK_OK;
}

static void set_flag(struct tarfs_options *o, int id)
{
	switch (id) {
	case OPT_CHECK:
		o->check_digests = true;
		break;
	case OPT_FORCE:
		o->force = true;
		break;
	case OPT_RW:
		o->rw = true;
		break;
	case OPT_NO_SYNC:
		o->no_sync = true;
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
	struct tarfs_options *o = ctx;

	o->given[option->id] = option->name;
	switch (option->id) {
	case OPT_OUTPUT:
		o->output = value;
		break;
	case OPT_IMAGE:
		o->image = value;
		break;
	case OPT_PLATFORM:
		o->platform = value;
		break;
	case OPT_UPPER:
		o->upper = value;
		break;
	case OPT_SHARE:
		o->share = value;
		break;
	case OPT_FORMAT:
		return set_format(o, value, err);
	case OPT_LEAVES:
		return set_leaves(o, value, err);
	case OPT_ALGORITHM:
		o->given[option->id] = "z";
		return set_codec(o, value, err);
	case OPT_PCLUSTER:
		o->given[option->id] = "C";
		return set_number(o, option->id, value, err);
	case OPT_WORKERS:
		return set_number(o, option->id, value, err);
	case OPT_UUID:
		o->given[option->id] = "U";
		return cli_set_uuid(&o->build, value, err);
	case OPT_TIME:
		o->given[option->id] = "T";
		return cli_time(value, &o->time, err);
	default:
		set_flag(o, option->id);
	}
	return EK_OK;
}

/* -T, then SOURCE_DATE_EPOCH. */
static int finish_time(struct tarfs_options *o)
{
	if (cli_time_finish(&o->time) != EK_OK)
		return TARFS_USAGE;
	if (o->time.given) {
		o->build.fixed_time = o->time.at;
		o->build.time_mode =
			o->time.by_option ? EK_TIME_ALL : EK_TIME_CLAMP;
	}
	return CLI_GO_ON;
}

static int finish_convert(const struct tarfs_options *o)
{
	if (!o->output)
		return cli_usage(&tarfs_program, "-o is missing");
	if (o->verb == VERB_CONVERT && !o->native &&
	    (o->build.codec || o->build.max_pcluster))
		return cli_usage(&tarfs_program,
				 "-z and -C need --format=erofs: an index has "
				 "no data");
	if (o->share && (o->native || o->leaves == LEAVES_NONE))
		return cli_usage(&tarfs_program,
				 "--share goes with neither --format=erofs nor "
				 "--leaf-digests=0");
	if (o->native && o->leaves == LEAVES_ALL)
		return cli_usage(&tarfs_program,
				 "--leaf-digests: an OCI layout has no place "
				 "for them");
	return CLI_GO_ON;
}

static int finish(struct tarfs_options *o, const struct verb *verb)
{
	for (int i = 0; i < OPT_COUNT; i++)
		if (o->given[i] && !(verb->options & BIT(i)))
			return cli_usage(&tarfs_program,
					 "%s takes no option %s%s", verb->name,
					 o->given[i][1] ? "--" : "-",
					 o->given[i]);
	if (o->n_operands < verb->least || o->n_operands > verb->most)
		return cli_usage(&tarfs_program,
				 "%s: %zu operands are not as many as it takes",
				 verb->name, o->n_operands);
	if (o->verb == VERB_MOUNT && o->rw != (o->upper != NULL))
		return cli_usage(&tarfs_program,
				 "--rw and --upper need each other");
	if (o->verb == VERB_CONVERT || o->verb == VERB_MERGE) {
		int status = finish_convert(o);

		if (status != CLI_GO_ON)
			return status;
	}
	return finish_time(o);
}

int tarfs_parse(struct tarfs_options *o, int argc, char **argv)
{
	int first = 0, status;

	*o = (struct tarfs_options){
		.build = {.size = sizeof(o->build),
			  .level = EK_LEVEL_DEFAULT,
			  .xattr_share = EK_XATTR_SHARE_DEFAULT},
	};
	status = cli_parse(&tarfs_program, argc, argv, handle, o, &first);
	if (status != CLI_GO_ON)
		return status;
	if (first >= argc)
		return cli_usage(&tarfs_program, "a verb is missing");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[first], verbs[i].name) != 0)
			continue;
		o->verb = verbs[i].verb;
		o->operands = argv + first + 1;
		o->n_operands = (size_t)(argc - first - 1);
		return finish(o, &verbs[i]);
	}
	return cli_usage(&tarfs_program, "no verb '%s'", argv[first]);
}
