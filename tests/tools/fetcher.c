/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Drives the daemon's registry client for tests: commands on standard input, a
 * JSON object a line on standard output. See tests/daemon/test_fetch.py.
 */

#include "cachefilesd/fetch/docker.h"
#include "cachefilesd/fetch/fetch.h"
#include "cachefilesd/fetch/sha.h"

#include <json-c/json.h>

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORDS 10
#define LIST  16

struct task {
	char name[64];
	uint64_t id;
	double begun;
	struct task *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fewer = PTHREAD_COND_INITIALIZER;
static unsigned under_way, order;
static const char *user;
static struct task *tasks;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void put(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

static void put_n(struct json_object *o, const char *name, uint64_t n)
{
	json_object_object_add(o, name, json_object_new_int64((int64_t)n));
}

static void print(struct json_object *o)
{
	flockfile(stdout);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	funlockfile(stdout);
	json_object_put(o);
}

static struct json_object *outcome(const char *name, ek_status status,
				   const struct ek_err *err)
{
	struct json_object *o = json_object_new_object();

	put(o, "name", name);
	put(o, "status", ek_status_name(status));
	if (status != EK_OK) {
		put(o, "error", err->text);
		put_n(o, "errno", (uint64_t)err->sys);
	}
	return o;
}

static void put_bytes(struct json_object *o, const uint8_t *bytes, size_t n)
{
	char digest[72];

	put_n(o, "n", n);
	if (ekd_sha_of(bytes, n, digest, NULL) == EK_OK)
		put(o, "sha", digest);
}

static void on_log(void *arg, const char *line)
{
	struct json_object *o = json_object_new_object();

	(void)arg;
	put(o, "log", line);
	print(o);
}

static char *on_credentials(void *arg, const char *host)
{
	struct json_object *o = json_object_new_object();

	(void)arg;
	put(o, "asked", host);
	print(o);
	return user ? strdup(user) : NULL;
}

static void fetched(void *arg, ek_status status, const struct ek_err *err,
		    const uint8_t *bytes, size_t n)
{
	struct task *task = arg;
	struct json_object *o = outcome(task->name, status, err);

	if (status == EK_OK)
		put_bytes(o, bytes, n);
	json_object_object_add(o, "ms",
			       json_object_new_double(now() - task->begun));
	pthread_mutex_lock(&lock);
	put_n(o, "order", ++order);
	under_way--;
	pthread_cond_signal(&fewer);
	pthread_mutex_unlock(&lock);
	print(o);
}

static bool reference(const char *name, const char *text,
		      struct ekd_reference *ref)
{
	struct ek_err err;

	if (ekd_reference_parse(text, ref, &err) == EK_OK)
		return true;
	print(outcome(name, err.status, &err));
	return false;
}

/* range NAME REF DIGEST OFFSET N PRIORITY DEADLINE */
static void do_range(struct ekd_fetch *f, char **w)
{
	struct task *task = calloc(1, sizeof(*task));
	struct ekd_reference ref;
	struct ek_err err;

	if (!reference(w[1], w[2], &ref)) {
		free(task);
		return;
	}
	snprintf(task->name, sizeof(task->name), "%s", w[1]);
	task->begun = now();
	task->next = tasks;
	tasks = task;
	pthread_mutex_lock(&lock);
	under_way++;
	pthread_mutex_unlock(&lock);
	if (ekd_fetch_range(f, &ref, w[3], strtoull(w[4], NULL, 0),
			    strtoul(w[5], NULL, 0),
			    (enum ekd_priority)strtoul(w[6], NULL, 0),
			    (uint32_t)strtoul(w[7], NULL, 0), fetched, task,
			    &task->id, &err) == EK_OK)
		return;
	pthread_mutex_lock(&lock);
	under_way--;
	pthread_mutex_unlock(&lock);
	print(outcome(task->name, err.status, &err));
}

static struct task *find(const char *name)
{
	struct task *task = tasks;

	while (task && strcmp(task->name, name) != 0)
		task = task->next;
	return task;
}

static void do_wait(void)
{
	struct ek_err err;

	pthread_mutex_lock(&lock);
	while (under_way > 0)
		pthread_cond_wait(&fewer, &lock);
	pthread_mutex_unlock(&lock);
	print(outcome("wait", EK_OK, &err));
}

/* manifest NAME REF [DIGEST], image NAME REF [PLATFORM], small NAME REF DIGEST
 */
static void do_small(struct ekd_fetch *f, char **w)
{
	char media[128] = "", digest[72] = "";
	struct ekd_reference ref;
	struct json_object *o;
	uint8_t *bytes = NULL;
	struct ek_err err;
	ek_status status;
	size_t n = 0;

	if (!reference(w[1], w[2], &ref))
		return;
	if (strcmp(w[0], "manifest") == 0)
		status = ekd_fetch_manifest(f, &ref, w[3] ? w[3] : "", &bytes,
					    &n, media, &err);
	else if (strcmp(w[0], "image") == 0)
		status = ekd_fetch_image(f, &ref, w[3], &bytes, &n, digest,
					 media, &err);
	else
		status = ekd_fetch_small_blob(f, &ref, w[3], &bytes, &n, &err);
	o = outcome(w[1], status, &err);
	if (status == EK_OK) {
		put_bytes(o, bytes, n);
		put(o, "media", media);
		put(o, "digest", digest);
	}
	free(bytes);
	print(o);
}

struct sink {
	struct ekd_sha *sha;
	uint64_t n, limit;
};

static ek_status sink_write(void *arg, const uint8_t *bytes, size_t n,
			    struct ek_err *err)
{
	struct sink *sink = arg;

	sink->n += n;
	if (sink->n > sink->limit)
		return ek_fail(err, EK_LIMIT, "the sink is full");
	ekd_sha_add(sink->sha, bytes, n);
	return EK_OK;
}

/* stream NAME REF DIGEST [LIMIT] */
static void do_stream(struct ekd_fetch *f, char **w)
{
	struct sink sink = {.limit = w[4] ? strtoull(w[4], NULL, 0)
					  : UINT64_MAX};
	struct ekd_reference ref;
	struct json_object *o;
	struct ek_err err;
	char digest[72];
	ek_status status;

	if (!reference(w[1], w[2], &ref) ||
	    ekd_sha_new(&sink.sha, NULL) != EK_OK)
		return;
	status = ekd_fetch_stream(f, &ref, w[3], sink_write, &sink, &err);
	o = outcome(w[1], status, &err);
	put_n(o, "n", sink.n);
	if (ekd_sha_end(sink.sha, digest, NULL) == EK_OK)
		put(o, "sha", digest);
	print(o);
}

static void do_info(struct ekd_fetch *f, const char *name)
{
	struct task *task = find(name);
	struct ekd_fetch_info info;
	struct json_object *o;
	struct ek_err err;
	ek_status status;

	status = ekd_fetch_info(f, task ? task->id : 0, &info, &err);
	o = outcome("info", status, &err);
	if (status == EK_OK) {
		put_n(o, "attempts", info.attempts);
		put(o, "host", info.host);
		put(o, "last_error", info.last_error);
	}
	print(o);
}

static void do_stats(struct ekd_fetch *f)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	struct ekd_fetch_host hosts[16];
	struct ekd_fetch_stats s;
	size_t n;

	ekd_fetch_stats(f, &s);
	put(o, "name", "stats");
	put_n(o, "requests", s.requests);
	put_n(o, "retries", s.retries);
	put_n(o, "failures", s.failures);
	put_n(o, "bytes", s.bytes);
	put_n(o, "demand_requests", s.demand_requests);
	put_n(o, "auth_refreshes", s.auth_refreshes);
	put_n(o, "redirects", s.redirects);
	ekd_fetch_hosts(f, hosts, 16, &n);
	for (size_t i = 0; i < n && i < 16; i++) {
		struct json_object *h = json_object_new_object();

		put(h, "host", hosts[i].host);
		put_n(h, "requests", hosts[i].requests);
		put_n(h, "failures", hosts[i].failures);
		put_n(h, "bytes", hosts[i].bytes);
		put_n(h, "running", hosts[i].running);
		put(h, "last_error", hosts[i].last_error);
		json_object_array_add(list, h);
	}
	json_object_object_add(o, "hosts", list);
	print(o);
}

/* docker NAME FILE HOST */
static void do_docker(char **w)
{
	struct json_object *o;
	char *secret = NULL;
	struct ek_err err;
	ek_status status;

	status = ekd_docker_credentials(w[2], w[3], 2000, &secret, &err);
	o = outcome(w[1], status, &err);
	if (status == EK_OK)
		put(o, "secret", secret ? secret : "");
	free(secret);
	print(o);
}

static void do_line(struct ekd_fetch *f, char **w)
{
	struct task *task = w[1] ? find(w[1]) : NULL;

	if (strcmp(w[0], "range") == 0)
		do_range(f, w);
	else if (strcmp(w[0], "wait") == 0)
		do_wait();
	else if (strcmp(w[0], "stream") == 0)
		do_stream(f, w);
	else if (strcmp(w[0], "docker") == 0)
		do_docker(w);
	else if (strcmp(w[0], "info") == 0)
		do_info(f, w[1]);
	else if (strcmp(w[0], "stats") == 0)
		do_stats(f);
	else if (strcmp(w[0], "cancel") == 0)
		ekd_fetch_cancel(f, task ? task->id : 0);
	else if (strcmp(w[0], "raise") == 0)
		ekd_fetch_raise(f, task ? task->id : 0, EKD_DEMAND);
	else if (strcmp(w[0], "blame") == 0)
		ekd_fetch_blame(f, w[1]);
	else
		do_small(f, w);
}

static void options(int argc, char **argv, struct ekd_fetch_options *o)
{
	static const struct option longs[] = {
		{"plain", 1, NULL, 'p'},       {"mirror", 1, NULL, 'm'},
		{"proxy", 1, NULL, 'x'},       {"ca", 1, NULL, 'a'},
		{"cert", 1, NULL, 'c'},	       {"key", 1, NULL, 'k'},
		{"user", 1, NULL, 'u'},	       {"tries", 1, NULL, 't'},
		{"backoff", 1, NULL, 'b'},     {"connect", 1, NULL, 'C'},
		{"stall", 1, NULL, 's'},       {"small", 1, NULL, 'S'},
		{"connections", 1, NULL, 'n'}, {NULL, 0, NULL, 0},
	};
	static const char *plain[LIST + 1], *mirrors[LIST + 1];
	size_t plains = 0, n_mirrors = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		uint32_t n = optarg ? (uint32_t)strtoul(optarg, NULL, 0) : 0;

		switch (c) {
		case 'p':
			plain[plains++ % LIST] = optarg;
			break;
		case 'm':
			mirrors[n_mirrors++ % LIST] = optarg;
			break;
		case 'x':
			o->proxy = optarg;
			break;
		case 'a':
			o->ca_file = optarg;
			break;
		case 'c':
			o->client_cert = optarg;
			break;
		case 'k':
			o->client_key = optarg;
			break;
		case 'u':
			user = optarg;
			break;
		case 't':
			o->tries = n;
			break;
		case 'b':
			o->backoff_ms = n;
			break;
		case 'C':
			o->connect_ms = n;
			break;
		case 's':
			o->stall_ms = n;
			break;
		case 'S':
			o->small_ms = n;
			break;
		case 'n':
			o->connections = n;
			break;
		default:
			exit(2);
		}
	}
	o->plain_http = plain;
	o->mirrors = mirrors;
}

int main(int argc, char **argv)
{
	struct ekd_fetch_options o = {.log = on_log,
				      .credentials = on_credentials};
	struct ekd_fetch *fetch;
	struct task *next;
	struct ek_err err;
	char line[8192];

	options(argc, argv, &o);
	if (ekd_fetch_new(&o, &fetch, &err) != EK_OK) {
		print(outcome("new", err.status, &err));
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		char *w[WORDS + 1] = {NULL}, *save = NULL;
		size_t n = 0;

		for (char *word = strtok_r(line, " \n", &save);
		     word && n < WORDS; word = strtok_r(NULL, " \n", &save))
			w[n++] = word;
		if (n > 0)
			do_line(fetch, w);
	}
	ekd_fetch_free(fetch);
	for (; tasks; tasks = next) {
		next = tasks->next;
		free(tasks);
	}
	return 0;
}
