/* SPDX-License-Identifier: Apache-2.0 */
#include "source/directory.h"

#include "base/try.h"

#include <string.h>

/* A copy of @path without "./" and slashes at either end. */
static char *tidy(const char *path)
{
	size_t n;

	for (;;) {
		path += strspn(path, "/");
		if (path[0] != '.' || path[1] != '/')
			break;
		path += 2;
	}
	n = strlen(path);
	while (n > 0 && path[n - 1] == '/')
		n--;
	return strndup(path, n);
}

static ek_status add_paths(struct ek_filter *f,
			   const struct ek_directory_options *o,
			   struct ek_err *err)
{
	f->paths = calloc(o->n_exclude_paths, sizeof(*f->paths));
	if (!f->paths)
		return ek_fail(err, EK_NOMEM, "no memory for exclusions");
	for (size_t i = 0; i < o->n_exclude_paths; i++) {
		f->paths[i] = tidy(o->exclude_paths[i]);
		if (!f->paths[i])
			return ek_fail(err, EK_NOMEM,
				       "no memory for exclusions");
		f->n_paths++;
	}
	return EK_OK;
}

static ek_status add_regexes(struct ek_filter *f,
			     const struct ek_directory_options *o,
			     struct ek_err *err)
{
	f->regexes = calloc(o->n_exclude_regexes, sizeof(*f->regexes));
	if (!f->regexes)
		return ek_fail(err, EK_NOMEM, "no memory for exclusions");
	for (size_t i = 0; i < o->n_exclude_regexes; i++) {
		int rc = regcomp(&f->regexes[i], o->exclude_regexes[i],
				 REG_EXTENDED | REG_NOSUB);
		char why[128];

		if (rc) {
			regerror(rc, &f->regexes[i], why, sizeof(why));
			return ek_fail(err, EK_INVALID, "expression '%s': %s",
				       o->exclude_regexes[i], why);
		}
		f->n_regexes++;
	}
	return EK_OK;
}

ek_status ek_filter_init(struct ek_filter *filter,
			 const struct ek_directory_options *options,
			 struct ek_err *err)
{
	ek_status s = EK_OK;

	*filter = (struct ek_filter){0};
	if (options->n_exclude_paths)
		s = add_paths(filter, options, err);
	if (s == EK_OK && options->n_exclude_regexes)
		s = add_regexes(filter, options, err);
	if (s != EK_OK)
		ek_filter_free(filter);
	return s;
}

void ek_filter_free(struct ek_filter *filter)
{
	for (size_t i = 0; i < filter->n_paths; i++)
		free(filter->paths[i]);
	for (size_t i = 0; i < filter->n_regexes; i++)
		regfree(&filter->regexes[i]);
	free(filter->paths);
	free(filter->regexes);
	*filter = (struct ek_filter){0};
}

bool ek_filter_empty(const struct ek_filter *filter)
{
	return filter->n_paths == 0 && filter->n_regexes == 0;
}

bool ek_filter_drops(const struct ek_filter *filter, const char *path)
{
	for (size_t i = 0; i < filter->n_paths; i++)
		if (strcmp(filter->paths[i], path) == 0)
			return true;
	for (size_t i = 0; i < filter->n_regexes; i++)
		if (regexec(&filter->regexes[i], path, 0, NULL, 0) == 0)
			return true;
	return false;
}
