/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/opts.h"

#include <stdint.h>
#include <string.h>

#define BIT(x) (UINT64_C(1) << (x))

/* Of all that talk to a running daemon. */
#define CLIENT (BIT(OPT_SOCKET) | BIT(OPT_RUN_DIR) | BIT(OPT_CONFIG))

static const struct verb {
	const char *name;
	size_t least, most; /* operands */
	uint64_t options;
} verbs[EKD_VERBS] = {
	[EKD_VERB_RUN] = {"run", 0, 0,
			  BIT(OPT_CONFIG) | BIT(OPT_STATE_DIR) |
				  BIT(OPT_RUN_DIR) | BIT(OPT_UPGRADE)},
	[EKD_VERB_CONFIG] = {"config", 0, 0,
			     BIT(OPT_CONFIG) | BIT(OPT_STATE_DIR) |
				     BIT(OPT_RUN_DIR)},
	[EKD_VERB_DOORS] = {"doors", 0, 0, BIT(OPT_JSON)},
	[EKD_VERB_MOUNT] = {"mount", 1, 2,
			    CLIENT | BIT(OPT_INDEX) | BIT(OPT_FROM) |
				    BIT(OPT_INDEX_DIGEST) | BIT(OPT_PLATFORM) |
				    BIT(OPT_UNTRUSTED) | BIT(OPT_RW) |
				    BIT(OPT_PERSIST) | BIT(OPT_SUID) |
				    BIT(OPT_COMPLETE) | BIT(OPT_LOOP) |
				    BIT(OPT_TRACE) | BIT(OPT_JSON) |
				    BIT(OPT_QUIET)},
	[EKD_VERB_UMOUNT] = {"umount", 1, 1,
			     CLIENT | BIT(OPT_LAZY) | BIT(OPT_QUIET)},
	[EKD_VERB_STATUS] = {"status", 0, 0, CLIENT | BIT(OPT_JSON)},
	[EKD_VERB_IMAGES] = {"images", 0, 0, CLIENT | BIT(OPT_JSON)},
	[EKD_VERB_BLOBS] = {"blobs", 0, 0, CLIENT | BIT(OPT_JSON)},
	[EKD_VERB_WAITS] = {"waits", 0, 0,
			    CLIENT | BIT(OPT_JSON) | BIT(OPT_MIN)},
	[EKD_VERB_PREFETCH] = {"prefetch", 1, SIZE_MAX,
			       CLIENT | BIT(OPT_TRACE) | BIT(OPT_WAIT) |
				       BIT(OPT_JSON) | BIT(OPT_QUIET)},
	[EKD_VERB_COMPLETE] = {"complete", 1, 1,
			       CLIENT | BIT(OPT_OFF) | BIT(OPT_WAIT) |
				       BIT(OPT_QUIET)},
	[EKD_VERB_TRACE] = {"trace", 2, 2,
			    CLIENT | BIT(OPT_STOP) | BIT(OPT_OUTPUT) |
				    BIT(OPT_QUIET)},
	[EKD_VERB_GC] = {"gc", 0, 0, CLIENT | BIT(OPT_JSON)},
	[EKD_VERB_VERIFY] = {"verify", 0, 0, CLIENT | BIT(OPT_JSON)},
	[EKD_VERB_STOP] = {"stop", 0, 0,
			   CLIENT | BIT(OPT_UMOUNT) | BIT(OPT_COMPLETE) |
				   BIT(OPT_KEEP) | BIT(OPT_QUIET)},
};

static ek_status handle(void *ctx, const struct cli_option *option,
			const char *value, struct ek_err *err)
{
	struct ekd_options *o = ctx;

	o->has[option->id] = true;
	o->text[option->id] = value;
	if (value && !*value)
		return ek_fail(err, EK_INVALID, "it is empty");
	if (option->id == OPT_UNTRUSTED && strcmp(value, "refuse") != 0 &&
	    strcmp(value, "stream-first") != 0)
		return ek_fail(err, EK_INVALID,
			       "neither refuse nor stream-first");
	return EK_OK;
}

static const char *option_name(int id)
{
	for (size_t i = 0; i < ekd_program.n_options; i++)
		if (ekd_program.options[i].id == id)
			return ekd_program.options[i].name;
	return "";
}

static int finish_mount(const struct ekd_options *o)
{
	size_t want = o->has[OPT_INDEX] ? 1 : 2;

	if (o->n_operands != want)
		return cli_usage(&ekd_program,
				 want == 1 ? "mount --index: needs DIR alone"
					   : "mount: needs IMAGE and DIR, or "
					     "--index and DIR");
	if (!o->has[OPT_INDEX] &&
	    (o->has[OPT_FROM] || o->has[OPT_INDEX_DIGEST]))
		return cli_usage(&ekd_program,
				 "--from and --index-digest need --index");
	if (o->has[OPT_INDEX] &&
	    (o->has[OPT_PLATFORM] || o->has[OPT_UNTRUSTED]))
		return cli_usage(&ekd_program,
				 "--platform and --untrusted-index are for an "
				 "IMAGE of a registry");
	return CLI_GO_ON;
}

static int finish(struct ekd_options *o)
{
	const struct verb *v = &verbs[o->verb];

	for (int i = 0; i < OPT_COUNT; i++)
		if (o->has[i] && !(v->options & BIT(i)))
			return cli_usage(&ekd_program,
					 "%s takes no option --%s", v->name,
					 option_name(i));
	if (o->n_operands < v->least || o->n_operands > v->most)
		return cli_usage(&ekd_program, "%s: too %s operands (%zu)",
				 v->name,
				 o->n_operands < v->least ? "few" : "many",
				 o->n_operands);
	if (o->verb == EKD_VERB_MOUNT)
		return finish_mount(o);
	if (o->verb == EKD_VERB_TRACE &&
	    strcmp(o->operands[0], "record") != 0 &&
	    strcmp(o->operands[0], "show") != 0)
		return cli_usage(&ekd_program, "trace: record or show");
	if (o->verb == EKD_VERB_STOP &&
	    o->has[OPT_UMOUNT] + o->has[OPT_COMPLETE] + o->has[OPT_KEEP] > 1)
		return cli_usage(&ekd_program,
				 "stop: one of --umount, --complete, --keep");
	return CLI_GO_ON;
}

int ekd_parse(struct ekd_options *o, int argc, char **argv)
{
	int first, status;

	*o = (struct ekd_options){0};
	status = cli_parse(&ekd_program, argc, argv, handle, o, &first);
	if (status != CLI_GO_ON)
		return status;
	if (first == argc)
		return cli_usage(&ekd_program, "which verb?");
	for (int i = 0; i < EKD_VERBS; i++)
		if (strcmp(argv[first], verbs[i].name) == 0) {
			o->verb = (enum ekd_verb)i;
			o->operands = argv + first + 1;
			o->n_operands = (size_t)(argc - first - 1);
			return finish(o);
		}
	return cli_usage(&ekd_program, "'%s' is no verb", argv[first]);
}
