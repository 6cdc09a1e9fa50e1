/* SPDX-License-Identifier: Apache-2.0 */
#include "cachefilesd/config/config.h"

#include "base/try.h"
#include "cachefilesd/config/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MiB (UINT64_C(1) << 20)

/* Of the systems that Debian has: nobody and nogroup. */
#define NOBODY 65534

struct own {
	char *text;
	size_t n;
	struct ekd_json json;
};

static const char *const levels[] = {"error", "warning", "info", "debug"};

const char *ekd_log_level_name(enum ekd_log_level level)
{
	return levels[level];
}

static void set_defaults(struct ekd_config *c)
{
	c->state_dir = "/var/lib/erofskit";
	c->run_dir = "/run/erofskit";
	c->uid = NOBODY;
	c->gid = NOBODY;
	c->threads = 4;
	c->deadline_ms = 30000;
	c->worker_memory = UINT64_MAX; /* as fetch.memory says */
	c->checkpoint_bytes = 64 * MiB;
	c->checkpoint_ms = 2000;
	c->connections = 8;
	c->tries = 5;
	c->connect_ms = 10000;
	c->stall_ms = 30000;
	c->request_bytes = 4 * MiB;
	c->ahead_bytes = 16 * MiB;
	c->memory_bytes = 32 * MiB;
	c->log_level = EKD_LOG_INFO;
}

/* A path that begins with '/' and leaves room for what lies beneath. */
static ek_status get_path(struct ekd_object *at, const char *key,
			  const char **to, struct ek_err *err)
{
	const char *path = *to;

	EK_TRY(ekd_get_text(at, key, &path, err));
	if (path && *path != '/')
		return ekd_object_fail(at, key, err, "not an absolute path");
	if (path && strlen(path) >= EKD_CONFIG_PATH)
		return ekd_object_fail(at, key, err, "too long");
	*to = path;
	return EK_OK;
}

/* One of @names, by number. */
static ek_status get_choice(struct ekd_object *at, const char *key,
			    const char *const *names, unsigned n, unsigned *to,
			    struct ek_err *err)
{
	const char *text = NULL;

	EK_TRY(ekd_get_text(at, key, &text, err));
	for (unsigned i = 0; text && i < n; i++)
		if (strcmp(text, names[i]) == 0) {
			*to = i;
			return EK_OK;
		}
	if (!text)
		return EK_OK;
	return ekd_object_fail(at, key, err, "'%.40s' is none of %s, %s%s",
			       text, names[0], names[1], n > 2 ? ", ..." : "");
}

/* "UID:GID". */
static ek_status get_user(struct ekd_object *at, struct ekd_config *c,
			  struct ek_err *err)
{
	const char *text = NULL;
	unsigned long long uid, gid;
	char *end, *last;

	EK_TRY(ekd_get_text(at, "user", &text, err));
	if (!text)
		return EK_OK;
	if (*text < '0' || *text > '9')
		return ekd_object_fail(at, "user", err, "not UID:GID");
	uid = strtoull(text, &end, 10);
	if (*end != ':' || end[1] < '0' || end[1] > '9')
		return ekd_object_fail(at, "user", err, "not UID:GID");
	gid = strtoull(end + 1, &last, 10);
	if (*last || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return ekd_object_fail(at, "user", err, "not UID:GID");
	if (!uid || !gid)
		return ekd_object_fail(at, "user", err,
				       "the worker may not be root");
	c->uid = (uint32_t)uid;
	c->gid = (uint32_t)gid;
	return EK_OK;
}

static ek_status get_roots(struct ekd_object *at, const char *key,
			   const char ***roots, struct ek_err *err)
{
	EK_TRY(ekd_get_texts(at, key, EKD_CONFIG_LIST, roots, err));
	for (size_t i = 0; *roots && (*roots)[i]; i++)
		if (*(*roots)[i] != '/' ||
		    strlen((*roots)[i]) >= EKD_CONFIG_PATH)
			return ekd_object_fail(at, key, err,
					       "element %zu is no absolute "
					       "path",
					       i);
	return EK_OK;
}

/* Most that the worker may have; a limit far beyond what it needs. */
static ek_status get_worker_memory(struct ekd_object *at, struct ekd_config *c,
				   struct ek_err *err)
{
	uint64_t bytes = c->worker_memory;

	EK_TRY(ekd_get_size(at, "worker_memory_max", 0, INT64_MAX, &bytes,
			    err));
	if (bytes && bytes < 64 * MiB)
		return ekd_object_fail(at, "worker_memory_max", err,
				       "neither 0 nor 64M or more");
	c->worker_memory = bytes;
	return EK_OK;
}

static ek_status get_cache(struct ekd_object *root, struct ekd_config *c,
			   struct ek_err *err)
{
	struct ekd_object at;

