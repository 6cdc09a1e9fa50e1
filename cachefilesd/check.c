/* SPDX-License-Identifier: Apache-2.0 */

/* What this host, and a worker, would make of it: verbs config and doors. */

#include "base/try.h"
#include "cachefilesd/kernel/door.h"
#include "cachefilesd/setup.h"
#include "cachefilesd/verbs.h"
#include "cachefilesd/worker/service.h"
#include "cli/json.h"
#include "cli/message.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <unistd.h>

/* Root may read what the worker may not: go on as its user, for good. */
static ek_status become_worker(const struct ekd_config *config,
			       struct ek_err *err)
{
	if (geteuid() != 0)
		return EK_OK;
	if (setgroups(0, NULL) != 0 ||
	    setresgid(config->gid, config->gid, config->gid) != 0 ||
	    setresuid(config->uid, config->uid, config->uid) != 0)
		return ek_fail_sys(err, errno, "cannot become user %u",
				   (unsigned)config->uid);
	return EK_OK;
}

int ekd_config_verb(const struct ekd_options *o)
{
	struct ekd_config config;
	const char *text;
	struct ek_err err;
	ek_status s;
	size_t n;

	s = ekd_load_config(o, &config, &err);
	if (s == EK_OK) {
		s = become_worker(&config, &err);
		if (s == EK_OK)
			s = ekd_service_check(&config, &err);
		if (s != EK_OK)
			ekd_config_release(&config);
	}
	if (s != EK_OK) {
		cli_error("%s", err.text);
		return EKD_FAILED;
	}
	text = ekd_config_text(&config, &n);
	fwrite(text, 1, n, stdout);
	if (n && text[n - 1] != '\n')
		putchar('\n');
	ekd_config_release(&config);
	return cli_finish() ? EKD_FAILED : EKD_OK;
}

int ekd_doors(const struct ekd_options *o)
{
	struct ekd_door_report doors[EKD_DOORS] = {0};
	struct cli_json j;
	bool any = false;

	ekd_doors_probe(doors);
	if (o->has[OPT_JSON]) {
		cli_json_start(&j, stdout);
		cli_json_open(&j, NULL, '{');
		cli_json_open(&j, "doors", '[');
	}
	for (size_t i = 0; i < EKD_DOORS && doors[i].name; i++) {
		const struct ekd_door_report *d = &doors[i];

		any = any || (d->works && d->served);
		if (!o->has[OPT_JSON]) {
			printf("%-12s %-10s %s\n", d->name,
			       d->works && d->served ? "works"
			       : d->works	     ? "not served"
						     : "no",
			       d->why);
			continue;
		}
		cli_json_open(&j, NULL, '{');
		cli_json_text(&j, "name", d->name);
		cli_json_bool(&j, "works", d->works);
		cli_json_bool(&j, "served", d->served);
		cli_json_text(&j, "why", d->why);
		cli_json_close(&j);
	}
	if (o->has[OPT_JSON]) {
		cli_json_close(&j);
		cli_json_close(&j);
	}
	return cli_finish() || !any ? EKD_FAILED : EKD_OK;
}
