/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/setup.h"

#include "base/try.h"
#include "cachefilesd/config/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ek_status ekd_absolute(const char *path, char **whole, struct ek_err *err)
{
	char *here = *path == '/' ? strdup("") : getcwd(NULL, 0);
	int n = -1;

	if (here)
		n = asprintf(whole, "%s%s%s", here, *here ? "/" : "", path);
	free(here);
	if (n >= 0)
		return EK_OK;
	*whole = NULL;
	return ek_fail(err, EK_NOMEM, "no memory for '%s'", path);
}

static ek_status set_path(struct json_object *root, const char *key,
			  const char *path, struct ek_err *err)
{
	struct json_object *text;
	char *whole;

	EK_TRY(ekd_absolute(path, &whole, err));
	text = json_object_new_string(whole);
	free(whole);
	if (!text || json_object_object_add(root, key, text) < 0)
		return ek_fail(err, EK_NOMEM, "no memory for '%s'", path);
	return EK_OK;
}

static ek_status change(const struct ekd_options *o,
			const struct ekd_config *from,
			struct ekd_config *config, struct ek_err *err)
{
	struct ekd_json json;
	const char *text;
	ek_status s = EK_OK;
	size_t n;

	text = ekd_config_text(from, &n);
	EK_TRY(ekd_json_read(text, n, EKD_CONFIG_MAX, &json, err));
	if (o->text[OPT_STATE_DIR])
		s = set_path(json.root, "state_dir", o->text[OPT_STATE_DIR],
			     err);
	if (s == EK_OK && o->text[OPT_RUN_DIR])
		s = set_path(json.root, "run_dir", o->text[OPT_RUN_DIR], err);
	if (s == EK_OK) {
		text = json_object_to_json_string_ext(json.root,
						      JSON_C_TO_STRING_PRETTY);
		s = ekd_config_parse(text, strlen(text), config, err);
	}
	ekd_json_free(&json);
	return s;
}

ek_status ekd_load_config(const struct ekd_options *o,
			  struct ekd_config *config, struct ek_err *err)
{
	struct ekd_config from;
	ek_status s;

	EK_TRY(ekd_config_read(o->text[OPT_CONFIG], &from, err));
	if (!o->has[OPT_STATE_DIR] && !o->has[OPT_RUN_DIR]) {
		*config = from;
		return EK_OK;
	}
	s = change(o, &from, config, err);
	ekd_config_release(&from);
	return s;
}