	EK_TRY(ekd_object_member(root, "cache", &at, err));
	EK_TRY(ekd_get_size(&at, "quota", 0, INT64_MAX, &c->quota, err));
	if (c->quota && c->quota < MiB)
		return ekd_object_fail(&at, "quota", err,
				       "neither 0 nor 1M or more");
	EK_TRY(ekd_get_size(&at, "checkpoint_bytes", MiB, 1024 * MiB,
			    &c->checkpoint_bytes, err));
	EK_TRY(ekd_get_time(&at, "checkpoint_time", 100, 600000,
			    &c->checkpoint_ms, err));
	return ekd_object_done(&at, err);
}

static ek_status get_tls(struct ekd_object *at, struct ekd_config *c,
			 struct ek_err *err)
{
	EK_TRY(get_path(at, "ca_file", &c->ca_file, err));
	EK_TRY(get_path(at, "client_cert", &c->client_cert, err));
	EK_TRY(get_path(at, "client_key", &c->client_key, err));
	if (!c->client_cert != !c->client_key)
		return ekd_object_fail(
			at, c->client_cert ? "client_cert" : "client_key", err,
			"one of a pair alone");
	return get_path(at, "docker_config", &c->docker_config, err);
}

static ek_status get_fetch(struct ekd_object *root, struct ekd_config *c,
			   struct ek_err *err)
{
	struct ekd_object at;

	EK_TRY(ekd_object_member(root, "fetch", &at, err));
	EK_TRY(ekd_get_number(&at, "connections", 2, 64, &c->connections, err));
	EK_TRY(ekd_get_number(&at, "tries", 1, 100, &c->tries, err));
	EK_TRY(ekd_get_time(&at, "connect_timeout", 100, 600000, &c->connect_ms,
			    err));
	EK_TRY(ekd_get_time(&at, "stall_timeout", 100, 600000, &c->stall_ms,
			    err));
	EK_TRY(ekd_get_size(&at, "request_size", 64 << 10, 64 * MiB,
			    &c->request_bytes, err));
	EK_TRY(ekd_get_size(&at, "readahead_size", 0, 256 * MiB,
			    &c->ahead_bytes, err));
	/* Less has no room for a request of the largest leaf, of 1 MiB. */
	EK_TRY(ekd_get_size(&at, "memory", 8 * MiB, 4096 * MiB,
			    &c->memory_bytes, err));
	EK_TRY(ekd_get_texts(&at, "plain_http", EKD_CONFIG_LIST, &c->plain_http,
			     err));
	EK_TRY(ekd_get_texts(&at, "mirrors", EKD_CONFIG_LIST, &c->mirrors,
			     err));
	EK_TRY(ekd_get_text(&at, "proxy", &c->proxy, err));
	EK_TRY(get_tls(&at, c, err));
	return ekd_object_done(&at, err);
}

static ek_status get_log(struct ekd_object *root, struct ekd_config *c,
			 struct ek_err *err)
{
	static const char *const formats[] = {"text", "json"};
	unsigned level = c->log_level, format = 0;
	struct ekd_object at;

	EK_TRY(ekd_object_member(root, "log", &at, err));
	EK_TRY(get_choice(&at, "level", levels, 4, &level, err));
	EK_TRY(get_choice(&at, "format", formats, 2, &format, err));
	c->log_level = (enum ekd_log_level)level;
	c->log_json = format == 1;
	return ekd_object_done(&at, err);
}

static ek_status get_all(struct ekd_object *root, struct ekd_config *c,
			 struct ek_err *err)
{
	static const char *const untrusted[] = {"refuse", "stream-first"};
	unsigned choice = EKD_UNTRUSTED_REFUSE;
	uint64_t threads = c->threads;
	struct ekd_object at;

	EK_TRY(get_path(root, "state_dir", &c->state_dir, err));
	EK_TRY(get_path(root, "run_dir", &c->run_dir, err));
	EK_TRY(get_user(root, c, err));
	EK_TRY(ekd_get_number(root, "threads", 1, 16, &threads, err));
	c->threads = (uint32_t)threads;
	EK_TRY(ekd_get_time(root, "deadline", 100, 3600000, &c->deadline_ms,
			    err));
	EK_TRY(get_worker_memory(root, c, err));
	EK_TRY(get_roots(root, "local_roots", &c->local_roots, err));
	c->local_named = c->local_roots;
	EK_TRY(get_roots(root, "mount_roots", &c->mount_roots, err));
	EK_TRY(ekd_get_bool(root, "allow_suid", &c->allow_suid, err));
	EK_TRY(get_choice(root, "untrusted_index", untrusted, 2, &choice, err));
	c->untrusted = (enum ekd_untrusted)choice;
	EK_TRY(get_cache(root, c, err));
	EK_TRY(get_fetch(root, c, err));
	if (c->worker_memory == UINT64_MAX)
		c->worker_memory = 256 * MiB + 8 * c->memory_bytes;
	EK_TRY(ekd_object_member(root, "background", &at, err));
	EK_TRY(ekd_get_size(&at, "rate", 0, INT64_MAX, &c->complete_rate, err));
	EK_TRY(ekd_object_done(&at, err));
	EK_TRY(get_log(root, c, err));
	return ekd_object_done(root, err);
}

static ek_status fill_lists(struct ekd_config *c, struct ek_err *err)
{
	const char ***const lists[] = {&c->local_roots, &c->mount_roots,
				       &c->plain_http, &c->mirrors};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		if (*lists[i])
			continue;
		*lists[i] = calloc(2, sizeof(**lists[i]));
		if (!*lists[i])
			return ek_fail(err, EK_NOMEM, "no memory for a list");
		if (i < 2)
			(*lists[i])[0] = "/";
	}
	return EK_OK;
}

