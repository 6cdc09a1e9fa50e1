/* SPDX-License-Identifier: Apache-2.0 */

#include "cachefilesd/fetch/priv.h"

#include <errno.h>
#include <unistd.h>

#define CONNECTIONS	8
#define CONNECTIONS_MAX 64
#define CONNECT_MS	10000
#define STALL_MS	30000
#define TRIES		5
#define TRIES_MAX	100
#define BACKOFF_MS	200
#define BACKOFF_MAX_MS	10000
#define SMALL_MS	60000
#define LIST_MAX	256

static ek_status copy(const char *from, char **to, struct ek_err *err)
{
	*to = from ? strdup(from) : NULL;
	if (from && !*to)
		return ek_fail(err, EK_NOMEM, "no memory for an option");
	return EK_OK;
}

static ek_status copy_list(const char *const *from, char ***to, size_t limit,
			   size_t *n, struct ek_err *err)
{
	size_t count = 0;

	while (from && from[count])
		count++;
	if (count > limit)
		return ek_fail(err, EK_LIMIT, "a list of more than %zu hosts",
			       limit);
	*to = calloc(count + 1, sizeof(**to));
	if (!*to)
		return ek_fail(err, EK_NOMEM, "no memory for an option");
	for (size_t i = 0; i < count; i++)
		EKD_TRY(copy(from[i], &(*to)[i], err));
	*n = count;
	return EK_OK;
}

/* To say it now is kinder than at each transfer. */
static ek_status readable(const char *path, const char *what,
			  struct ek_err *err)
{
	if (path && access(path, R_OK) != 0)
		return ek_fail_sys(err, errno, "%s %s", what, path);
	return EK_OK;
}

static uint32_t between(uint32_t value, uint32_t normal, uint32_t most)
{
	if (value == 0)
		return normal;
	return value < most ? value : most;
}

bool ekd_config_allows(const struct ekd_config *config,
		       const struct ekd_origin *origin)
{
	return origin->tls ||
	       ekd_listed((const char *const *)config->plain_http,
			  origin->host);
}

static ek_status check_mirrors(struct ekd_config *config, struct ek_err *err)
{
	struct ekd_origin origin;

	for (size_t i = 0; i < config->n_mirrors; i++) {
		if (ekd_origin_of(config->mirrors[i], &origin, err) != EK_OK)
			return ek_err_prefix(err, "mirror %zu", i + 1);
		if (!ekd_config_allows(config, &origin))
			return ek_fail(err, EK_INVALID,
				       "mirror %s is not among the hosts for "
				       "plain HTTP",
				       origin.name);
	}
	return EK_OK;
}

ek_status ekd_config_copy(const struct ekd_fetch_options *options,
			  struct ekd_config *config, struct ek_err *err)
{
	const struct ekd_fetch_options *o = options;
	size_t n;

	config->connections =
		between(o->connections, CONNECTIONS, CONNECTIONS_MAX);
	config->connect_ms = between(o->connect_ms, CONNECT_MS, INT32_MAX);
	config->stall_ms = between(o->stall_ms, STALL_MS, INT32_MAX);
	config->tries = between(o->tries, TRIES, TRIES_MAX);
	config->backoff_ms = between(o->backoff_ms, BACKOFF_MS, BACKOFF_MAX_MS);
	config->small_ms = between(o->small_ms, SMALL_MS, INT32_MAX);
	config->credentials = o->credentials;
	config->credentials_arg = o->credentials_arg;
	config->log = o->log;
	config->log_arg = o->log_arg;
	EKD_TRY(copy_list(o->plain_http, &config->plain_http, LIST_MAX, &n,
			  err));
	EKD_TRY(copy_list(o->mirrors, &config->mirrors, EKD_MIRRORS_MAX,
			  &config->n_mirrors, err));
	EKD_TRY(copy(o->proxy, &config->proxy, err));
	EKD_TRY(copy(o->ca_file, &config->ca_file, err));
	EKD_TRY(copy(o->client_cert, &config->client_cert, err));
	EKD_TRY(copy(o->client_key, &config->client_key, err));
	EKD_TRY(readable(o->ca_file, "roots", err));
	EKD_TRY(readable(o->client_cert, "client certificate", err));
	EKD_TRY(readable(o->client_key, "client key", err));
	return check_mirrors(config, err);
}

static void free_list(char **list)
{
	for (char **at = list; at && *at; at++)
		free(*at);
	free(list);
}

void ekd_config_free(struct ekd_config *config)
{
	free_list(config->plain_http);
	free_list(config->mirrors);
	ekd_wipe(config->proxy);
	free(config->ca_file);
	free(config->client_cert);
	free(config->client_key);
}