ek_status ekd_config_parse(const char *text, size_t n,
			   struct ekd_config *config, struct ek_err *err)
{
	struct own *own = calloc(1, sizeof(*own));
	struct ekd_object root;
	ek_status s = EK_OK;

	*config = (struct ekd_config){.own = own};
	if (own)
		own->text = malloc(n + 3);
	if (!own || !own->text) {
		ekd_config_release(config);
		return ek_fail(err, EK_NOMEM, "no memory for a configuration");
	}
	if (!n) {
		text = "{}";
		n = 2;
	}
	memcpy(own->text, text, n);
	own->text[n] = 0;
	own->n = n;
	set_defaults(config);
	s = ekd_json_read(own->text, n, EKD_CONFIG_MAX, &own->json, err);
	if (s == EK_OK)
		s = ekd_object_root(&own->json, &root, err);
	if (s == EK_OK)
		s = get_all(&root, config, err);
	if (s == EK_OK)
		s = fill_lists(config, err);
	if (s != EK_OK)
		ekd_config_release(config);
	return s;
}

/* All of @fd, at most EKD_CONFIG_MAX + 1 bytes. */
static ek_status load(int fd, char *to, size_t *n, struct ek_err *err)
{
	ssize_t got;

	*n = 0;
	while (*n <= EKD_CONFIG_MAX) {
		got = read(fd, to + *n, EKD_CONFIG_MAX + 1 - *n);
		if (got < 0 && errno != EINTR)
			return ek_fail_sys(err, errno, "cannot read it");
		if (got == 0)
			break;
		*n += got > 0 ? (size_t)got : 0;
	}
	return EK_OK;
}

ek_status ekd_config_read(const char *path, struct ekd_config *config,
			  struct ek_err *err)
{
	const char *name = path ? path : EKD_CONFIG_FILE;
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text;
	size_t n = 0;
	ek_status s;

	if (fd < 0 && !path && errno == ENOENT)
		return ekd_config_parse("", 0, config, err);
	if (fd < 0)
		return ek_fail_sys(err, errno, "%s", name);
	text = malloc(EKD_CONFIG_MAX + 1);
	s = text ? load(fd, text, &n, err)
		 : ek_fail(err, EK_NOMEM, "no memory for a configuration");
	close(fd);
	if (s == EK_OK && !n)
		s = ek_fail(err, EK_CORRUPT, "it is empty; {} has no key");
	if (s == EK_OK)
		s = ekd_config_parse(text, n, config, err);
	free(text);
	return s == EK_OK ? s : ek_err_prefix(err, "%s", name);
}

void ekd_config_release(struct ekd_config *config)
{
	struct own *own = config->own;

	free(config->local_roots);
	free(config->mount_roots);
	free(config->plain_http);
	free(config->mirrors);
	if (own) {
		ekd_json_free(&own->json);
		free(own->text);
	}
	free(own);
	*config = (struct ekd_config){0};
}

const char *ekd_config_text(const struct ekd_config *config, size_t *n)
{
	const struct own *own = config->own;

	*n = own->n;
	return own->text;
}

static bool same_list(const char *const *a, const char *const *b)
{
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return !*a && !*b;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool ekd_config_fits(const struct ekd_config *then,
		     const struct ekd_config *now, const char **key)
{
	*key = NULL;
	if (strcmp(then->state_dir, now->state_dir) != 0)
		*key = "state_dir";
	else if (strcmp(then->run_dir, now->run_dir) != 0)
		*key = "run_dir";
	else if (then->uid != now->uid || then->gid != now->gid)
		*key = "user";
	else if (then->local_named != now->local_named ||
		 !same_list(then->local_roots, now->local_roots))
		*key = "local_roots";
	else if (!same_list(then->mount_roots, now->mount_roots))
		*key = "mount_roots";
	else if (then->allow_suid != now->allow_suid)
		*key = "allow_suid";
	else if (then->deadline_ms != now->deadline_ms)
		*key = "deadline";
	else if (then->worker_memory != now->worker_memory)
		*key = "worker_memory_max";
	else if (!same_text(then->docker_config, now->docker_config))
		*key = "docker_config";
	return !*key;
}
